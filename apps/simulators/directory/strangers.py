"""The participants that are not ours do what is theirs to do."""

from typing import Any
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import claims, entries, infractions
from apps.simulators.directory.refusals import Refused
from apps.simulators.directory.store import PARTICIPANTS, Store

#: One person and one company, known at every stranger's; the keys' numbers differ.
PERSON = pb.Owner(type="NATURAL_PERSON", tax_id="11122233396", name="Maria Aparecida Souza")
COMPANY = pb.Owner(
    type="LEGAL_PERSON", tax_id="11222333000181", name="Padaria Aurora Ltda", trade_name="Aurora"
)


def settle(store: Store) -> None:
    """Do what is due, and what follows from it."""
    while tasks := store.db.execute(
        "DELETE FROM tasks WHERE at <= ? RETURNING kind, subject", (store.now(),)
    ).fetchall():
        for task in tasks:
            try:
                _DO[task["kind"]](store, task["subject"])
            except Refused:
                # Meanwhile it has become something else.
                continue


def seed(store: Store) -> None:
    """Give every stranger a phone and an e-mail address, once."""
    for number, (ispb, _name, behaviour) in enumerate(PARTICIPANTS):
        if behaviour == "ours":
            continue
        for key_type, key, owner in (
            ("PHONE", f"+55119900000{number:02}", PERSON),
            ("EMAIL", f"padaria{number}@aurora.example", COMPANY),
        ):
            if entries.find(store, key) is not None:
                continue
            account = pb.Account(participant=ispb, branch="0001", number="0007654321", type="CACC")
            entry = pb.Entry(key_type=key_type, key=key, account=account, owner=owner)
            row = entries.row_of(entry, str(uuid4()))
            now = store.stamp()
            entries.added(store, row, created_at=now, owned_since=now, silently=True)


def _claim(store: Store, id: str) -> tuple[pb.Claim, str, str]:
    row = store.db.execute("SELECT * FROM claims WHERE id = ?", (id,)).fetchone()
    return pb.Claim.FromString(row["body"]), row["donor"], row["claimer"]


def _acknowledge(store: Store, id: str) -> None:
    _found, donor, _claimer = _claim(store, id)
    claims.acknowledge(store, pb.AcknowledgeClaimRequest(id=id, participant=donor))


def _confirm(store: Store, id: str, reason: str = "USER_REQUESTED") -> None:
    _found, donor, _claimer = _claim(store, id)
    claims.confirm(store, pb.ConfirmClaimRequest(id=id, participant=donor, reason=reason))


def _refuse(store: Store, id: str) -> None:
    claim, donor, _claimer = _claim(store, id)
    reason = "FRAUD" if claim.type == "OWNERSHIP" else "USER_REQUESTED"
    claims.cancel(store, pb.CancelClaimRequest(id=id, participant=donor, reason=reason))


def _default(store: Store, id: str) -> None:
    """Its user said nothing: what the rules say then."""
    claim, donor, _claimer = _claim(store, id)
    if claim.type == "OWNERSHIP":
        _confirm(store, id, "DEFAULT_OPERATION")
    else:
        request = pb.CancelClaimRequest(id=id, participant=donor, reason="DEFAULT_OPERATION")
        claims.cancel(store, request)


def _complete(store: Store, id: str) -> None:
    _found, _donor, claimer = _claim(store, id)
    claims.complete(
        store, pb.CompleteClaimRequest(id=id, participant=claimer, request_id=str(uuid4()))
    )


def _give_up(store: Store, id: str) -> None:
    _found, _donor, claimer = _claim(store, id)
    claims.cancel(
        store, pb.CancelClaimRequest(id=id, participant=claimer, reason="DEFAULT_OPERATION")
    )


def _see(store: Store, id: str) -> None:
    request = pb.AcknowledgeInfractionRequest(id=id, participant=_counterparty(store, id))
    infractions.acknowledge(store, request)


def _agree(store: Store, id: str) -> None:
    _close(store, id, analysis_result="AGREED", fraud_type="SCAMMER_ACCOUNT")


def _disagree(store: Store, id: str) -> None:
    _close(store, id, analysis_result="DISAGREED")


def _close(store: Store, id: str, **answer: str) -> None:
    request = pb.CloseInfractionRequest(id=id, participant=_counterparty(store, id), **answer)
    infractions.close(store, request)


def _counterparty(store: Store, id: str) -> str:
    row = store.db.execute("SELECT counterparty FROM infractions WHERE id = ?", (id,)).fetchone()
    return str(row["counterparty"])


_DO: dict[str, Any] = {
    "acknowledge": _acknowledge,
    "confirm": _confirm,
    "refuse": _refuse,
    "default": _default,
    "complete": _complete,
    "give_up": _give_up,
    "see": _see,
    "agree": _agree,
    "disagree": _disagree,
}
