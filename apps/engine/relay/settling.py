"""What becomes of a claimed command when its state alone does not say it: each in a transaction."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.audit.contracts import ENGINE
from apps.audit.services import entry_record
from apps.common import correlation
from apps.engine import subjects
from apps.engine.contracts import CommandKind, CommandState
from apps.engine.models import EngineCommand
from apps.engine.relay.config import backoff
from apps.engine.relay.session import Claimed
from apps.live.broadcast import broadcast

logger = correlation.get_logger("apps.engine.relay")


def undeliverable_settle(command_id: int, token: UUID, error: str) -> None:
    """Settle a command that can never arrive and tell its subject, in one transaction.

    Nothing happens when the lease is no longer ours. When an older command of the workflow has
    become visible meanwhile (a start, perhaps), this one waits for it.
    """
    with transaction.atomic(durable=True):
        command = _leased(command_id, token)
        if command is None:
            return
        older = EngineCommand.objects.filter(
            workflow_id=command.workflow_id, pk__lt=command_id, state__in=EngineCommand.UNSETTLED
        )
        waits = older.exists()
        if waits:
            # A second run's start whose wait is over, as we have just seen.
            older.filter(state=CommandState.PENDING).exclude(behind_run="").update(
                next_try_at=timezone.now()
            )
            _give_back(
                command,
                CommandState.PENDING,
                error,
                next_try_at=timezone.now() + timedelta(seconds=backoff(command.attempts)),
            )
            return
        _give_back(command, CommandState.UNDELIVERABLE, error, settled_at=timezone.now())
        subject = subjects.get(command.subject_type)
        logger.warning(
            "command undeliverable",
            kind=command.kind,
            name=command.name,
            subject=f"{command.subject_type}:{command.subject_id}",
            error=error,
            alert=subject is None,
        )
        if subject is not None:
            subject.on_undeliverable(command)
        broadcast("engine", id=str(command.pk), version=command.attempts)


def start_wait(command_id: int, token: UUID, error: str, run_id: str) -> None:
    """A second run's start met the old run: again later, however long that runs.

    A cancellation or termination that was decided meanwhile waits behind it and would end the run
    that nobody wants any more: then the start is given up, audited.
    """
    with transaction.atomic(durable=True):
        command = _leased(command_id, token)
        if command is None:
            return
        overruled = EngineCommand.objects.filter(
            workflow_id=command.workflow_id,
            pk__gt=command_id,
            kind__in=(CommandKind.CANCEL, CommandKind.TERMINATE),
            state__in=EngineCommand.UNSETTLED,
        ).first()
        if overruled is None:
            _give_back(
                command,
                CommandState.PENDING,
                error,
                behind_run=run_id,
                next_try_at=timezone.now() + timedelta(seconds=backoff(command.attempts)),
            )
            return
        reason = f"Given up for {overruled.key}: {error}"
        _give_back(command, CommandState.DISCARDED, reason, settled_at=timezone.now())
        _record("engine.command_discard", command, reason)
        broadcast("engine", id=str(command.pk), version=command.attempts)


def start_park(command_id: int, token: UUID, error: str) -> None:
    """Another workflow has the start's id: parked until an operator has made room or gives it up.

    Audited as a refusal of the command's subject, `workflow_id_taken`. Parked and not
    undeliverable: what comes after it must not reach the stranger (ADR 13).
    """
    with transaction.atomic(durable=True):
        command = _leased(command_id, token)
        if command is None:
            return
        _give_back(command, CommandState.PARKED, error, strikes=command.strikes + 1)
        _record("engine.command_park", command, error, outcome="refused", code="workflow_id_taken")
    parked_announce(command, error)


def parked_announce(command: EngineCommand | Claimed, error: str) -> None:
    """A command was parked: an alert in the log, and the pages that watch the engine."""
    logger.error(
        "command parked: an operator must retry or discard it",
        alert=True,
        command_id=str(command.id),
        key=command.key,
        kind=command.kind,
        workflow_id=command.workflow_id,
        task_queue=command.task_queue,
        subject=f"{command.subject_type}:{command.subject_id}",
        error=error,
    )
    broadcast("engine", id=str(command.id), version=command.attempts)


# --- helpers ------------------------------------------------------------------------------------
def _leased(command_id: int, token: UUID) -> EngineCommand | None:
    """The row, locked, when the lease is still ours."""
    return (
        EngineCommand.objects.select_for_update()
        .filter(pk=command_id, lease_token=token, state=CommandState.LEASED)
        .first()
    )


def _give_back(command: EngineCommand, state: CommandState, error: str, **values: Any) -> None:
    """Write the new state and end the lease."""
    values |= {
        "state": state,
        "error": error.replace("\x00", "")[:4000],
        "lease_token": None,
        "leased_until": None,
    }
    for name, value in values.items():
        setattr(command, name, value)
    command.save(update_fields=list(values))


def _record(action: str, command: EngineCommand, reason: str, **outcome: str) -> None:
    entry_record(
        action=action,
        subject_type=command.subject_type or "engine_command",
        subject_id=command.subject_id if command.subject_type else str(command.pk),
        by=ENGINE,
        via="relay",
        body={
            "command": command.pk,
            "key": command.key,
            "kind": command.kind,
            "workflow_id": command.workflow_id,
            "reason": reason,
        },
        **outcome,
    )
