"""What a row carried by a workflow is, said once by its domain."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from django.db import models
from django.db.models import QuerySet

from apps.common.identifiers import uuid_of
from apps.engine.contracts import RunStatus

R = TypeVar("R", bound=models.Model)


@dataclass(frozen=True)
class Carrier(Generic[R]):
    """A workflow that may carry the row.

    `ref(row, again)` makes its input; `again` is False for the row's first start only. `backstop`
    is the server-side timeout in seconds. `workflow_id(row)` says its id where that is not the
    row's own: such a one always runs again under the same id.
    """

    workflow: str
    ref: Callable[[R, bool], object]
    backstop: float
    workflow_id: Callable[[R], str] | None = None


@dataclass(frozen=True, kw_only=True)
class SubjectRow(Generic[R]):
    """A kind of row that the trail, links and pages know: its names, and where changes are told.

    `lock(id)` gives the locked row where locking it takes more than `locked` does. `topic` is told
    of every change of a row, `list_topics` when the status changes; those in `shared_topics` are
    another app's.
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

    @property
    def topic_name(self) -> str:
        return self.topic or self.subject


@dataclass(frozen=True, kw_only=True)
class Process(SubjectRow[R]):
    """A kind of row that a workflow carries.

    `needs(row)` is the workflow that the row, as it stands, ought to have; None when it has ended.
    `open_rows()` are those for which `needs` is not None and nobody else looks after them.
    `keeps_id(row)`: a second run takes the id of the first, because something else names it; the
    engine then runs it only if the last run failed. Otherwise each has a number of its own, kept in
    the column `id_field`. `id_tail` follows the row's id in the workflow's id; `id_tails` may.
    `most_runs`: after so many that somebody has ended `restart` leaves the row alone, because it
    is meant; 0: never. Runs that the engine has lost do not count.
    `unversioned`: which workflow carries the row is nothing that its readers see.
    `forgotten`: what the newest run may be when the row is stranded, beside not being known.
    """

    queue: str
    carriers: tuple[Carrier[R], ...]
    needs: Callable[[R], Carrier[R] | None]
    open_rows: Callable[[], "QuerySet[R]"]
    keeps_id: Callable[[R], bool] = lambda row: False
    id_field: str = "workflow_id"
    id_tail: str = ""
    id_tails: tuple[str, ...] = ()
    unversioned: bool = False
    most_runs: int = 0
    forgotten: tuple[RunStatus, ...] = (RunStatus.LOST,)


def workflow_id_of(process: Process[R], pk: object, number: int = 1) -> str:
    """The id of the row's workflow of that number; the first has none."""
    first = f"{process.subject}-{pk}{process.id_tail}"
    return first if number == 1 else f"{first}-{number}"


def subject_of(process: Process[R], workflow_id: str) -> str:
    """The row's id out of the id of one of its workflows, or nothing."""
    tails = "|".join(re.escape(tail) for tail in process.id_tails)
    found = re.fullmatch(
        rf"{re.escape(process.subject)}-(?P<row>[0-9a-f-]{{36}}){re.escape(process.id_tail)}"
        rf"(?:{tails})?(?:-[1-9][0-9]{{0,8}})?",
        workflow_id,
        re.ASCII,
    )
    pk = uuid_of(found["row"]) if found else None
    return str(pk) if pk else ""
