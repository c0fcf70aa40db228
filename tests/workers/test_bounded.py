"""Items of a run, a few under way at a time: with a toy domain, without a server."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from apps.engine.contracts import SignalEnvelope
from workers import bounded
from workers.bounded import BoundedRun
from workers.wakeups import Wakeups


class Renewed(BaseException):
    """In the place of the SDK's own."""


@dataclass(frozen=True)
class Facts:
    status: str

    @property
    def runs(self) -> bool:
        return self.status == "running"

    @property
    def settled(self) -> bool:
        return self.status in {"completed", "cancelled"}


@dataclass(frozen=True)
class Item:
    number: int


@dataclass
class Toy:
    """A row and its items, as a database would hold them: they outlive a run of the workflow."""

    items: dict[int, str]
    status: str = "running"
    begun: list[int] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    wakeups: Wakeups = field(default_factory=Wakeups)
    #: These do not end by themselves.
    slow: tuple[int, ...] = ()

    async def prepare(self, limit: int, known: tuple[int, ...]) -> tuple[Facts, list[Item]]:
        if self.status != "running":
            return Facts(self.status), []
        left = [n for n, s in self.items.items() if s == "running" and n not in known]
        waiting = [n for n, s in self.items.items() if s == "waiting"]
        ready = [*left, *waiting][:limit]
        self.items.update(dict.fromkeys(ready, "running"))
        return Facts(self.status), [Item(number) for number in ready]

    async def carry_out(self, item: Item) -> None:
        self.begun.append(item.number)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        await turns_until(lambda: item.number not in self.slow)
        self.items[item.number] = "done"
        self.under_way -= 1

    async def finish(self) -> Facts:
        if self.status == "running" and set(self.items.values()) <= {"done"}:
            self.status = "completed"
        return Facts(self.status)

    def changed(self, status: str) -> None:
        """A person's verb: the row first, then the signal."""
        self.status = status
        self.wakeups.wake(SignalEnvelope(f"{status}:{len(self.begun)}"))


def toy(number: int, **changes: Any) -> Toy:
    return Toy(dict.fromkeys(range(1, number + 1), "waiting"), **changes)


def run_of(one: Toy, *, concurrency: int = 3, per_run: int = 500, **steps: Any) -> Any:
    def renew() -> None:
        raise Renewed

    run: BoundedRun[Facts, Item] = BoundedRun(
        one.wakeups,
        concurrency=concurrency,
        per_run=per_run,
        prepare=one.prepare,
        carry_out=steps.get("carry_out", one.carry_out),
        finish=one.finish,
        renew=renew,
    )
    return run


async def turns_until(there: Callable[[], bool]) -> None:
    while not there():
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the workflow's place: a condition is looked at in every turn of the loop."""

    async def wait_condition(there: Callable[[], bool], timeout: timedelta | None = None) -> None:
        seconds = None if timeout is None else timeout.total_seconds()
        await asyncio.wait_for(turns_until(there), seconds)

    monkeypatch.setattr(bounded, "DRAIN", timedelta(milliseconds=20))
    monkeypatch.setattr(bounded, "PAUSE", timedelta(milliseconds=20))
    monkeypatch.setattr(
        bounded,
        "workflow",
        SimpleNamespace(
            wait_condition=wait_condition,
            info=lambda: SimpleNamespace(is_continue_as_new_suggested=lambda: False),
            all_handlers_finished=lambda: True,
            logger=SimpleNamespace(info=lambda *_, **__: None),
        ),
    )


def within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, seconds))


def test_every_item_is_carried_out_once_and_no_more_than_the_limit_at_a_time() -> None:
    one = toy(20)
    facts = within(5, run_of(one).work(Facts("running")))
    assert facts.status == one.status == "completed"
    assert one.begun == list(range(1, 21))
    assert one.most == 3


def test_one_that_is_paused_begins_nothing_and_goes_on_when_it_is_resumed() -> None:
    one = toy(9)

    async def acted() -> None:
        work = asyncio.create_task(run_of(one).work(Facts("running")))
        await turns_until(lambda: len(one.begun) >= 3)
        one.changed("paused")
        await turns_until(lambda: one.under_way == 0)
        for _ in range(50):
            await asyncio.sleep(0)
        begun = len(one.begun)
        assert begun < 9
        assert not work.done()
        one.changed("running")
        await work
        assert len(one.begun) == 9

    within(5, acted())
    assert set(one.items.values()) == {"done"}


def test_what_is_under_way_comes_to_its_end_when_the_row_is_ended() -> None:
    one = toy(9)

    async def acted() -> Facts:
        work = asyncio.create_task(run_of(one).work(Facts("running")))
        await turns_until(lambda: one.under_way == 3)
        one.changed("cancelled")
        return await work

    assert within(5, acted()).status == "cancelled"
    assert one.under_way == 0
    assert list(one.items.values()).count("done") == len(one.begun) == 3


def test_a_task_that_fails_ends_the_run_with_its_failure() -> None:
    one = toy(5)

    async def failing(item: Item) -> None:
        if item.number == 2:
            raise ZeroDivisionError
        await one.carry_out(item)

    with pytest.raises(ZeroDivisionError):
        within(5, run_of(one, carry_out=failing).work(Facts("running")))


def test_what_its_domain_holds_back_is_asked_for_again_after_a_pause_and_not_at_once() -> None:
    """As where a rate allows one item now and then."""
    one, looks = toy(3), 0
    prepare = one.prepare

    async def one_in_three(limit: int, known: tuple[int, ...]) -> tuple[Facts, list[Item]]:
        nonlocal looks
        looks += 1
        return await prepare(0 if looks % 3 else 1, known)

    one.prepare = one_in_three  # type: ignore[method-assign]
    assert within(5, run_of(one).work(Facts("running"))).status == "completed"
    assert one.begun == [1, 2, 3]
    assert looks < 15


@pytest.mark.parametrize("slow", [(), (1,)])
def test_after_so_many_items_the_next_run_goes_on_from_the_rows(slow: tuple[int, ...]) -> None:
    """What does not end in time is under way in the rows, and the next run finds it."""
    one = toy(10, slow=slow)
    with pytest.raises(Renewed):
        within(5, run_of(one, per_run=4).work(Facts("running")))
    assert 4 <= len(one.begun) < 10
    assert [n for n, status in one.items.items() if status == "running"] == list(slow)
    one.slow, one.under_way = (), 0
    within(5, run_of(one).work(Facts("running")))
    assert one.status == "completed"
    assert sorted(one.begun) == sorted([*range(1, 11), *slow])
