"""The items of a run: found, counted, listed."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count, QuerySet

from apps.engine.contracts import RunProgress
from apps.engine.models_abstract import RunItem
from apps.engine.runs.spec import R, RunSpec

Item = TypeVar("Item", bound=RunItem)


def items_of(spec: RunSpec[R], run_id: UUID) -> "QuerySet[Any]":
    """All items of the run, in any order."""
    rows: QuerySet[Any] = spec.items._default_manager.filter(**{spec.run: run_id})
    return rows


def items_page(
    rows: "QuerySet[Item]", *, after: int | None, limit: int
) -> tuple[list[Item], int | None]:
    """The first `limit` of these items whose number is above `after`, in order; and the last
    number among them, where more follow."""
    rows = rows.order_by("number")
    if after is not None:
        rows = rows.filter(number__gt=after)
    found = list(rows[: limit + 1])
    return found[:limit], found[limit - 1].number if len(found) > limit else None


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
