"""Observes workflow runs from outside the sandbox: metrics, and notices for the mirror.

An interceptor would count too much: when a signal arrives at the last moment, the server refuses
the completion and the same code runs again, not replaying. Only the eviction that follows says
whether the end was accepted, so a run counts as ended when it leaves the cache for that reason.
Nothing here adds an event to a history.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info, _Definition

from apps.engine.contracts import UNMIRRORED_MEMO, RunStatus
from workers import metrics
from workers.inbound import InboundGuard, Refused
from workers.sandbox import RESTRICTIONS

_ENDS = {
    "complete_workflow_execution": RunStatus.COMPLETED,
    "fail_workflow_execution": RunStatus.FAILED,
    "cancel_workflow_execution": RunStatus.CANCELLED,
    "continue_as_new_workflow_execution": RunStatus.CONTINUED_AS_NEW,
}


@dataclass(frozen=True)
class RunNotice:
    """A run as this worker saw it: started, or ended as the server accepted."""

    workflow_id: str
    run_id: str
    workflow_type: str
    task_queue: str
    status: RunStatus
    at: datetime
    #: False if the start asked to be left out of the mirror.
    mirrored: bool = True


Listener = Callable[[RunNotice], None]


class Busy:
    """Counts the runs for which this process executes a workflow task or an activity now.

    An open workflow that waits for a person or a timer is not counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: Counter[str] = Counter()
        self._activities = 0

    @property
    def workflows(self) -> int:
        return len(self._runs)

    @property
    def activities(self) -> int:
        return self._activities

    @contextmanager
    def workflow(self, run_id: str) -> Iterator[None]:
        self._enter(run_id)
        try:
            yield
        finally:
            self._leave(run_id)

    @contextmanager
    def activity(self, run_id: str | None) -> Iterator[None]:
        with self._lock:
            self._activities += 1
        self._enter(run_id)
        try:
            yield
        finally:
            self._leave(run_id)
            with self._lock:
                self._activities -= 1

    def _enter(self, run_id: str | None) -> None:
        if run_id:
            with self._lock:
                self._runs[run_id] += 1

    def _leave(self, run_id: str | None) -> None:
        if run_id:
            with self._lock:
                self._runs[run_id] -= 1
                if self._runs[run_id] <= 0:
                    del self._runs[run_id]


BUSY = Busy()
metrics.ACTIVE_WORKFLOWS.set_function(lambda: BUSY.workflows)
metrics.ACTIVE_ACTIVITIES.set_function(lambda: BUSY.activities)


class ObservedRunner(WorkflowRunner):
    """The SDK's runner, with checked inputs and observed activations for every run.

    All our workers have one, through `workers.options`.

    Without the sandbox a worker does the same work with about half of its CPU time (ADR 11).

    Workflows declare their versioning behaviour; a server refuses it from a worker that does not
    take part in versioning. So it is left out unless `versioned`.
    """

    def __init__(
        self,
        *,
        listeners: Sequence[Listener] = (),
        refused: Refused | None = None,
        versioned: bool = False,
        sandboxed: bool = True,
    ) -> None:
        self._inner: WorkflowRunner = (
            SandboxedWorkflowRunner(restrictions=RESTRICTIONS)
            if sandboxed
            else UnsandboxedWorkflowRunner()
        )
        self._guard = InboundGuard(refused)
        self._watch = _Watch(listeners, versioned)

    def prepare_workflow(self, defn: _Definition) -> None:
        self._guard.prepare(defn)
        self._inner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(
        self, types: Sequence[type[BaseException]]
    ) -> None:
        self._inner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = self._inner.create_instance(det)
        # The SDK calls this for every payload, each time through the sandbox: a sixth of a worker's
        # CPU time, for a result that our converter does not use.
        instance.get_serialization_context = _no_context  # type: ignore[method-assign]
        self._guard.attach(instance, det)
        self._watch.attach(instance, det.info)
        return instance


def _no_context(command_info: object) -> None:
    """Return None: our converter is the same for all payloads."""


class _Watch:
    def __init__(self, listeners: Sequence[Listener], versioned: bool) -> None:
        self._listeners = list(listeners)
        self._versioned = versioned

    def attach(self, instance: WorkflowInstance, info: Info) -> None:
        activate = instance.activate
        ending: list[RunNotice] = []

        def observed(act: WorkflowActivation) -> WorkflowActivationCompletion:
            removal = _removal(act)
            if removal is not None:
                completion = activate(act)
                if ending and removal.reason == RemoveFromCache.WORKFLOW_EXECUTION_ENDING:
                    self._ended(ending.pop())
                metrics.CACHED_WORKFLOWS.dec()
                return completion
            with BUSY.workflow(act.run_id):
                completion = activate(act)
            if not self._versioned and completion.HasField("successful"):
                completion.successful.ClearField("versioning_behavior")
            if any(job.HasField("initialize_workflow") for job in act.jobs):
                metrics.CACHED_WORKFLOWS.inc()
                if not act.is_replaying:
                    self._tell(_notice(info, RunStatus.RUNNING, info.start_time))
            # A query on a closed workflow replays its end: nothing ends now.
            status = None if act.is_replaying else _end(completion)
            if status is not None:
                ending[:] = [_notice(info, status, _time(act))]
            return completion

        instance.activate = observed  # type: ignore[method-assign]

    def _ended(self, notice: RunNotice) -> None:
        metrics.workflow_ended(notice.workflow_type, notice.status)
        self._tell(notice)

    def _tell(self, notice: RunNotice) -> None:
        for listener in self._listeners:
            listener(notice)


def _removal(act: WorkflowActivation) -> RemoveFromCache | None:
    for job in act.jobs:
        if job.HasField("remove_from_cache"):
            return job.remove_from_cache
    return None


def _end(completion: WorkflowActivationCompletion) -> RunStatus | None:
    for command in completion.successful.commands:
        status = _ENDS.get(command.WhichOneof("variant") or "")
        if status is not None:
            return status
    return None


def _time(act: WorkflowActivation) -> datetime:
    return act.timestamp.ToDatetime(tzinfo=UTC)


def _notice(info: Info, status: RunStatus, at: datetime) -> RunNotice:
    return RunNotice(
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        workflow_type=info.workflow_type,
        task_queue=info.task_queue,
        status=status,
        at=at,
        mirrored=UNMIRRORED_MEMO not in info.raw_memo,
    )
