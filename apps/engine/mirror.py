"""Writes the mirror: merges what several observers saw of runs, so that it never goes back."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from apps.engine import subjects
from apps.engine.contracts import RunStatus


@dataclass(frozen=True)
class Observation:
    """What an observer saw of a run. `confirmed`: the server itself reported it, at `seen_at`.

    Without a subject, the subject is looked up: by the start command, else by the subjects' own
    rules.
    """

    workflow_id: str
    run_id: str
    workflow_type: str
    task_queue: str
    status: RunStatus
    seen_at: datetime
    confirmed: bool
    started_at: datetime | None = None
    closed_at: datetime | None = None
    subject_type: str = ""
    subject_id: str = ""


#: Precedence: an end overwrites "running"; the server overwrites a worker. The server's "running"
#: undoes an end only if it is later than the report of that end: a server can refuse a worker's
#: completion, and an answer can be older than the end.
_UPSERT = """
INSERT INTO engine_workflowrun AS run (
    workflow_id, run_id, workflow_type, task_queue, status, confirmed, subject_type, subject_id,
    started_at, closed_at, seen_at)
SELECT o.workflow_id, o.run_id, o.workflow_type, o.task_queue, o.status, o.confirmed,
       o.subject_type, o.subject_id,
       COALESCE(o.started_at, o.closed_at, o.seen_at), o.closed_at, o.seen_at
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bool[], %s::text[],
            %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
     AS o(workflow_id, run_id, workflow_type, task_queue, status, confirmed, subject_type,
          subject_id, started_at, closed_at, seen_at)
ORDER BY o.workflow_id, o.run_id
ON CONFLICT (workflow_id, run_id) DO UPDATE SET
    workflow_type = COALESCE(NULLIF(EXCLUDED.workflow_type, ''), run.workflow_type),
    task_queue = COALESCE(NULLIF(EXCLUDED.task_queue, ''), run.task_queue),
    status = EXCLUDED.status,
    confirmed = EXCLUDED.confirmed,
    subject_type = COALESCE(NULLIF(run.subject_type, ''), EXCLUDED.subject_type),
    subject_id = COALESCE(NULLIF(run.subject_id, ''), EXCLUDED.subject_id),
    started_at = LEAST(run.started_at, EXCLUDED.started_at),
    closed_at = EXCLUDED.closed_at,
    seen_at = GREATEST(run.seen_at, EXCLUDED.seen_at)
WHERE CASE
    WHEN run.status = 'running' THEN
        EXCLUDED.status <> 'running' OR (
            EXCLUDED.confirmed
            AND (NOT run.confirmed OR EXCLUDED.seen_at > run.seen_at + interval '1 minute'))
    WHEN run.confirmed THEN false
    ELSE EXCLUDED.confirmed AND (EXCLUDED.status <> 'running' OR EXCLUDED.seen_at > run.seen_at)
END
RETURNING run.id
"""


#: The subject that the newest start command of a workflow names.
_STARTED = """
SELECT DISTINCT ON (workflow_id) workflow_id, subject_type, subject_id
FROM engine_enginecommand
WHERE workflow_id = ANY(%s) AND kind = 'start'
ORDER BY workflow_id, id DESC
"""


def runs_observe(observations: Sequence[Observation]) -> list[int]:
    """Merge the observations into the mirror; return the ids of changed rows. Joins the caller's
    transaction.

    All writers lock rows in the same order, so batches do not deadlock. A run whose id or type our
    columns do not hold is not ours and is left out alone: it must not make its batch fail.
    """
    changed: list[int] = []
    for batch in _without_twins(filter(_fits, observations)):
        with connection.cursor() as cursor:
            cursor.execute(_UPSERT, _columns(batch))
            changed += [row[0] for row in cursor.fetchall()]
    return changed


def _fits(seen: Observation) -> bool:
    texts = (seen.workflow_type, seen.task_queue, seen.run_id)
    if any("\0" in text for text in (seen.workflow_id, *texts)):
        return False
    return len(seen.workflow_id) <= 200 and max(map(len, texts)) <= 80


def _columns(batch: Sequence[Observation]) -> list[list[object]]:
    known = _subjects_of({seen.workflow_id for seen in batch if not seen.subject_type})
    rows = []
    for seen in batch:
        subject = (
            (seen.subject_type, seen.subject_id)
            if seen.subject_type
            else known.get(seen.workflow_id, ("", ""))
        )
        closed_at = seen.closed_at or timezone.now() if seen.status.closed else None
        rows.append(
            (
                *(seen.workflow_id, seen.run_id, seen.workflow_type, seen.task_queue),
                *(seen.status.value, seen.confirmed, *subject),
                *(seen.started_at, closed_at, seen.seen_at),
            )
        )
    return [list(column) for column in zip(*rows, strict=True)]


def _subjects_of(workflow_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the subjects that are known: by start commands, else by the subjects' own rules."""
    if not workflow_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_STARTED, [sorted(workflow_ids)])
        started = {workflow_id: (kind, row) for workflow_id, kind, row in cursor.fetchall()}
    return started | subjects.identify_many(set(workflow_ids) - started.keys())


def _without_twins(observations: Iterable[Observation]) -> list[list[Observation]]:
    """Split into batches, in order, in which no run occurs twice: one INSERT cannot touch a row
    twice."""
    batches: list[list[Observation]] = []
    times: dict[tuple[str, str], int] = {}
    for seen in observations:
        key = (seen.workflow_id, seen.run_id)
        turn = times[key] = times.get(key, -1) + 1
        if turn == len(batches):
            batches.append([])
        batches[turn].append(seen)
    return batches
