"""Where a domain plugs in: whose rows the workflows belong to, and what to do when one is lost.

A domain registers in `AppConfig.ready()`: the engine knows no domain.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun


@dataclass(frozen=True)
class EngineSubject:
    """A kind of row that has workflows.

    `restart(id)` starts the row's workflow again from the row; called outside a transaction.
    `on_undeliverable(command)` runs in the transaction that settles the command: a message that
    can never arrive. When it raises, both are rolled back and tried again.
    `on_closed(id, run)` runs in a transaction when the server has confirmed that the workflow's
    newest run ended; at least once, so it must be idempotent. Not for runs that continued as new,
    were superseded by a newer run, or that the server has lost (`stranded` finds those). It also
    hears of child workflows that carry the row's search attribute: look at `run.workflow_id`.
    `stranded()` gives ids (at most a few hundred) of rows whose workflow ought to run and which
    the mirror does not know as running; not those whose newest start an operator has discarded.
    `workflow_types` are watched by the sweeper even when somebody else started them without our
    search attribute; `subject_of(workflow_id)` then finds the row's id, or "".
    `ended(ids)` gives those of the rows whose start commands nobody needs: the row has ended, and
    should it ever run again, the number of that run does not come from its commands. Only these are
    deleted with age; without it every start command of the type is kept.
    """

    type: str
    title: str
    restart: Callable[[str], None]
    on_undeliverable: "Callable[[EngineCommand], None]"
    on_closed: "Callable[[str, WorkflowRun], None]"
    url: Callable[[str], str]
    stranded: Callable[[], Iterable[str]]
    workflow_types: tuple[str, ...] = field(default=())
    subject_of: Callable[[str], str] | None = None
    ended: Callable[[Sequence[str]], Collection[str]] | None = None


_subjects: dict[str, EngineSubject] = {}


def register(subject: EngineSubject) -> None:
    """Make the subject known. ImproperlyConfigured when its type is taken by another one."""
    if _subjects.setdefault(subject.type, subject) != subject:
        raise ImproperlyConfigured(f"the engine subject {subject.type!r} is registered twice")


def get(type: str) -> EngineSubject | None:
    """The subject of that type, or None when nobody registered it."""
    return _subjects.get(type)


def registered() -> Iterator[EngineSubject]:
    """All subjects."""
    yield from list(_subjects.values())


def identify(workflow_id: str) -> tuple[str, str]:
    """(type, id) of the row whose workflow has this id, by the subjects' own rules; or blanks."""
    for subject in registered():
        if subject.subject_of is not None and (found := subject.subject_of(workflow_id)):
            return subject.type, found
    return "", ""
