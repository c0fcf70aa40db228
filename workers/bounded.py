"""Workflow helper: carries out items of a run (`apps.engine.runs`) as tasks, a few at a time.

The rows have the state of all items; this class only keeps that many tasks running.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from temporalio import workflow

from workers.wakeups import Wakeups

#: How long a run waits for its tasks before it continues as new; the next run finds the rest.
DRAIN = timedelta(minutes=1)
#: The pause before looking again at a running row of which nothing may begin now.
PAUSE = timedelta(seconds=1)


class Item(Protocol):
    """An item that is ready; its number is unique within the run."""

    @property
    def number(self) -> int: ...


class Facts(Protocol):
    """The row's state. `runs`: items may begin; `settled`: it has ended; neither: paused or
    pending."""

    @property
    def runs(self) -> bool: ...

    @property
    def settled(self) -> bool: ...


F = TypeVar("F", bound=Facts)
I = TypeVar("I", bound=Item)  # noqa: E741


class BoundedRun(Generic[F, I]):
    """Works through a run: at most `concurrency` tasks at a time, woken by signals.

    `prepare(limit, known)` reads the row and prepares up to `limit` items outside `known`, the
    numbers of the running ones; `carry_out(item)` carries out one item to its end; `finish()` ends
    the row when nothing is left, and reads it; `renew()` continues as new, after `per_run` items or
    when the history grows long: the next run continues from the rows.
    """

    def __init__(
        self,
        wakeups: Wakeups,
        *,
        concurrency: int,
        per_run: int,
        prepare: Callable[[int, tuple[int, ...]], Awaitable[tuple[F, Sequence[I]]]],
        carry_out: Callable[[I], Coroutine[Any, Any, None]],
        finish: Callable[[], Awaitable[F]],
        renew: Callable[[], None],
    ) -> None:
        self._wakeups = wakeups
        self._concurrency = concurrency
        self._per_run = per_run
        self._prepare = prepare
        self._carry_out = carry_out
        self._finish = finish
        self._renew = renew
        self._running: dict[int, asyncio.Task[None]] = {}
        self._begun = 0

    async def work(self, facts: F) -> F:
        """Work until no item waits or is running, or the row has ended; return its state.

        Raises what the steps raise, and a task's failure.
        """
        while not facts.settled:
            self._wakeups.take()
            self._collect()
            if self._begun >= self._per_run or workflow.info().is_continue_as_new_suggested():
                await self._hand_over()
            free = min(self._concurrency - len(self._running), self._per_run - self._begun)
            facts, items = await self._prepare(free, tuple(sorted(self._running)))
            for item in items:
                self._begin(item)
            facts = await self._go_on(facts, nothing_ready=bool(free) and not items)
        return await self.end()

    async def end(self) -> F:
        """Wait for the running items, begin none, and count them. For a row that has ended, also
        after a cancellation of the workflow."""
        await workflow.wait_condition(lambda: not self._alive)
        self._collect()
        return await self._finish()

    # --- helpers ---------------------------------------------------------------------------------
    def _begin(self, item: I) -> None:
        self._begun += 1
        self._running[item.number] = asyncio.create_task(self._carry_out(item))

    async def _go_on(self, facts: F, *, nothing_ready: bool) -> F:
        """Wait until looking again makes sense."""
        if facts.settled:
            return facts
        if facts.runs:
            if nothing_ready and not self._running:
                facts = await self._finish()
                if facts.runs:
                    # The domain does not let the waiting items begin yet.
                    await self._wait(self._wakeups.woken, PAUSE)
                return facts
            # Wait for several to end: looking after each one would cost a transaction each.
            left = 0 if nothing_ready else self._concurrency - max(1, self._concurrency // 3)
            await workflow.wait_condition(lambda: self._wakeups.woken() or self._alive <= left)
        elif self._running:
            # Paused. Look once more when the last item has ended, for the pages that show it.
            await workflow.wait_condition(lambda: self._wakeups.woken() or not self._alive)
        else:
            await workflow.wait_condition(self._wakeups.woken)
        return facts

    @property
    def _alive(self) -> int:
        return sum(not task.done() for task in self._running.values())

    def _collect(self) -> None:
        """Remove the ended tasks; an unexpected failure of one ends the run."""
        for number, task in list(self._running.items()):
            if task.done():
                del self._running[number]
                task.result()

    async def _wait(self, there: Callable[[], bool], longest: timedelta) -> bool:
        try:
            await workflow.wait_condition(there, timeout=longest)
        except TimeoutError:
            return False
        return True

    async def _hand_over(self) -> None:
        if not await self._wait(lambda: not self._alive, DRAIN):
            workflow.logger.info("run.hands_over", extra={"under_way": self._alive})
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._renew()
