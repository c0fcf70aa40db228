"""The end of a synchronisation: what it came to, as a document that is kept, an event, files."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from apps.common import csvio
from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.contracts.sync import DifferenceState, SyncFacts, SyncPhase, SyncStatus
from apps.pix.models import SyncDifference, SyncRun, SyncVerdict
from apps.pix.services.events import event_emit
from apps.pix.services.sync_overdue import overdue_clear
from apps.pix.services.sync_rows import SYNC, end, facts_of, record, run_of
from apps.pix.sync.report import MOST_SHOWN, render

#: Columns of the CSV file.
COLUMNS = (
    "key_type",
    "kind",
    "state",
    "why",
    "detail",
    "key",
    "cid",
    "cid_before",
    "before",
    "after",
    "settled_at",
)


def sync_report(run_id: str) -> SyncFacts:
    """Write the report and end the run: `ok` when both sides are equal in every type, else
    `differs`. No-op for a run that is not there yet, or has ended. Raises NotFound."""
    with transaction.atomic(durable=True):
        run = process.locked(SYNC, run_id)
        if run.status == SyncStatus.RUNNING and run.phase == SyncPhase.REPORT:
            _end(run)
            failpoint("sync.report_uncommitted")
    return facts_of(run_of(run_id))


def report_of(run: SyncRun) -> dict[str, Any]:
    """Return the report of a run, as far as it is: per type both verdicts, counts of both sides,
    and the number of differences by kind, state and why they were left."""
    tallies = _tallies(run)
    return {
        "participant": run.participant,
        "types": [
            _of_type(verdict, tallies.get(verdict.key_type, []))
            for verdict in run.verdicts.order_by("id")
        ],
    }


def report_csv(run: SyncRun) -> Iterator[bytes]:
    """Yield the differences as CSV, read in parts. Keys are masked."""
    rows = SyncDifference.objects.filter(run=run)

    def part(last: SyncDifference | None, most: int) -> list[SyncDifference]:
        following = rows if last is None else rows.filter(pk__gt=last.pk)
        return list(following.order_by("pk")[:most])

    return csvio.export((line_of(one) for one in csvio.in_parts(part)), COLUMNS)


def report_pdf(run: SyncRun) -> bytes:
    """Return the report of an ended run as PDF. Raises Conflict `sync_not_ended`."""
    if not run.has_ended:
        raise Conflict(
            _("The report is written when the synchronisation has ended."), code="sync_not_ended"
        )
    rows = SyncDifference.objects.filter(run=run).order_by("-state", "pk")[:MOST_SHOWN]
    return render(run, run.report or report_of(run), [line_of(row) for row in rows])


def line_of(row: SyncDifference) -> dict[str, Any]:
    """Return a difference as the report and the API say it. Without personal data."""
    return {
        "id": row.pk,
        "key_type": row.key_type,
        "kind": row.kind,
        "state": row.state,
        "why": row.why,
        "detail": row.detail,
        "key": row.key,
        "cid": bytes(row.cid).hex(),
        "cid_before": bytes(row.ours).hex() if row.ours is not None else "",
        "before": row.before,
        "after": row.after,
        "settled_at": row.settled_at,
    }


def file_name(run: SyncRun, extension: str) -> str:
    """Return the name of a report's file."""
    return f"sync-{run.participant}-{run.created_at:%Y%m%d-%H%M}.{extension}"


# --- helpers --------------------------------------------------------------------------------------
def _end(run: SyncRun) -> None:
    now = timezone.now()
    verdicts = list(run.verdicts.all())
    equal = all(verdict.before or verdict.after for verdict in verdicts)
    status = SyncStatus.OK if equal else SyncStatus.DIFFERS
    failed = next((one for one in verdicts if one.error_code), None)
    run.report = report_of(run)
    end(
        run,
        status,
        as_of=now,
        code=failed.error_code if failed else "",
        detail=f"{failed.key_type}: {failed.error_detail}" if failed else "",
        fields=("report",),
    )
    record(run, f"sync_run.{status}", **run.report)
    if status == SyncStatus.OK:
        overdue_clear(run.participant, as_of=now)
    event_emit(
        type="sync.completed",
        key=run.participant,
        occurred_at=now,
        data={"sync_run": str(run.pk), "status": str(status), **run.report},
    )


def _tallies(run: SyncRun) -> dict[str, list[tuple[str, str, str, int]]]:
    rows = (
        SyncDifference.objects.filter(run=run)
        .values_list("key_type", "kind", "state", "why")
        .annotate(n=Count("id"))
        .order_by("key_type", "kind", "state", "why")
    )
    found: dict[str, list[tuple[str, str, str, int]]] = {}
    for key_type, *rest in rows:
        found.setdefault(key_type, []).append(tuple(rest))
    return found


def _of_type(verdict: SyncVerdict, tallies: list[tuple[str, str, str, int]]) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    states: dict[str, int] = {}
    why: dict[str, int] = {}
    for kind, state, reason, number in tallies:
        kinds[kind] = kinds.get(kind, 0) + number
        states[state] = states.get(state, 0) + number
        if state == DifferenceState.LEFT:
            why[reason] = why.get(reason, 0) + number
    return {
        "key_type": verdict.key_type,
        "before": verdict.before,
        "after": verdict.after,
        "ours": verdict.ours,
        "theirs": verdict.theirs,
        "log_events": verdict.log_events,
        "kinds": kinds,
        "states": states,
        "left": why,
        "error_code": verdict.error_code,
        "error_detail": verdict.error_detail,
    }
