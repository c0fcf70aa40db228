"""The items of a run: found, and counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet

from apps.engine.contracts import RunProgress
from apps.engine.runs.spec import R, RunSpec


def items_of(spec: RunSpec[R], run_id: UUID) -> "QuerySet[Any]":
    """All items of the run, in any order."""
    rows: QuerySet[Any] = spec.items._default_manager.filter(**{spec.run: run_id})
    return rows


def progress_of(spec: RunSpec[R], run: R) -> RunProgress:
    """How many items stand where. Counted by an index on the run and the status: a counter would be
    a row that all items want."""
    return progress_by_run(spec, [run.pk])[run.pk]


def progress_by_run(spec: RunSpec[R], run_ids: Iterable[UUID]) -> dict[UUID, RunProgress]:
    """The same of many, in one query."""
    ids = list(run_ids)
    counts: dict[UUID, Counter[str]] = defaultdict(Counter)
    rows = spec.items._default_manager.filter(**{f"{spec.run}__in": ids}).order_by()
    for run_id, status, number in rows.values_list(spec.run, "status").annotate(n=Count("pk")):
        counts[run_id][status] = number
    return {pk: RunProgress(total=counts[pk].total(), **counts[pk]) for pk in ids}
