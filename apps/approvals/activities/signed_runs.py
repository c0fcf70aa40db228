"""Activities of runs that are signed once (`apps.approvals.signed_runs`), for each kind of run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio import activity

from apps.approvals import signed_runs
from apps.approvals.contracts import RunFacts, RunRefusal, RunStep
from apps.approvals.subject import SignedSubject
from apps.engine.heartbeats import heartbeating
from apps.engine.runs.spec import R, RunSpec

A = TypeVar("A")


@dataclass(frozen=True)
class RunActivities:
    """Activities for the run's workflow. `open` sends heartbeats, the others are one short
    transaction."""

    open: Callable[[RunStep], RunFacts]
    read: Callable[[RunStep], RunFacts]
    expire: Callable[[RunStep], RunFacts]
    refuse: Callable[[RunRefusal], RunFacts]
    finish: Callable[[RunStep], RunFacts]
    cancel: Callable[[RunStep], RunFacts]

    def all(self) -> list[Callable[..., Any]]:
        """Return all of them, for the worker's registry."""
        return list(vars(self).values())


def run_activities(spec: RunSpec[R], signed: SignedSubject[R, RunFacts]) -> RunActivities:
    """Return the activities `open_<noun>`, `read_<noun>` and so on of this kind of run."""

    def opens(input: RunStep) -> RunFacts:
        # Every item is read, hashed and written, which takes long for thousands.
        carrier = workflow_id()
        return heartbeating(signed.open, input.run_id, workflow_id=carrier, as_of=input.as_of)

    def reads(input: RunStep) -> RunFacts:
        return signed.read(input.run_id, signals=input.signals)

    def expires(input: RunStep) -> RunFacts:
        return signed.expire(input.run_id, as_of=input.as_of)

    def refuses(input: RunRefusal) -> RunFacts:
        why = {"code": input.code, "detail": input.detail}
        return signed.refuse(input.run_id, **why, as_of=input.as_of)

    def finishes(input: RunStep) -> RunFacts:
        return signed_runs.finish(spec, input.run_id, workflow_id=workflow_id(), as_of=input.as_of)

    def cancels(input: RunStep) -> RunFacts:
        return signed_runs.cancelled(
            spec, input.run_id, workflow_id=workflow_id(), as_of=input.as_of
        )

    def named(verb: str, fn: Callable[[A], RunFacts]) -> Callable[[A], RunFacts]:
        fn.__name__ = fn.__qualname__ = f"{verb}_{spec.process.noun}"
        return activity.defn(name=fn.__name__)(fn)

    return RunActivities(
        open=named("open", opens),
        read=named("read", reads),
        expire=named("expire", expires),
        refuse=named("refuse", refuses),
        finish=named("finish", finishes),
        cancel=named("cancel", cancels),
    )


def workflow_id() -> str:
    """Return the id of the workflow that called the activity."""
    return activity.info().workflow_id or ""
