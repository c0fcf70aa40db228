"""Finds and counts a run's items."""

from collections import Counter, defaultdict
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
    return progress_by_run(spec, [run.pk])[run.pk]


def progress_by_run(spec: RunSpec[R], run_ids: Iterable[UUID]) -> dict[UUID, RunProgress]:
    """As `progress_of`, for many runs in one query."""
    ids = list(run_ids)
    counts: dict[UUID, Counter[str]] = defaultdict(Counter)
    rows = spec.items._default_manager.filter(**{f"{spec.run}__in": ids}).order_by()
    for run_id, status, number in rows.values_list(spec.run, "status").annotate(n=Count("pk")):
        counts[run_id][status] = number
    return {pk: RunProgress(total=counts[pk].total(), **counts[pk]) for pk in ids}
