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
from apps.engine.services.operating import run_cancel, run_restart, run_terminate
from apps.engine.services.runs import run_observe, workflow_is_closed, workflows_closed
from apps.engine.services.schedules import (
    schedule_pause,
    schedule_put,
    schedule_remove,
    schedule_resume,
    schedule_run_now,
)
from apps.engine.services.timings import timings

__all__ = [
    "NewCommand",
    "command_discard",
    "command_retry",
    "commands_enqueue",
    "run_cancel",
    "run_observe",
    "run_restart",
    "run_terminate",
    "schedule_pause",
    "schedule_put",
    "schedule_remove",
    "schedule_resume",
    "schedule_run_now",
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
