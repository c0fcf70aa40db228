"""The engine's interface for apps: commands through the outbox, schedules, and reports of runs.

Nothing else changes anything in Temporal. The relay sends what is in the outbox.
"""

from apps.engine.outbox import NewCommand, commands_enqueue
from apps.engine.services.commands import (
    command_discard,
    command_retry,
    signal_command,
    start_command,
    workflow_cancel,
    workflow_signal,
    workflow_start,
    workflow_terminate,
)
from apps.engine.services.runs import run_observe, workflow_is_closed, workflows_closed
from apps.engine.services.schedules import schedule_put, schedule_remove
from apps.engine.services.timings import timings

__all__ = [
    "NewCommand",
    "command_discard",
    "command_retry",
    "commands_enqueue",
    "run_observe",
    "schedule_put",
    "schedule_remove",
    "signal_command",
    "start_command",
    "timings",
    "workflow_cancel",
    "workflow_is_closed",
    "workflow_signal",
    "workflow_start",
    "workflow_terminate",
    "workflows_closed",
]
