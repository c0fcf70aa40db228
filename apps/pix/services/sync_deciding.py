"""A person decides whether so much is repaired: more than SYNC_REPAIR_PERCENT of a type."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals.contracts import Waiting
from apps.approvals.subject import Decided, SignedSubject
from apps.engine import process
from apps.pix.contracts.sync import (
    SYNC_KIND,
    Decision,
    DifferenceKind,
    DifferenceState,
    SyncStatus,
)
from apps.pix.models import SyncDifference, SyncRun, SyncVerdict
from apps.pix.services.sync_limits import is_too_much, pending_of
from apps.pix.services.sync_rows import SYNC, WAITS, record, unequal

#: Code of a difference that a person did not let be repaired.
REFUSED = "repair_refused"


def repair_ask(run: SyncRun) -> None:
    """Ask whether it is repaired; without a rule that needs a signature it is. Joins the
    transaction that has locked the run."""
    record(run, "sync_run.repair_asked", participant=run.participant, types=_counts(run))
    SIGNED.ask(run, as_of=timezone.now())


def repair_expire(run_id: str, *, as_of: datetime) -> Waiting:
    """Let the request expire at its time: nothing of what it asks for is repaired."""
    return SIGNED.expire(run_id, as_of=as_of)


def repair_read(run_id: str, *, signals: tuple[str, ...]) -> Waiting:
    """Return the state; signals that the outbox did not send are audited."""
    return SIGNED.read(run_id, signals=signals)


def differences_leave(run: SyncRun, verdict: SyncVerdict) -> None:
    """Leave what of the type waits for its repair. Joins the caller's transaction."""
    SyncDifference.objects.filter(
        run=run, key_type=verdict.key_type, state=DifferenceState.PENDING
    ).update(state=DifferenceState.LEFT, why=REFUSED, settled_at=timezone.now())


def _decided(run: SyncRun, decided: Decided, decision: Decision) -> None:
    run.status, run.decision = SyncStatus.RUNNING, decision
    process.save(SYNC, run, "status", "decision")
    record(
        run,
        f"sync_run.repair_{'approved' if decision == Decision.REPAIR else 'refused'}",
        by=decided.by,
        via=decided.via,
        code=decided.code,
        detail=decided.detail,
    )


def _approved(run: SyncRun, decided: Decided) -> None:
    _decided(run, decided, Decision.REPAIR)


def _rejected(run: SyncRun, decided: Decided) -> None:
    _decided(run, decided, Decision.LEAVE)


def _counts(run: SyncRun) -> dict[str, int]:
    return {v.key_type: pending_of(run, v) for v in unequal(run) if is_too_much(run, v)}


def _payload(run: SyncRun) -> dict[str, Any]:
    pending = SyncDifference.objects.filter(run=run, state=DifferenceState.PENDING)
    types = [
        {
            "key_type": verdict.key_type,
            "missing": pending.filter(
                key_type=verdict.key_type, kind=DifferenceKind.MISSING
            ).count(),
            "extra": pending.filter(key_type=verdict.key_type, kind=DifferenceKind.EXTRA).count(),
            "ours": verdict.ours,
            "theirs": verdict.theirs or 0,
        }
        for verdict in unequal(run)
        if is_too_much(run, verdict)
    ]
    return {
        "sync": str(run.pk),
        "participant": run.participant,
        "limit_percent": settings.SYNC_REPAIR_PERCENT,
        "types": types,
    }


def _title(run: SyncRun) -> str:
    return gettext("Repair the keys of {participant}").format(participant=run.participant)


SIGNED: SignedSubject[SyncRun, Waiting] = SignedSubject(
    row=SYNC,
    kind=SYNC_KIND,
    waits=WAITS,
    payload=_payload,
    title=_title,
    on_approved=_approved,
    on_rejected=_rejected,
    related=(),
)
