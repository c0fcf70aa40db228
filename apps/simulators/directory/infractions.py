"""Infraction reports: the directory's rules of section 3."""

import re
import sqlite3
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import listing, tasks
from apps.simulators.directory.refusals import Refused, forbidden, not_found
from apps.simulators.directory.store import DAY, SECOND, Store, timestamp

#: Of a payment (E…) or of what was sent back (D…): who began it, when, and a number.
_TRANSACTION = re.compile(r"([ED])([A-Za-z0-9]{8})([0-9]{12})[A-Za-z0-9]{11}")
_LETTERS = {"REFUND_REQUEST": "E", "REFUND_CANCELLED": "D"}
SITUATIONS = ("SCAM", "ACCOUNT_TAKEOVER", "COERCION", "FRAUDULENT_ACCESS", "OTHER")
FRAUD_TYPES = ("APPLICATION_FRAUD", "MULE_ACCOUNT", "SCAMMER_ACCOUNT", "OTHER")
OLDEST = 80 * DAY
LONGEST_TEXT = 2000


# --- operations ----------------------------------------------------------------------------------
def create(store: Store, request: pb.CreateInfractionRequest) -> pb.Infraction:
    """Report a transaction of the reporter's own."""
    check(request)
    _transaction(store, request.participant, request.reason, request.transaction_id)
    counterparty = _counterparty(store, request.participant, request.transaction_id)
    return opened(store, request, counterparty)


def get(store: Store, request: pb.GetInfractionRequest) -> pb.Infraction:
    """Read it as one of its sides."""
    return pb.Infraction.FromString(_mine(store, request.id, request.participant)["body"])


def page(store: Store, request: pb.ListInfractionsRequest) -> pb.ListInfractionsResponse:
    """Those whose last change is in the window, the earliest first."""
    roles = {"REPORTER": "reporter", "COUNTERPARTY": "counterparty"}
    rows, more = listing.page(store, "infractions", request, roles=roles)
    found = [pb.Infraction.FromString(row["body"]) for row in rows]
    return pb.ListInfractionsResponse(infractions=found, has_more=more)


def acknowledge(store: Store, request: pb.AcknowledgeInfractionRequest) -> pb.Infraction:
    """The counterparty has seen it."""
    infraction = _of_counterparty(store, request.id, request.participant)
    if infraction.status == "ACKNOWLEDGED":
        return infraction
    _must_be(infraction, "OPEN")
    infraction.status = "ACKNOWLEDGED"
    return _keep(store, infraction)


def close(store: Store, request: pb.CloseInfractionRequest) -> pb.Infraction:
    """The counterparty says what it found."""
    infraction = _of_counterparty(store, request.id, request.participant)
    _check_answer(request)
    answer = (request.analysis_result, request.fraud_type, request.analysis_details)
    if infraction.status == "CLOSED" and answer == (
        *(infraction.analysis_result, infraction.fraud_type, infraction.analysis_details),
    ):
        return infraction
    _must_be(infraction, "ACKNOWLEDGED")
    infraction.status = "CLOSED"
    infraction.analysis_result, infraction.fraud_type, infraction.analysis_details = answer
    if request.analysis_result == "AGREED":
        infraction.fraud_marker_id = str(uuid4())
    return _keep(store, infraction)


def cancel(store: Store, request: pb.CancelInfractionRequest) -> pb.Infraction:
    """The reporter takes it back, also after the answer; the marker goes with it."""
    row = _mine(store, request.id, request.participant)
    if row["reporter"] != request.participant:
        raise forbidden("Only its reporter may.")
    infraction = pb.Infraction.FromString(row["body"])
    if infraction.status == "CANCELLED":
        return infraction
    if infraction.funds_recovery_id:
        raise Refused("InfractionReportOperationInvalid", "It belongs to a recovery of funds.")
    infraction.status = "CANCELLED"
    infraction.fraud_marker_id = ""
    return _keep(store, infraction)


# --- what the control needs ----------------------------------------------------------------------
def opened(
    store: Store, request: pb.CreateInfractionRequest, counterparty: str, amount: str = ""
) -> pb.Infraction:
    """Write a new report against that participant."""
    _only_one(store, request.transaction_id, request.reason)
    now = store.stamp()
    infraction = pb.Infraction(
        id=str(uuid4()),
        transaction_id=request.transaction_id,
        reason=request.reason,
        situation_type=request.situation_type,
        details=request.details,
        contact_email=request.contact_email,
        contact_phone=request.contact_phone,
        status="OPEN",
        reporter_participant=request.participant,
        counterparty_participant=counterparty,
        amount=amount,
        created_at=timestamp(now),
        modified_at=timestamp(now),
    )
    store.db.execute(
        "INSERT INTO infractions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(infraction.id, infraction.transaction_id, infraction.reason),
            *(request.participant, counterparty, "OPEN", now, infraction.SerializeToString()),
        ),
    )
    tasks.infraction_changed(store, infraction)
    return infraction


def new_transaction(store: Store, participant: str, letter: str = "E") -> str:
    """The id of a payment that this participant made a minute ago."""
    at = datetime.fromtimestamp((store.now() - 60 * SECOND) / SECOND, UTC)
    return f"{letter}{participant}{at:%Y%m%d%H%M}{uuid4().hex[:11]}"


# --- rules ---------------------------------------------------------------------------------------
def check(request: pb.CreateInfractionRequest) -> None:
    """Raise Refused for what is no report."""
    for field, good in (
        ("reason", request.reason in _LETTERS),
        ("situation_type", request.situation_type in SITUATIONS),
        (
            "situation_type",
            request.reason != "REFUND_CANCELLED" or request.situation_type == "OTHER",
        ),
        ("details", len(request.details) <= LONGEST_TEXT),
        ("details", bool(request.details) or request.situation_type != "OTHER"),
    ):
        if not good:
            raise _invalid(field, getattr(request, field))


def _check_answer(request: pb.CloseInfractionRequest) -> None:
    agreed = request.analysis_result == "AGREED"
    for field, good in (
        ("analysis_result", request.analysis_result in ("AGREED", "DISAGREED")),
        ("fraud_type", request.fraud_type in FRAUD_TYPES if agreed else not request.fraud_type),
        ("analysis_details", len(request.analysis_details) <= LONGEST_TEXT),
        ("analysis_details", bool(request.analysis_details) or request.fraud_type != "OTHER"),
    ):
        if not good:
            raise _invalid(field, getattr(request, field))


def _transaction(store: Store, participant: str, reason: str, transaction_id: str) -> None:
    found = _TRANSACTION.fullmatch(transaction_id)
    try:
        at = found and datetime.strptime(f"{found[3]}+0000", "%Y%m%d%H%M%z")
    except ValueError:
        at = None
    if not found or not at or (found[1], found[2]) != (_LETTERS[reason], participant):
        raise Refused("InfractionReportTransactionNotFound", "The reporter made no such payment.")
    age = store.now() - int(at.timestamp()) * SECOND
    if age < 0:
        raise Refused("InfractionReportTransactionNotSettled", "It is not settled.")
    if age > OLDEST:
        raise Refused("InfractionReportPeriodExpired", "It is older than 80 days.")


def _counterparty(store: Store, reporter: str, transaction_id: str) -> str:
    """Every payment has two sides: the same one whenever it is asked for."""
    rows = store.db.execute(
        "SELECT ispb FROM participants WHERE behaviour != 'ours' AND ispb != ? ORDER BY ispb",
        (reporter,),
    ).fetchall()
    return str(rows[sha256(transaction_id.encode()).digest()[0] % len(rows)]["ispb"])


def _only_one(store: Store, transaction_id: str, reason: str) -> None:
    rows = store.db.execute(
        "SELECT status FROM infractions WHERE transaction_id = ? AND reason = ?",
        (transaction_id, reason),
    )
    found = {row["status"] for row in rows}
    if found & {"OPEN", "ACKNOWLEDGED"}:
        raise Refused(
            "InfractionReportAlreadyBeingProcessedForTransaction", "It is being looked at."
        )
    if "CLOSED" in found:
        raise Refused("InfractionReportAlreadyProcessedForTransaction", "It was answered.")


def _must_be(infraction: pb.Infraction, status: str) -> None:
    if infraction.status != status:
        raise Refused("InfractionReportOperationInvalid", f"It is {infraction.status}.")


def _of_counterparty(store: Store, id: str, participant: str) -> pb.Infraction:
    row = _mine(store, id, participant)
    if row["counterparty"] != participant:
        raise forbidden("Only its counterparty may.")
    return pb.Infraction.FromString(row["body"])


def _mine(store: Store, id: str, participant: str) -> sqlite3.Row:
    row: sqlite3.Row | None = store.db.execute(
        "SELECT * FROM infractions WHERE id = ?", (id,)
    ).fetchone()
    if row is None:
        raise not_found("infraction report")
    if participant not in (row["reporter"], row["counterparty"]):
        raise forbidden("The report is between others.")
    return row


def _keep(store: Store, infraction: pb.Infraction) -> pb.Infraction:
    now = store.stamp()
    infraction.modified_at.CopyFrom(timestamp(now))
    store.db.execute(
        "UPDATE infractions SET status = ?, modified_at = ?, body = ? WHERE id = ?",
        (infraction.status, now, infraction.SerializeToString(), infraction.id),
    )
    tasks.infraction_changed(store, infraction)
    return infraction


def _invalid(field: str, value: str) -> Refused:
    return Refused("InfractionReportInvalid", "Not for this.", field=field, value=value)
