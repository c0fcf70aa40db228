"""Recovers rows whose workflow was ended from outside or lost, and registers processes for it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, Subquery, TextField
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.common import correlation
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.engine import subjects
from apps.engine.contracts import CommandKind, CommandState, RunStatus
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.process.rows import locked, record
from apps.engine.process.spec import Process, R, SubjectRow, subjects_of
from apps.engine.process.workflow import (
    SETTLING_IN,
    newest_start_states,
    restart,
    starts_under_way,
)
from apps.engine.subjects import EngineSubject
from apps.live import topics
from apps.live.topics import UUID_PATTERN, Topic

if TYPE_CHECKING:
    from apps.accounts.models import User

logger = correlation.get_logger(__name__)

STRANDED_LIMIT = 200


def register(
    process: Process[R],
    *,
    closed: Callable[..., object] | None = None,
    restart: Callable[[str], object] | None = None,
    on_closed: Callable[[str, WorkflowRun], None] | None = None,
    on_undeliverable: Callable[[EngineCommand], None] | None = None,
    stranded: Callable[[], Iterable[str]] | None = None,
    view: str | None = None,
    owner: str = "requested_by",
) -> None:
    """Register the process with the engine; called in `AppConfig.ready()`.

    `closed(id, workflow_id=…, why=…, as_of=…)` is called, in the engine's transaction, when a
    workflow has ended or can never be reached, with `why` in words. A domain that must tell the two
    apart gives `on_closed(id, run)` and `on_undeliverable(command)` instead (`EngineSubject`).
    `restart(id)` is called in a transaction; without it the row is restarted and that is audited.

    With `view`, a permission, the row and its lists become live topics: the row's for users with
    the permission and for the user in the column `owner`, the lists' for everybody signed in,
    because a message only says that a list has changed, and each list shows what its reader may
    see.
    """
    if closed is not None:
        on_closed, on_undeliverable = partial(_closed, closed), partial(_undeliverable, closed)
    if on_closed is None or on_undeliverable is None:
        raise ImproperlyConfigured(f"nobody hears of the end of the workflow of a {process.noun}")
    subjects.register(
        EngineSubject(
            type=process.subject,
            title=process.title,
            restart=partial(_in_transaction, restart or partial(_restart, process)),
            on_undeliverable=on_undeliverable,
            on_closed=on_closed,
            url=lambda identifier: reverse(process.url_name, args=[identifier]),
            stranded=stranded or partial(_stranded, process),
            workflow_types=tuple(carrier.workflow for carrier in process.carriers),
            subjects_of=partial(subjects_of, process),
            ended=partial(_ended, process),
        )
    )
    if view is None:
        return
    topics_register(process, view=view, owner=owner)


def topics_register(row: SubjectRow[R], *, view: str, owner: str = "requested_by") -> None:
    """Register the live topics of a kind of row, as `register` does for one with a workflow."""
    for name in row.list_topics:
        topics.register(Topic(name))
    topics.register(
        Topic(
            row.topic_name,
            pattern=UUID_PATTERN,
            permission=view,
            owner=partial(_owns, row, owner),
        )
    )


def carried(process: Process[R], identifier: UUID | str, workflow_id: str) -> R | None:
    """Lock and return the row, if it is open and this workflow carries it; else None.

    For `on_closed` and `on_undeliverable`: most ends are ordinary, and the row has ended too, so
    it is read before locking.
    """
    named = {process.id_field: workflow_id}
    pk = uuid_of(identifier)
    known = process.model._default_manager.filter(pk=pk, **named).first() if pk else None
    if known is None or process.needs(known) is None:
        return None
    row = locked(process, known.pk)
    mine = getattr(row, process.id_field) == workflow_id
    return row if mine and process.needs(row) is not None else None


_CLOSED = {
    RunStatus.COMPLETED: _("Its workflow was completed in the engine."),
    RunStatus.FAILED: _("Its workflow was failed in the engine."),
    RunStatus.CANCELLED: _("Its workflow was cancelled in the engine."),
    RunStatus.TERMINATED: _("Its workflow was terminated in the engine."),
    RunStatus.TIMED_OUT: _("Its workflow was timed out in the engine."),
    RunStatus.LOST: _("Its workflow was lost in the engine."),
}


def why_closed(run: WorkflowRun) -> str:
    """Say why a row's workflow has ended in Temporal."""
    return str(_CLOSED.get(RunStatus(run.status), _("Its workflow has ended in the engine.")))


def why_undeliverable(command: EngineCommand) -> str:
    """Say why a row's workflow never gets a message."""
    text = (
        gettext("Its workflow could not be started: {error}")
        if command.kind == CommandKind.START
        else gettext("Its workflow could not be reached: {error}")
    )
    return text.format(error=command.error[:500] or gettext("unknown reason"))


def stranded(process: Process[R], *, limit: int = STRANDED_LIMIT) -> list[str]:
    """Return ids of open rows that no workflow is known to carry, the oldest first.

    Nothing ever ran for them, or Temporal has lost the run (a restored backup). Leaves out a row
    whose workflow was closed, which `on_closed` handles; one younger than SETTLING_IN, or with a
    start under way; and one whose newest start an operator has discarded (`start_discarded`).
    """
    subject = {"subject_type": process.subject, "subject_id": Cast(OuterRef("pk"), TextField())}
    runs = WorkflowRun.objects.filter(**subject)
    rows = process.open_rows().filter(
        ~Exists(starts_under_way(**subject)), created_at__lt=timezone.now() - SETTLING_IN
    )
    if len(process.carriers) > 1:
        # Several workflows carry the row in turn: any running one counts.
        rows = rows.filter(~Exists(runs.filter(status=RunStatus.RUNNING)))
    else:
        # Runs before the newest start are over.
        runs = runs.filter(workflow_id=OuterRef(process.id_field))
    newest = runs.order_by("-started_at", "-id").values("status")[:1]
    found = rows.annotate(
        newest_run=Subquery(newest), newest_start=Subquery(newest_start_states(**subject)[:1])
    ).filter(
        Q(newest_run=None) | Q(newest_run__in=process.forgotten),
        Q(newest_start=None) | ~Q(newest_start=CommandState.DISCARDED),
    )
    ids = found.order_by("created_at", "pk").values_list("pk", flat=True)
    return [str(pk) for pk in ids[:limit]]


def reconcile(
    process: Process[R], identifiers: Iterable[UUID], settle_one: Callable[[UUID], str]
) -> Counter[str]:
    """Settle rows one by one, each in its own transaction; return how often each outcome occurred.

    A row that fails is logged and counted as `failed`; the others are still settled. Raises only
    what the database's connection raises.
    """
    outcomes: Counter[str] = Counter()
    for pk in identifiers:
        try:
            with transaction.atomic(durable=True):
                outcome = settle_one(pk)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("a row could not be settled", subject=f"{process.subject}:{pk}")
            outcome = "failed"
        outcomes[outcome] += 1
    return outcomes


# --- helpers -------------------------------------------------------------------------------------
def _in_transaction(call: Callable[[str], object], identifier: str) -> None:
    with transaction.atomic():
        call(identifier)


def _restart(process: Process[R], identifier: str) -> None:
    row = restart(process, identifier)
    if row is not None:
        record(process, row, f"{process.subject}.restarted")


def _closed(closed: Callable[..., object], identifier: str, run: WorkflowRun) -> None:
    closed(identifier, workflow_id=run.workflow_id, why=why_closed(run), as_of=timezone.now())


def _undeliverable(closed: Callable[..., object], command: EngineCommand) -> None:
    closed(
        command.subject_id,
        workflow_id=command.workflow_id,
        why=why_undeliverable(command),
        as_of=timezone.now(),
    )


def _stranded(process: Process[R]) -> list[str]:
    return stranded(process)


def _ended(process: Process[R], identifiers: Sequence[str]) -> list[str]:
    """Return rows that need no workflow, or are gone. If one runs again, its own column and the
    mirror have the number of its last run (`last_number`)."""
    keys = {identifier: uuid_of(identifier) for identifier in identifiers}
    rows = process.model._default_manager.in_bulk([pk for pk in keys.values() if pk])
    return [
        identifier
        for identifier, pk in keys.items()
        if pk not in rows or process.needs(rows[pk]) is None
    ]


def _owns(process: SubjectRow[R], owner: str, user: "User", identifier: str) -> bool:
    rows = process.model._default_manager
    return rows.filter(**{"pk": identifier, owner: user.pk}).exists()
