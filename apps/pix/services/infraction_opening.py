"""Where infractions come from: somebody here, a workflow that others started, or the directory."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.services import signals_judge
from apps.audit.contracts import ENGINE, Actor
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import clean_text, clean_workflow_id
from apps.engine import process
from apps.pix.contracts import INFRACTION, LONGEST_ID, Origin
from apps.pix.contracts.infractions import (
    InfractionFacts,
    InfractionReason,
    Situation,
)
from apps.pix.holders import clean_ispb
from apps.pix.infraction_rules import DUE_WITHIN, clean_report
from apps.pix.keys import clean_key
from apps.pix.models import Infraction
from apps.pix.services import infraction_rows as rows
from apps.pix.services.infraction_rows import PROCESS
from apps.pix.services.shared import ours_of

REPORT = "pix.report_infraction"
LONGEST_EMAIL, LONGEST_PHONE = 254, 20


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is known of an infraction when it comes, checked."""

    infraction_id: str = ""
    transaction_id: str = ""
    reason: str = InfractionReason.REFUND_REQUEST
    situation: str = Situation.UNKNOWN
    details: str = ""
    contact_email: str = ""
    contact_phone: str = ""
    reporter_ispb: str = ""
    counterparty_ispb: str = ""
    key_type: str = ""
    key: str = ""
    claim_id: str = ""

    def columns(self) -> dict[str, Any]:
        """Return the columns, with whose the sides are."""
        ours = ours_of(self.reporter_ispb, self.counterparty_ispb)
        return {
            **vars(self),
            "reporter_ours": self.reporter_ispb in ours,
            "counterparty_ours": self.counterparty_ispb in ours,
        }


# --- by somebody here -----------------------------------------------------------------------------
def infraction_report(
    *,
    transaction_id: str,
    reason: str,
    situation: str,
    reporter_ispb: str,
    by: User,
    via: str,
    as_of: datetime,
    infraction_id: str = "",
    counterparty_ispb: str = "",
    details: str = "",
    contact_email: str = "",
    contact_phone: str = "",
    key_type: str = "",
    key: str = "",
    claim_id: str = "",
    idempotency_key: str = "",
) -> tuple[Infraction, bool]:
    """Report an infraction for one of our participants; return it, and whether it is new. The
    directory is told by its workflow.

    Raises, each audited: NotAllowed `permission_denied`; Invalid `FIELD_invalid`,
    `details_required`, `key_invalid`, `ispb_invalid`, `not_our_participant`,
    `idempotency_key_invalid`; Conflict `infraction_already_open` (extra infraction_id),
    `infraction_id_taken`, `idempotency_key_reused`.
    """
    with process.audited(PROCESS, "report", by=by, via=via):
        if not by.has_perm(REPORT):
            raise NotAllowed(_("You may not report infractions."), code="permission_denied")
        report = clean_report(reason=reason, situation=situation, details=details)
        given = Given(
            infraction_id=_id(infraction_id, "infraction_id") or str(new_id()),
            transaction_id=_id(transaction_id, "transaction_id", required=True),
            reason=report.reason,
            situation=report.situation,
            details=report.details,
            contact_email=_line(contact_email, "contact_email", LONGEST_EMAIL),
            contact_phone=_line(contact_phone, "contact_phone", LONGEST_PHONE),
            reporter_ispb=clean_ispb(reporter_ispb, field="reporter_ispb"),
            counterparty_ispb=_ispb(counterparty_ispb, "counterparty_ispb"),
            claim_id=_id(claim_id, "claim_id"),
            **_key(key_type, key),
        )
        body = {**vars(given), "infraction_id": infraction_id}

        def columns() -> dict[str, Any]:
            found = given.columns()
            if not found["reporter_ours"]:
                raise Invalid(
                    _("Only one of our own participants can report it."),
                    code="not_our_participant",
                    field="reporter_ispb",
                )
            return {**found, **_times(as_of), "origin": Origin.HERE}

        def made(infraction: Infraction) -> None:
            _made(infraction, by=by, via=via, as_of=as_of)

        try:
            return process.ask_once(
                PROCESS,
                columns,
                made=made,
                by=by,
                key=idempotency_key,
                digest=digest(body),
                related=("requested_by",),
                as_of=as_of,
            )
        except IntegrityError:
            # The database has the last word: of two at once it lets one in.
            _check_free(given)
            raise


# --- by a workflow that others started ------------------------------------------------------------
def infraction_open(*, workflow_id: str, input: dict[str, Any], as_of: datetime) -> InfractionFacts:
    """Return the infraction of the input; make it if nobody has. A workflow under another id than
    the row's joins it: it is woken by the end.

    Raises as `infraction_read`, and Conflict `infraction_already_open`, Invalid
    `workflow_id_invalid`; all audited.
    """
    with process.audited(PROCESS, "report", by=ENGINE, via="engine"):
        given, asked_by = infraction_read(input)
        clean_workflow_id(workflow_id)
        with transaction.atomic(durable=True):
            infraction = _known_or_made(given, workflow_id, asked_by, as_of)
            if infraction.workflow_id != workflow_id:
                _join(infraction, workflow_id)
            return rows.facts_now(infraction, workflow_id=workflow_id)


def infraction_validate(*, input: dict[str, Any]) -> None:
    """Refuse an input that cannot become an infraction, audited. Raises as `infraction_read`."""
    with process.audited(PROCESS, "report", by=ENGINE, via="engine"):
        infraction_read(input)


def infraction_look(
    *, row_id: UUID | str, workflow_id: str, signals: Iterable[str] = ()
) -> InfractionFacts:
    """Return the infraction's state. `signals` woke the workflow: those that the outbox did not
    send are audited while its request is open. Raises NotFound."""
    infraction = Infraction.objects.filter(pk=process.id_of(PROCESS, row_id)).first()
    if infraction is None:
        raise process.unknown(PROCESS)
    facts = rows.facts_now(infraction, workflow_id=workflow_id)
    if facts.request_status == RequestStatus.OPEN and facts.mine:
        signals_judge(request_id=facts.request_id, commands=signals)
    return facts


def infraction_read(input: dict[str, Any]) -> tuple[Given, str]:
    """Return what an input from outside says, and who asked for it.

    `{infraction_id, transaction_id?, reason?, situation?, details?, reporter_ispb?,
    counterparty_ispb?, key?, key_type?, claim_id?, requested_by?}`; an empty or missing value is
    none. Raises Invalid `FIELD_invalid`, `details_required`, `key_invalid`, `key_type_invalid`,
    `ispb_invalid`, `invisible_characters`.
    """
    details = _line(input.get("details"), "details", 2000, multiline=True)
    situation = input.get("situation") or ""
    if not situation:
        # The details are kept either way; without a word for it the directory calls it OTHER.
        situation = Situation.OTHER if details else Situation.UNKNOWN
    reason = input.get("reason") or InfractionReason.REFUND_REQUEST
    if situation != Situation.UNKNOWN:
        report = clean_report(reason=reason, situation=situation, details=details)
        reason, situation = report.reason, Situation(report.situation)
    elif reason not in tuple(InfractionReason):
        raise Invalid(_("The directory does not know this reason."), code="reason_invalid")
    given = Given(
        infraction_id=_id(input.get("infraction_id"), "infraction_id", required=True),
        transaction_id=_id(input.get("transaction_id"), "transaction_id"),
        reason=InfractionReason(reason),
        situation=situation,
        details=details,
        reporter_ispb=_ispb(input.get("reporter_ispb"), "reporter_ispb"),
        counterparty_ispb=_ispb(input.get("counterparty_ispb"), "counterparty_ispb"),
        claim_id=_id(input.get("claim_id"), "claim_id"),
        **_key(input.get("key_type"), input.get("key")),
    )
    return given, _line(input.get("requested_by"), "requested_by", 150)


def _known_or_made(given: Given, workflow_id: str, asked_by: str, as_of: datetime) -> Infraction:
    if known := _locked(infraction_id=given.infraction_id):
        return known
    row = Infraction(
        **given.columns(),
        **_times(as_of),
        id=new_id(),
        origin=Origin.ENGINE,
        workflow_id=workflow_id,
        request_digest=digest(vars(given)),
        created_at=as_of,
    )
    # Two at once: the second waits here, and then joins the row of the first.
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if known := _locked(infraction_id=given.infraction_id):
            return known
        _check_free(given)
        if other := _locked(workflow_id=workflow_id):
            raise Conflict(
                filled(
                    _("This workflow carries the infraction {infraction_id}."),
                    infraction_id=other.infraction_id,
                ),
                code="workflow_id_taken",
            ) from None
        raise
    _made(row, by=ENGINE, via="engine", as_of=as_of, asked_by=asked_by)
    process.tell(PROCESS, row, "status")
    failpoint("infraction_open.uncommitted")
    return row


def _join(infraction: Infraction, workflow_id: str) -> None:
    known = workflow_id in infraction.joined
    if infraction.has_ended or known or len(infraction.joined) >= rows.MOST_JOINED:
        # Beyond that, it looks again by itself.
        return
    infraction.joined = [*infraction.joined, workflow_id]
    process.save(PROCESS, infraction, "joined", quietly=True)
    rows.record(infraction, f"{INFRACTION}.joined", workflow_id=workflow_id)


# --- helpers --------------------------------------------------------------------------------------
def _made(
    infraction: Infraction, *, by: Actor, via: str, as_of: datetime, asked_by: str = ""
) -> None:
    """Write what belongs to a new row: what is owed, its first event, and the audit entry."""
    infraction.owed = rows.owed_of(infraction)
    Infraction.objects.filter(pk=infraction.pk).update(owed=infraction.owed)
    rows.event_of_status(infraction, as_of=as_of)
    said = {"asked_by": asked_by} if asked_by else {}
    rows.record(
        infraction,
        f"{INFRACTION}.created",
        by=by,
        via=via,
        infraction_id=infraction.infraction_id,
        transaction_id=infraction.transaction_id,
        reason=infraction.reason,
        situation=infraction.situation,
        origin=infraction.origin,
        **said,
    )


made = _made


def _times(as_of: datetime) -> dict[str, Any]:
    return {"received_at": as_of, "due_at": as_of + DUE_WITHIN}


times = _times


def _locked(**where: Any) -> Infraction | None:
    return Infraction.objects.select_for_update(no_key=True).filter(**where).first()


def _check_free(given: Given) -> None:
    """Raise Conflict if another infraction has the id, or is open for the payment."""
    found = Infraction.objects.filter(infraction_id=given.infraction_id).first()
    if found is not None:
        raise Conflict(
            _("There is an infraction with this id."),
            code="infraction_id_taken",
            infraction_id=found.infraction_id,
        )
    same = Infraction.objects.unsettled().filter(
        transaction_id=given.transaction_id, reason=given.reason
    )
    other = same.first() if given.transaction_id else None
    if other is not None:
        raise Conflict(
            filled(
                _("The payment has an open infraction: {infraction_id}."),
                infraction_id=other.infraction_id,
            ),
            code="infraction_already_open",
            infraction_id=other.infraction_id,
        )


def _id(raw: object, field: str, *, required: bool = False) -> str:
    text = "" if raw is None else raw
    if not required and text == "":
        return ""
    return clean_text(text, field=field, limit=LONGEST_ID)  # type: ignore[arg-type]


def _line(raw: object, field: str, limit: int, *, multiline: bool = False) -> str:
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return ""
    return clean_text(raw, field=field, limit=limit, multiline=multiline)  # type: ignore[arg-type]


def _ispb(raw: object, field: str) -> str:
    return "" if raw is None or raw == "" else clean_ispb(raw, field=field)


def _key(key_type: object, key: object) -> dict[str, str]:
    """Return the key and its type, both or neither. Raises Invalid `key_type_invalid`,
    `key_invalid`."""
    if key_type in (None, "") and key in (None, ""):
        return {"key_type": "", "key": ""}
    return {"key": clean_key(key_type, key), "key_type": str(key_type)}  # type: ignore[arg-type]
