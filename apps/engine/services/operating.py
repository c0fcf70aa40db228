"""What an operator does to a workflow run: cancel, terminate, restart. Each with a reason, audited.

The relay carries it out; while Temporal does not answer it waits in the outbox.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db import transaction

from apps.audit import services as audit
from apps.audit.contracts import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine import subjects
from apps.engine.contracts import CommandKind, CommandState, RunStatus
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.selectors import row_runs
from apps.engine.services.commands import workflow_cancel, workflow_terminate
from apps.live.broadcast import broadcast

#: The subject of commands that an operator sends to a run. Not the run's business row: that row
#: hears of the run's end from the mirror, and need not hear that an operator came too late.
RUN = "workflow_run"


def run_cancel(*, run_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Ask the workflow of a run to cancel; it may compensate first. Opens the outermost
    transaction; audited.

    `run_id` is the key of the mirror's row. Asked once, whoever asks again: the same reason returns
    the same command, another one is refused. Raises NotFound, Invalid `reason_required`,
    `reason_invalid`, Conflict `run_ended`, `already_asked` (extra reason).
    """
    return _end(CommandKind.CANCEL, run_id, by, via, reason)


def run_terminate(*, run_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """End the workflow of a run at once, without its code running or compensating.

    Transaction, repetition and codes as in `run_cancel`. A run that was asked to cancel can still
    be terminated.
    """
    return _end(CommandKind.TERMINATE, run_id, by, via, reason)


def run_restart(*, run_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Start the workflow of a run's business row again, from the row as it stands. Returns the
    start. Opens the outermost transaction; audited.

    Two calls at once start one workflow. Raises NotFound, Invalid as `run_cancel`, Conflict
    `still_running` while this run or another one of the row runs, `no_row` for a run without a
    business row, `restart_not_needed` when the row has ended or a start is under way.
    """
    with _audited("engine.run_restart", run_id, by, via), transaction.atomic(durable=True):
        reason = required_reason(reason)
        run = _locked(run_id)
        if run.status == RunStatus.RUNNING:
            raise Conflict(_("The run has not ended."), code="still_running")
        subject = subjects.get(run.subject_type)
        if subject is None or not run.subject_id:
            raise Conflict(_("No row of ours stands behind this run."), code="no_row")
        if row_runs(run):
            raise Conflict(
                _("Another run carries its row, and has not ended."), code="still_running"
            )
        starts = EngineCommand.objects.filter(
            kind=CommandKind.START, subject_type=run.subject_type, subject_id=run.subject_id
        ).order_by("-id")
        newest = starts.values_list("pk", flat=True).first() or 0
        subject.restart(run.subject_id)
        start = starts.filter(pk__gt=newest).first()
        if start is None:
            raise Conflict(
                _("Its row needs no workflow now, or a start is under way."),
                code="restart_not_needed",
            )
        _record("engine.run_restart", run, start, by, via, reason)
        return start


def required_reason(reason: str) -> str:
    """Return the cleaned reason. Raises Invalid `reason_required`, `reason_invalid`."""
    cleaned = clean_reason(reason)
    if not cleaned:
        raise Invalid(_("A reason is required."), code="reason_required")
    return cleaned


# --- helpers -------------------------------------------------------------------------------------
_VERBS: dict[CommandKind, Callable[..., EngineCommand]] = {
    CommandKind.CANCEL: workflow_cancel,
    CommandKind.TERMINATE: workflow_terminate,
}
#: After these the same may be asked for again.
_CAME_TO_NOTHING = (CommandState.DISCARDED, CommandState.UNDELIVERABLE)


_ENDED = {
    RunStatus.COMPLETED: _("The run has ended: it is completed."),
    RunStatus.FAILED: _("The run has ended: it is failed."),
    RunStatus.CANCELLED: _("The run has ended: it is cancelled."),
    RunStatus.TERMINATED: _("The run has ended: it is terminated."),
    RunStatus.TIMED_OUT: _("The run has ended: it is timed out."),
    RunStatus.CONTINUED_AS_NEW: _("The run has ended: it is continued as new."),
}


def _end(kind: CommandKind, run_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    action = f"engine.run_{kind}"
    with _audited(action, run_id, by, via), transaction.atomic(durable=True):
        reason = required_reason(reason)
        run = _locked(run_id)
        if run.status != RunStatus.RUNNING:
            raise Conflict(
                _ENDED.get(RunStatus(run.status), _("The run has ended.")), code="run_ended"
            )
        earlier = list(
            EngineCommand.objects.filter(
                subject_type=RUN, subject_id=str(run.pk), kind=kind
            ).order_by("-id")
        )
        for command in earlier:
            if command.state in _CAME_TO_NOTHING:
                continue
            asked = command.options.get("reason", "")
            if asked == reason:
                return command
            raise Conflict(
                filled(_("This was asked for already: {asked}"), asked=asked), code="already_asked"
            )
        command = _VERBS[kind](
            key=f"{RUN}:{run.run_id}:{kind}:{len(earlier) + 1}",
            workflow_id=run.workflow_id,
            # It only shares out the relay's work; the mirror may not know it.
            task_queue=run.task_queue or "-",
            reason=reason,
            subject_type=RUN,
            subject_id=str(run.pk),
        )
        _record(action, run, command, by, via, reason)
        return command


def _locked(run_id: int) -> WorkflowRun:
    run = WorkflowRun.objects.select_for_update(no_key=True).filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("There is no such run."))
    return run


def _about(run_id: int) -> tuple[str, str]:
    """Return the audited subject: the run's business row, so that its timeline shows it, else the
    workflow."""
    run = WorkflowRun.objects.filter(pk=run_id).first()
    if run is None:
        return RUN, str(run_id)
    if run.subject_type and run.subject_id:
        return run.subject_type, run.subject_id
    return "workflow", run.workflow_id[:80]


def _audited(action: str, run_id: int, by: Actor, via: str) -> AbstractContextManager[None]:
    subject_type, subject_id = _about(run_id)
    return audit.refusals(
        action=action, subject_type=subject_type, subject_id=subject_id, by=by, via=via
    )


def _record(
    action: str, run: WorkflowRun, command: EngineCommand, by: Actor, via: str, reason: str
) -> None:
    subject_type, subject_id = _about(run.pk)
    audit.entry_record(
        action=action,
        subject_type=subject_type,
        subject_id=subject_id,
        by=by,
        via=via,
        body={
            "reason": reason,
            "workflow_id": run.workflow_id,
            "run_id": run.run_id,
            "key": command.key,
        },
    )
    broadcast("engine", id=str(command.pk), version=command.attempts)
