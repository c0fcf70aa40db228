"""The items of a run: found, and counted."""

from collections import Counter
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
    return progress_by_run(spec, [run])[run.pk]


def progress_by_run(spec: RunSpec[R], found: Iterable[R]) -> dict[UUID, RunProgress]:
    """The same of many, in one query."""
    counts = counts_by_run(spec, found)
    return {pk: RunProgress(total=one.total(), **one) for pk, one in counts.items()}


def counts_by_run(spec: RunSpec[R], found: Iterable[R]) -> dict[UUID, Counter[str]]:
    """The same by the items' statuses; of one that no item has there is 0."""
    counts: dict[UUID, Counter[str]] = {run.pk: Counter() for run in found}
    rows = spec.items._default_manager.filter(**{f"{spec.run}__in": list(counts)}).order_by()
    for run_id, status, number in rows.values_list(spec.run, "status").annotate(n=Count("pk")):
        counts[run_id][status] = number
    return counts
