"""Settles claimed commands that need more than a new state, each in a transaction."""

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
    """Settle a command that can never arrive and notify its subject, in one transaction.

    No-op when the lease is no longer ours. When an older command of the workflow has become visible
    meanwhile (such as a start), this one waits for it.
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
            # A second run's start whose wait is over, as this call has just shown.
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
    """Postpone a second run's start that met the old run, for as long as that runs.

    A cancellation or termination decided meanwhile waits behind the start and would end the new
    run: then the start is discarded instead, audited.
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
    """Park a start whose id belongs to another workflow, until an operator retries or discards it.

    Audited as a refusal of the command's subject, `workflow_id_taken`. Parked and not
    undeliverable: later commands must not reach the foreign workflow (ADR 13).
    """
    with transaction.atomic(durable=True):
        command = _leased(command_id, token)
        if command is None:
            return
        _give_back(command, CommandState.PARKED, error, strikes=command.strikes + 1)
        _record("engine.command_park", command, error, outcome="refused", code="workflow_id_taken")
    parked_announce(command, error)


def parked_announce(command: EngineCommand | Claimed, error: str) -> None:
    """Log an alert for a parked command, and update the pages that watch the engine."""
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
    """Lock and return the row, if the lease is still ours."""
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
