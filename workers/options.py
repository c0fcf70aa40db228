"""The common options of every worker and replayer, in production and in tests."""

from collections.abc import Sequence
from typing import TypedDict

from temporalio.worker import Interceptor, WorkflowRunner

from workers.inbound import Refused
from workers.interceptors import WorkerInterceptor
from workers.run_observer import Listener, ObservedRunner


class WorkerOptions(TypedDict):
    """Arguments that `Worker` and `Replayer` have in common."""

    workflow_runner: WorkflowRunner
    unsandboxed_workflow_runner: WorkflowRunner
    interceptors: Sequence[Interceptor]


def worker_options(
    *,
    listeners: Sequence[Listener] = (),
    refused: Refused | None = None,
    versioned: bool = False,
    sandboxed: bool = True,
) -> WorkerOptions:
    """Return options for `Worker(client, …, **worker_options())`: inputs from outside are checked
    and runs observed.

    `listeners` get notices of runs (workers.run_observer), `refused` refused inputs
    (workers.inbound).
    """

    def runner(*, sandboxed: bool) -> ObservedRunner:
        return ObservedRunner(
            listeners=listeners, refused=refused, versioned=versioned, sandboxed=sandboxed
        )

    return {
        "workflow_runner": runner(sandboxed=sandboxed),
        # For a workflow that is declared `sandboxed=False`: it gets the same.
        "unsandboxed_workflow_runner": runner(sandboxed=False),
        "interceptors": [WorkerInterceptor()],
    }
