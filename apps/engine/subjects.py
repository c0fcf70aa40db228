"""Subjects: whose rows workflows belong to, and what the engine calls when a workflow ends or is
lost.

A domain registers its subjects in `AppConfig.ready()`; the engine imports no domain.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun


@dataclass(frozen=True)
class EngineSubject:
    """A kind of row that has workflows.

    `restart(id)` starts the row's workflow again from the row; called outside a transaction.
    `on_undeliverable(command)` runs in the transaction that settles a command that can never
    arrive. If it raises, both are rolled back and retried.
    `on_closed(id, run)` runs in a transaction when the server has confirmed that the workflow's
    newest run ended; at least once, so it must be idempotent. Not called for runs that continued as
    new, were superseded by a newer run, or that the server has lost (`stranded` finds those). Also
    called for child workflows that carry the row's search attribute: look at `run.workflow_id`.
    `stranded()` returns ids (at most a few hundred) of rows whose workflow should run and which the
    mirror does not know as running; not those whose newest start an operator has discarded.
    `workflow_types` are watched by the sweeper even if started without our search attribute;
    `subjects_of(workflow_ids)` then returns workflow id → id of its row, for those of its own, with
    at most one query; the ids are anybody's, and may be any text.
    `ended(ids)` returns those rows whose start commands are not needed: the row has ended, and the
    number of any further run does not depend on its commands. Only these are deleted with age;
    without it every start command of the type is kept.
    """

    type: str
    title: str
    restart: Callable[[str], None]
    on_undeliverable: "Callable[[EngineCommand], None]"
    on_closed: "Callable[[str, WorkflowRun], None]"
    url: Callable[[str], str]
    stranded: Callable[[], Iterable[str]]
    workflow_types: tuple[str, ...] = field(default=())
    subjects_of: Callable[[Collection[str]], Mapping[str, str]] | None = None
    ended: Callable[[Sequence[str]], Collection[str]] | None = None


_subjects: dict[str, EngineSubject] = {}


def register(subject: EngineSubject) -> None:
    """Register the subject. Raises ImproperlyConfigured when another subject has its type."""
    if _subjects.setdefault(subject.type, subject) != subject:
        raise ImproperlyConfigured(f"the engine subject {subject.type!r} is registered twice")


def get(type: str) -> EngineSubject | None:
    """Return the subject of that type, or None when nobody registered it."""
    return _subjects.get(type)


def registered() -> Iterator[EngineSubject]:
    """Yield all subjects."""
    yield from list(_subjects.values())


def identify_many(workflow_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return workflow id → (type, id) of its row, by the subjects' own rules, for those that have
    one. At most one query a subject, however many ids; the first subject that knows an id has it.
    """
    found: dict[str, tuple[str, str]] = {}
    unknown = set(workflow_ids)
    for subject in registered():
        if subject.subjects_of is None or not unknown:
            continue
        rows = subject.subjects_of(unknown)
        found |= {workflow_id: (subject.type, row) for workflow_id, row in rows.items() if row}
        unknown -= found.keys()
    return found
