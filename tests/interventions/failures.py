"""Failures of one step of one saga: what breaks, and what must come of it.

A failure replaces a verb that an activity calls, for one intervention only; every other saga, and
every other step of this one, runs as always. So hundreds can be told side by side.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import pytest
from django.db import transaction

from apps.common.errors import Conflict, Unavailable
from apps.interventions import executor
from apps.interventions.contracts import Step
from apps.interventions.services import budgets, outcomes, policies, rows
from apps.outbound.calls import Refused
from tests.support import patient

Call = Callable[[], Any]

#: The verb that an activity calls for a step. The two that reach the executor are the executor's.
VERBS: dict[str, tuple[Any, str]] = {
    Step.VALIDATE_POLICY: (policies, "policy_validate"),
    Step.GET_POLICY_DETAILS: (policies, "policy_details"),
    Step.RESERVE_BUDGET: (budgets, "budget_reserve"),
    Step.EXECUTE: (executor, "execute"),
    Step.UPDATE_FEATURE_STORE: (outcomes, "feature_update"),
    Step.NOTIFY_STAKEHOLDERS: (outcomes, "stakeholders_notify"),
    Step.RECORD_OUTCOME: (outcomes, "outcome_record"),
    Step.ROLL_BACK: (executor, "reverse"),
    Step.RELEASE_BUDGET: (budgets, "budget_release"),
    "commit_budget": (budgets, "budget_commit"),
    "settle": (outcomes, "intervention_settle"),
}
#: Of the seven: those before the effect in the outside world, and those after it.
BEFORE = (Step.VALIDATE_POLICY, Step.GET_POLICY_DETAILS, Step.RESERVE_BUDGET)
AFTER = (Step.UPDATE_FEATURE_STORE, Step.NOTIFY_STAKEHOLDERS, Step.RECORD_OUTCOME)
#: A step that hangs for longer than any attempt's time.
HANG_SECONDS = patient(4.0)


class Failure(StrEnum):
    REFUSED = "refused"
    HEALS = "outage that heals"
    LATE = "outage past the deadline"
    LOST = "worker lost after it"
    HANGS = "hangs"
    TAKEN_BACK = "taken back"
    STOPPED = "cancelled in the engine"


class End(NamedTuple):
    """What came of a saga. `asked`: items in the inbox that ask a person to look."""

    status: str
    code: str = ""
    ledger: tuple[str, ...] = ()
    executions: int = 0
    reversals: int = 0
    asked: int = 0

    def __str__(self) -> str:
        money = {(): "untouched", ("reserve", "release"): "released", ("reserve",): "set aside"}
        words = [self.status, "money " + money.get(self.ledger, "spent")]
        words += ["undone"] * bool(self.reversals) + ["a person is asked"] * bool(self.asked)
        return ", ".join(words)


SPENT = ("reserve", "commit")
DONE = End("executed", "", SPENT, 1)
#: The payment stands, and something after it could not be done.
INCOMPLETE = End("executed", "steps_missing", SPENT, 1, asked=1)


def untouched(status: str, code: str) -> End:
    return End(status, code)


def released(status: str, code: str) -> End:
    return End(status, code, ("reserve", "release"))


def undone(status: str, code: str) -> End:
    return End(status, code, ("reserve", "release"), 1, 1)


def expected(step: str, failure: Failure, *, reversible: bool) -> set[End]:
    """The ends that are right. More than one where two things happen at once."""
    match failure:
        case Failure.HEALS | Failure.LOST | Failure.HANGS:
            return {DONE}
        case Failure.REFUSED:
            return {_refused(step, reversible=reversible)}
        case Failure.LATE:
            return {_late(step, reversible=reversible)}
        case Failure.TAKEN_BACK:
            # Once the executor has been called it is too late, and the person is told so.
            return {untouched("cancelled", "cancelled") if step in BEFORE else DONE}
        case _:
            # Heard with the next workflow task, and short steps share one: a step or two later.
            stands = undone("cancelled", "cancelled") if reversible else DONE
            if step in BEFORE:
                early = {untouched("cancelled", "cancelled"), released("cancelled", "cancelled")}
                return {*early, stands}
            return {stands} if step == Step.EXECUTE else {stands, DONE}


def _late(step: str, *, reversible: bool) -> End:
    if step in BEFORE:
        return untouched("failed", "deadline_exceeded")
    if step == Step.EXECUTE:
        return released("failed", "deadline_exceeded")
    return undone("failed", "deadline_exceeded") if reversible else DONE


def _refused(step: str, *, reversible: bool) -> End:
    if step in BEFORE:
        return untouched("failed", "told_to_refuse")
    if step == Step.EXECUTE:
        return released("failed", "execution_refused")
    if reversible:
        return undone("failed", "told_to_refuse")
    # Nothing may be guessed of an outcome that cannot be recorded: a person is asked.
    return End("executing", "", SPENT, 1, asked=1) if step == Step.RECORD_OUTCOME else INCOMPLETE


@dataclass
class Faults:
    """Installs failures; `act` runs a coroutine of the test's event loop from a step's thread."""

    patch: pytest.MonkeyPatch
    act: Callable[[Coroutine[Any, Any, Any]], Any]
    plan: dict[tuple[str, str], Callable[[Call], Any]] = field(default_factory=dict)
    hits: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for step, (module, verb) in VERBS.items():
            self.patch.setattr(module, verb, self._breakable(step, getattr(module, verb)))
        run = self._interruptible(rows.step_group_run)
        self.patch.setattr(rows, "step_group_run", run)

    def _breakable(self, step: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            subject = str(args[0].pk if args else kwargs["intervention_id"])
            broken = self.plan.get((step, subject))
            if broken:
                self.hits.add((step, subject))
            return broken(lambda: real(*args, **kwargs)) if broken else real(*args, **kwargs)

        return call

    def _interruptible(self, join: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return join(*args, **kwargs)
            except _Meanwhile as moment:
                moment.act()
                return join(*args, **kwargs)

        return call

    def hit(self, step: str, subject: str) -> bool:
        """Whether the failure has shown itself."""
        return (step, subject) in self.hits

    def refuse(self, step: str, subject: str) -> None:
        """For good. The executor's no is an answer of its own."""

        def no(real: Call) -> Any:
            if step in {Step.EXECUTE, Step.ROLL_BACK}:
                raise Refused("executor", 409, {"code": "told_to_refuse", "detail": "As told."})
            raise Conflict("As told.", code="told_to_refuse")

        self.plan[step, subject] = no

    def heal(self, step: str, subject: str, *, after: int = 2) -> None:
        """An outage: some attempts fail before they do anything."""
        self._first(step, subject, after, lambda real: _away())

    def fail_for(self, step: str, subject: str, seconds: float) -> None:
        """An outage that lasts so long from the moment in which it is met."""
        met: list[float] = []

        def call(real: Call) -> Any:
            met.append(time.monotonic())
            return _away() if met[-1] < met[0] + seconds else real()

        self.plan[step, subject] = call

    def lose(self, step: str, subject: str) -> None:
        """It is done and committed, and nobody hears of it: the worker is gone."""

        def unheard() -> None:
            raise ConnectionError("nobody hears of it")

        def done_unheard(real: Call) -> Any:
            real()
            # At once, or with the commit of the steps of its group.
            transaction.on_commit(unheard)

        self._first(step, subject, 1, done_unheard)

    def hang(self, step: str, subject: str) -> None:
        """The first attempt hangs, and ends when nobody waits for it any more."""

        def late(real: Call) -> Any:
            threading.Event().wait(HANG_SECONDS)
            return real()

        self._first(step, subject, 1, late)

    def meanwhile(self, step: str, subject: str, action: Callable[[], Any]) -> None:
        """Somebody does something in the moment before the step."""

        def act() -> None:
            outcome = action()
            if asyncio.iscoroutine(outcome):
                self.act(outcome)

        def first(real: Call) -> Any:
            if transaction.get_connection().in_atomic_block:
                # Nobody comes in between the steps of a group: the moment is the one before them.
                raise _Meanwhile(act)
            act()
            return real()

        self._first(step, subject, 1, first)

    def _first(self, step: str, subject: str, times: int, broken: Callable[[Call], Any]) -> None:
        left = [times]

        def call(real: Call) -> Any:
            if not left[0]:
                return real()
            left[0] -= 1
            return broken(real)

        self.plan[step, subject] = call


class _Meanwhile(Exception):
    """Ends a group of steps, so that something can happen before they run again."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__("something happens before it")
        self.act = act


def _away() -> None:
    raise Unavailable("As told.", code="told_to_fail")
