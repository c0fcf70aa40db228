"""Finds and counts a run's items."""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet

from apps.engine.contracts import RunProgress
from apps.engine.runs.spec import R, RunSpec


def items_of(spec: RunSpec[R], run_id: UUID) -> "QuerySet[Any]":
    """Return all items of the run, unordered."""
    rows: QuerySet[Any] = spec.items._default_manager.filter(**{spec.run: run_id})
    return rows


def progress_of(spec: RunSpec[R], run: R) -> RunProgress:
    """Count the run's items by status. An index on run and status is used: a counter column would
    be a row that every item locks."""
    return progress_by_run(spec, [run])[run.pk]


def progress_by_run(spec: RunSpec[R], found: Iterable[R]) -> dict[UUID, RunProgress]:
    """As `progress_of`, for many runs in one query."""
    counts = counts_by_run(spec, found)
    return {pk: RunProgress(total=one.total(), **one) for pk, one in counts.items()}


def counts_by_run(spec: RunSpec[R], found: Iterable[R]) -> dict[UUID, Counter[str]]:
    """As `progress_by_run`, as counters by status; a status without items counts 0."""
    counts: dict[UUID, Counter[str]] = {run.pk: Counter() for run in found}
    rows = spec.items._default_manager.filter(**{f"{spec.run}__in": list(counts)}).order_by()
    for run_id, status, number in rows.values_list(spec.run, "status").annotate(n=Count("pk")):
        counts[run_id][status] = number
    return counts
