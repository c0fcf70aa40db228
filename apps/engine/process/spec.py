"""Describes a kind of row that a workflow carries."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from django.db import models
from django.db.models import QuerySet

from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.common.validation import WORKFLOW_ID
from apps.engine.contracts import RunStatus

R = TypeVar("R", bound=models.Model)


@dataclass(frozen=True)
class Carrier(Generic[R]):
    """A workflow that may carry the row.

    `ref(row, again)` returns its input; `again` is False for the row's first start only. `backstop`
    is the server-side timeout in seconds. `workflow_id(row)` returns its id where that differs from
    the row's own: such a workflow always runs again under the same id.
    """

    workflow: str
    ref: Callable[[R, bool], object]
    backstop: float
    workflow_id: Callable[[R], str] | None = None


@dataclass(frozen=True, kw_only=True)
class SubjectRow(Generic[R]):
    """Describes a kind of row for audit trail, links and pages: its names and live topics.

    `lock(id)` locks and returns the row where that takes more than `locked` does. `topic` is
    updated at every change of a row, `list_topics` when the status changes; those in
    `shared_topics` belong to another app. `noun` is its name for programs, as in names of
    activities; `missing` says that there is no such row, `opens` is the text of a link to one.
    """

    subject: str
    title: str
    noun: str
    model: type[R]
    url_name: str
    lock: Callable[[UUID | str], R] | None = None
    topic: str = ""
    list_topics: tuple[str, ...] = ()
    shared_topics: tuple[str, ...] = ()
    missing: str = _("It does not exist.")
    opens: str = _("Open what it is about")

    @property
    def topic_name(self) -> str:
        return self.topic or self.subject


@dataclass(frozen=True, kw_only=True)
class Process(SubjectRow[R]):
    """Describes a kind of row that a workflow carries.

    `needs(row)` is the workflow that the row should have in its current state; None when it has
    ended. `open_rows()` are those for which `needs` is not None and nobody else is responsible.
    `own_id`: the workflow's id is in the row's `id_field` from the start and is not made of the
    subject and the row's id; `keeps_id` must be true then.
    `foreign_ids`: others start the workflow, too, under ids that they choose; the row's `id_field`,
    a unique column, then holds such an id, and `keeps_id` must be true for the row.
    `keeps_id(row)`: a second run takes the id of the first, because something else names it;
    Temporal then runs it only if the last run failed. Otherwise each run has its own number, stored
    in the column `id_field`. `id_tail` follows the row's id in the workflow's id; `id_tails` may.
    `most_runs`: after so many runs ended from outside `restart` leaves the row alone, because
    somebody ends them on purpose; 0: no limit. Runs that Temporal has lost do not count.
    `unversioned`: a change of the workflow that carries the row is invisible to readers.
    `forgotten`: the statuses of the newest run, besides being unknown, that make a row stranded.
    """

    queue: str
    carriers: tuple[Carrier[R], ...]
    needs: Callable[[R], Carrier[R] | None]
    open_rows: Callable[[], "QuerySet[R]"]
    keeps_id: Callable[[R], bool] = lambda row: False
    own_id: bool = False
    foreign_ids: bool = False
    id_field: str = "workflow_id"
    id_tail: str = ""
    id_tails: tuple[str, ...] = ()
    unversioned: bool = False
    most_runs: int = 0
    forgotten: tuple[RunStatus, ...] = (RunStatus.LOST,)


def workflow_id_of(process: Process[R], pk: object, number: int = 1) -> str:
    """Return the id of the row's workflow of that number; the first has no number in it."""
    first = f"{process.subject}-{pk}{process.id_tail}"
    return first if number == 1 else f"{first}-{number}"


def subjects_of(process: Process[R], workflow_ids: Collection[str]) -> dict[str, str]:
    """Return workflow id → the row's id, for the workflows of this process; at most one query."""
    found = {} if process.own_id else _by_pattern(process, workflow_ids)
    if not (process.own_id or process.foreign_ids):
        return found
    asked = [
        workflow_id
        for workflow_id in workflow_ids
        if workflow_id not in found
        # Without foreign ids another one was started by hand: its search attribute names the row.
        and (process.foreign_ids or workflow_id.startswith(f"{process.subject}-"))
        # No row has another one (`clean_workflow_id`); an empty one is that of rows before a start.
        and WORKFLOW_ID.fullmatch(workflow_id)
    ]
    if asked:
        rows = process.model._default_manager.filter(**{f"{process.id_field}__in": asked})
        found |= {name: str(pk) for name, pk in rows.values_list(process.id_field, "pk")}
    return found


def _by_pattern(process: Process[R], workflow_ids: Collection[str]) -> dict[str, str]:
    tails = "|".join(re.escape(tail) for tail in process.id_tails)
    pattern = re.compile(
        rf"{re.escape(process.subject)}-(?P<row>[0-9a-f-]{{36}}){re.escape(process.id_tail)}"
        rf"(?:{tails})?(?:-[1-9][0-9]{{0,8}})?",
        re.ASCII,
    )
    matches = {workflow_id: pattern.fullmatch(workflow_id) for workflow_id in workflow_ids}
    rows = {name: uuid_of(match["row"]) for name, match in matches.items() if match}
    return {name: str(pk) for name, pk in rows.items() if pk}
