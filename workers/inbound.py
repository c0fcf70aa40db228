"""Checks every start, signal, query and update before it reaches a workflow.

Anybody with the Temporal UI or its command line can send anything. Without this check an input that
does not fit raises TypeError or AttributeError inside the workflow, and the SDK fails the workflow
task and retries it for ever. Here it is refused before the workflow sees it:

- a start: the run ends FAILED with an ApplicationError of type `input_invalid`, not retryable;
- a signal: removed from the activation, as if it had not arrived; the run continues;
- a query or an update: the caller gets the same ApplicationError.

The guard wraps the workflow instance, outside the sandbox, and decides only by the input and the
declared types. So it decides the same in a replay, adds no event to a history and needs no
activity: an outage of PostgreSQL cannot hold up a run. Its listener is called for each refusal,
again in each replay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import (
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import FailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.workflow import _Definition

from apps.common import correlation
from apps.engine.contracts import HANDLER_UNKNOWN, INPUT_INVALID, RefusedInput
from workers import metrics
from workers.inputs import Misfit, Signature, signature_of

logger = correlation.get_logger("workers.inbound")

Refused = Callable[[RefusedInput], None]

#: Names in the log and the audit trail are cut to this many characters.
MOST_NAME = 100


@dataclass(frozen=True)
class _Handlers:
    """The signatures of one workflow type."""

    start: Signature
    signals: Mapping[str, Signature]
    queries: Mapping[str, Signature]
    updates: Mapping[str, Signature]


class InboundGuard:
    """Wraps the workflow instances of one worker.

    `refused` is called with every refusal, from workflow threads: it must neither block nor raise.
    """

    def __init__(self, refused: Refused | None = None) -> None:
        self._refused = refused
        self._handlers: dict[type, _Handlers] = {}
        self._converters: tuple[PayloadConverter, FailureConverter] | None = None

    def prepare(self, defn: _Definition) -> None:
        """Read the type hints. Raises TypeError when a handler of the workflow cannot be
        checked."""
        self._handlers_of(defn)

    def attach(self, instance: WorkflowInstance, det: WorkflowInstanceDetails) -> None:
        """Wrap the instance: from now on it gets only inputs that fit."""
        if self._converters is None:
            self._converters = (det.payload_converter_factory(), det.failure_converter_class())
        door = _Door(det, self._handlers_of(det.defn), *self._converters, tell=self._tell)
        activate = instance.activate

        def guarded(act: WorkflowActivation) -> WorkflowActivationCompletion:
            return door.activate(act, activate)

        instance.activate = guarded  # type: ignore[method-assign]

    def _handlers_of(self, defn: _Definition) -> _Handlers:
        found = self._handlers.get(defn.cls)
        if found is None:
            found = self._handlers[defn.cls] = _handlers(defn)
        return found

    def _tell(self, refused: RefusedInput, *, replayed: bool) -> None:
        if not replayed:
            metrics.INPUTS_REFUSED.labels(refused.what).inc()
            logger.warning(
                "workflow.input_refused",
                workflow_id=refused.workflow_id,
                run_id=refused.run_id,
                what=refused.what,
                name=refused.name,
                event_id=refused.event,
                code=refused.code,
                detail=refused.detail,
                identity=refused.identity,
            )
        if self._refused is not None:
            self._refused(refused)


def _handlers(defn: _Definition) -> _Handlers:
    named: list[dict[str, Signature]] = []
    for definitions in (defn.signals, defn.queries, defn.updates):
        group: dict[str, Signature] = {}
        for name, one in definitions.items():
            if name is None:
                raise TypeError(f"{defn.cls.__name__}: a dynamic handler takes anything")
            group[name] = signature_of(one.fn, method=one.is_method)
        named.append(group)
    if defn.name is None:
        raise TypeError(f"{defn.cls.__name__}: a dynamic workflow takes anything")
    return _Handlers(signature_of(defn.run_fn, method=True), *named)


class _Refusal(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class _Door:
    """The guard of one run."""

    def __init__(
        self,
        det: WorkflowInstanceDetails,
        handlers: _Handlers,
        payloads: PayloadConverter,
        failures: FailureConverter,
        *,
        tell: Callable[..., None],
    ) -> None:
        self._det = det
        self._handlers = handlers
        self._payloads = payloads
        self._failures = failures
        self._tell = tell
        #: Why the start was refused; the instance is then never activated.
        self._never: Failure | None = None

    def activate(
        self,
        act: WorkflowActivation,
        inner: Callable[[WorkflowActivation], WorkflowActivationCompletion],
    ) -> WorkflowActivationCompletion:
        if self._never is None:
            for job in act.jobs:
                if job.HasField("initialize_workflow"):
                    self._never = self._start(job, replayed=act.is_replaying)
                    if self._never is not None:
                        command = WorkflowCommand()
                        command.fail_workflow_execution.failure.CopyFrom(self._never)
                        return self._completion([command])
        if self._never is not None:
            # An eviction, or a query: the run has ended.
            return self._completion(
                [_no_answer(job, self._never) for job in act.jobs if job.HasField("query_workflow")]
            )
        answers: list[WorkflowCommand] = []
        kept = [job for job in act.jobs if self._fits(job, answers, replayed=act.is_replaying)]
        if len(kept) == len(act.jobs):
            return inner(act)
        del act.jobs[:]
        act.jobs.extend(kept)
        completion = inner(act)
        if completion.HasField("successful"):
            completion.successful.commands.extend(answers)
        return completion

    def _start(self, job: WorkflowActivationJob, *, replayed: bool) -> Failure | None:
        start = job.initialize_workflow
        try:
            self._check(self._handlers.start, start.arguments)
        except _Refusal as refusal:
            name = self._det.info.workflow_type
            return self._told(refusal, "start", name, 1, start.identity, replayed)
        return None

    def _fits(
        self, job: WorkflowActivationJob, answers: list[WorkflowCommand], *, replayed: bool
    ) -> bool:
        try:
            if job.HasField("signal_workflow"):
                what, name = "signal", job.signal_workflow.signal_name
                event, identity = (
                    job.signal_workflow.originating_event_id,
                    job.signal_workflow.identity,
                )
                self._check(self._handlers.signals.get(name), job.signal_workflow.input)
            elif job.HasField("query_workflow"):
                what, name, event, identity = "query", job.query_workflow.query_type, 0, ""
                # Such names belong to the SDK: `__stack_trace`, which the Temporal UI queries.
                if not name.startswith("__"):
                    self._check(self._handlers.queries.get(name), job.query_workflow.arguments)
            elif job.HasField("do_update") and job.do_update.run_validator:
                what, name, event = "update", job.do_update.name, 0
                identity = job.do_update.meta.identity
                self._check(self._handlers.updates.get(name), job.do_update.input)
        except _Refusal as refusal:
            failure = self._told(refusal, what, name, event, identity, replayed)
            if what != "signal":
                answers.append(_no_answer(job, failure))
            return False
        return True

    def _check(self, signature: Signature | None, payloads: Sequence[Payload]) -> None:
        if signature is None:
            raise _Refusal(HANDLER_UNKNOWN, "nobody here handles this name")
        try:
            signature.check(payloads, self._payloads)
        except Misfit as misfit:
            raise _Refusal(INPUT_INVALID, str(misfit)) from misfit
        except Exception as error:
            # An unexpected error of the check: the workflow must not see the input either.
            logger.exception("workflow.input_unread")
            raise _Refusal(INPUT_INVALID, "cannot be read") from error

    def _told(
        self, refusal: _Refusal, what: str, name: str, event: int, identity: str, replayed: bool
    ) -> Failure:
        info = self._det.info
        refused = RefusedInput(
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            workflow_type=info.workflow_type,
            what=what,
            name=name[:MOST_NAME],
            event=event,
            code=refusal.code,
            detail=refusal.detail,
            identity=identity[:MOST_NAME],
        )
        self._tell(refused, replayed=replayed)
        failure = Failure()
        message = f"{what} {refused.name}: {refusal.detail}"
        error = ApplicationError(message, type=refusal.code, non_retryable=True)
        self._failures.to_failure(error, self._payloads, failure)
        return failure

    def _completion(self, commands: Sequence[WorkflowCommand]) -> WorkflowActivationCompletion:
        """Return a completion in place of the instance, which was never activated."""
        completion = WorkflowActivationCompletion()
        completion.successful.SetInParent()
        completion.successful.commands.extend(commands)
        behavior = self._det.defn.versioning_behavior
        if behavior is not None:
            completion.successful.versioning_behavior = behavior.value
        return completion


def _no_answer(job: WorkflowActivationJob, failure: Failure) -> WorkflowCommand:
    command = WorkflowCommand()
    if job.HasField("query_workflow"):
        command.respond_to_query.query_id = job.query_workflow.query_id
        command.respond_to_query.failed.CopyFrom(failure)
    else:
        command.update_response.protocol_instance_id = job.do_update.protocol_instance_id
        command.update_response.rejected.CopyFrom(failure)
    return command
