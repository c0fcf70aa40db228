"""Commands for Temporal, written in the transaction that decides them; the relay sends them."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.audit import services as audit
from apps.audit.contracts import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.language import lazy as _
from apps.engine import subjects
from apps.engine.contracts import CommandKind, CommandState, SignalEnvelope
from apps.engine.models import EngineCommand
from apps.engine.outbox import NewCommand, command_enqueue
from apps.engine.subjects import EngineSubject
from apps.live.broadcast import broadcast


# --- commands to write ---------------------------------------------------------------------------
def start_command(
    *,
    key: str,
    workflow_id: str,
    workflow_type: str,
    task_queue: str,
    args: Sequence[Any],
    subject_type: str,
    subject_id: str,
    execution_timeout_seconds: float | None = None,
    task_timeout_seconds: float | None = None,
    allow_duplicate_failed: bool = False,
    allow_duplicate: bool = False,
    unmirrored: bool = False,
) -> NewCommand:
    """Return the command that `workflow_start` writes, for `commands_enqueue`."""
    options = {
        "execution_timeout_seconds": execution_timeout_seconds,
        "task_timeout_seconds": task_timeout_seconds,
        "allow_duplicate_failed": allow_duplicate_failed or None,
        "allow_duplicate": allow_duplicate or None,
        "unmirrored": unmirrored or None,
    }
    return NewCommand(
        key=key,
        kind=CommandKind.START,
        workflow_id=workflow_id,
        workflow_type=workflow_type,
        task_queue=task_queue,
        args=args,
        options={name: value for name, value in options.items() if value is not None},
        subject_type=subject_type,
        subject_id=subject_id,
    )


def signal_command(
    *,
    key: str,
    workflow_id: str,
    task_queue: str,
    name: str,
    subject_type: str,
    subject_id: str,
    note: str = "",
) -> NewCommand:
    """Return the command that `workflow_signal` writes, for `commands_enqueue`."""
    return NewCommand(
        key=key,
        kind=CommandKind.SIGNAL,
        workflow_id=workflow_id,
        task_queue=task_queue,
        name=name,
        args=[SignalEnvelope(command=key, subject_id=subject_id, note=note)],
        subject_type=subject_type,
        subject_id=subject_id,
    )


# --- one at a time ------------------------------------------------------------------------------
def workflow_start(
    *,
    key: str,
    workflow_id: str,
    workflow_type: str,
    task_queue: str,
    args: Sequence[Any],
    subject_type: str,
    subject_id: str,
    execution_timeout_seconds: float | None = None,
    task_timeout_seconds: float | None = None,
    allow_duplicate_failed: bool = False,
    allow_duplicate: bool = False,
    unmirrored: bool = False,
) -> EngineCommand:
    """Start a workflow; joins the caller's transaction.

    `args` are dataclasses or JSON. A workflow id that ever ran for this type and subject is not
    started again and counts as done. With `allow_duplicate_failed` it is started again, unless the
    last run completed; while that is still running the start waits for its end. With
    `allow_duplicate` it is started again however the last run ended, and one that is still running
    counts as done. A run of another type or subject under the id parks the command. An `unmirrored`
    run has no row in the mirror, no search attribute and no `on_closed`; use it for types that
    `workers.registry` lists as unmirrored. The same key returns the existing command; Conflict
    `command_key_reused` if that one differs.
    """
    return command_enqueue(
        start_command(
            key=key,
            workflow_id=workflow_id,
            workflow_type=workflow_type,
            task_queue=task_queue,
            args=args,
            subject_type=subject_type,
            subject_id=subject_id,
            execution_timeout_seconds=execution_timeout_seconds,
            task_timeout_seconds=task_timeout_seconds,
            allow_duplicate_failed=allow_duplicate_failed,
            allow_duplicate=allow_duplicate,
            unmirrored=unmirrored,
        )
    )


def workflow_signal(
    *,
    key: str,
    workflow_id: str,
    task_queue: str,
    name: str,
    subject_type: str,
    subject_id: str,
    note: str = "",
) -> EngineCommand:
    """Signal a workflow; joins the caller's transaction. Never overtakes its first start.

    The signal's argument is SignalEnvelope(command=key, …). Keys as in `workflow_start`.
    """
    return command_enqueue(
        signal_command(
            key=key,
            workflow_id=workflow_id,
            task_queue=task_queue,
            name=name,
            subject_type=subject_type,
            subject_id=subject_id,
            note=note,
        )
    )


def workflow_cancel(
    *,
    key: str,
    workflow_id: str,
    task_queue: str,
    reason: str,
    subject_type: str,
    subject_id: str,
) -> EngineCommand:
    """Request a workflow's cancellation; it may compensate first. Joins the caller's transaction.

    Sent after the start; a second run's start that still waits for the old run is discarded
    instead. Undeliverable when nothing runs. Keys as in `workflow_start`; Invalid
    `reason_required`.
    """
    return command_enqueue(
        _ending(CommandKind.CANCEL, key, workflow_id, task_queue, reason, subject_type, subject_id)
    )


def workflow_terminate(
    *,
    key: str,
    workflow_id: str,
    task_queue: str,
    reason: str,
    subject_type: str,
    subject_id: str,
) -> EngineCommand:
    """Terminate a workflow at once, without its code running or compensating. Joins the caller's
    transaction.

    Order, keys and codes as in `workflow_cancel`.
    """
    return command_enqueue(
        _ending(
            CommandKind.TERMINATE, key, workflow_id, task_queue, reason, subject_type, subject_id
        )
    )


# --- operators ----------------------------------------------------------------------------------
def command_retry(*, command_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Send a parked command again, now. Opens the outermost transaction; audited.

    If it is a row's newest start and was discarded, a new start is made from the row's current
    state. Raises NotFound, Invalid `reason_required`, Conflict `not_parked`, or `not_needed` when
    that row needs no workflow any more.
    """
    with _audited("engine.command_retry", command_id, by, via), transaction.atomic(durable=True):
        command = _locked(command_id, reason)
        subject = subjects.get(command.subject_type)
        given_up = (command.kind, command.state) == (CommandKind.START, CommandState.DISCARDED)
        if given_up and subject is not None:
            _start_anew(command, subject)
            _record("engine.command_retry", command, by, via, reason)
            return command
        if command.state != CommandState.PARKED:
            raise Conflict(_("only a parked command is sent again"), code="not_parked")
        command.state = CommandState.PENDING
        command.next_try_at = timezone.now()
        command.strikes = 0
        command.save(update_fields=["state", "next_try_at", "strikes"])
        _record("engine.command_retry", command, by, via, reason)
        _wake_relay()
        return command


def command_discard(*, command_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Discard an unsettled command, so that later commands of its workflow proceed. Opens the
    outermost transaction; audited.

    The same transaction tells its subject that the message never arrives (`on_undeliverable`).
    Raises NotFound, Invalid `reason_required`, Conflict `already_settled`, or `in_flight` while the
    relay is sending it.
    """
    with _audited("engine.command_discard", command_id, by, via), transaction.atomic(durable=True):
        command = _locked(command_id, reason)
        if command.state == CommandState.LEASED:
            raise Conflict(_("the command is being sent now"), code="in_flight")
        if command.state not in EngineCommand.UNSETTLED:
            raise Conflict(_("the command is settled"), code="already_settled")
        command.state = CommandState.DISCARDED
        command.settled_at = timezone.now()
        _record("engine.command_discard", command, by, via, reason)
        # The subject, and readers of the command, see this text.
        error = f"{by} gave it up: {reason} {command.error}"
        command.error = error.replace("\0", "").strip()[:4000]
        command.save(update_fields=["state", "settled_at", "error"])
        if subject := subjects.get(command.subject_type):
            subject.on_undeliverable(command)
        _wake_relay()
        return command


# --- helpers ------------------------------------------------------------------------------------
def _ending(
    kind: CommandKind,
    key: str,
    workflow_id: str,
    task_queue: str,
    reason: str,
    subject_type: str,
    subject_id: str,
) -> NewCommand:
    if not reason.strip():
        raise Invalid(_("a reason is required"), code="reason_required")
    return NewCommand(
        key=key,
        kind=kind,
        workflow_id=workflow_id,
        task_queue=task_queue,
        options={"reason": reason},
        subject_type=subject_type,
        subject_id=subject_id,
    )


def _start_anew(command: EngineCommand, subject: EngineSubject) -> None:
    newer = EngineCommand.objects.filter(
        kind=CommandKind.START,
        subject_type=command.subject_type,
        subject_id=command.subject_id,
        pk__gt=command.pk,
    )
    if newer.exists():
        raise Conflict(_("there is a newer start of this row"), code="not_parked")
    subject.restart(command.subject_id)
    if not newer.exists():
        raise Conflict(_("the row needs no workflow any more"), code="not_needed")


def _locked(command_id: int, reason: str) -> EngineCommand:
    if not reason.strip():
        raise Invalid(_("a reason is required"), code="reason_required")
    command = EngineCommand.objects.select_for_update().filter(pk=command_id).first()
    if command is None:
        raise NotFound(_("there is no such command"))
    return command


def _audited(action: str, command_id: int, by: Actor, via: str) -> Any:
    return audit.refusals(
        action=action, subject_type="engine_command", subject_id=str(command_id), by=by, via=via
    )


def _record(action: str, command: EngineCommand, by: Actor, via: str, reason: str) -> None:
    audit.entry_record(
        action=action,
        subject_type="engine_command",
        subject_id=str(command.pk),
        by=by,
        via=via,
        body={"reason": reason, "key": command.key, "kind": command.kind, "error": command.error},
    )
    broadcast("engine", id=str(command.pk), version=command.attempts)


def _wake_relay() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [EngineCommand.CHANNEL])
