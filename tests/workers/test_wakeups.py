"""Signals as wake-ups: forged ones, repeated ones, and a history that must not grow without end."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace

import pytest

from apps.engine.contracts import SignalEnvelope
from workers import approval_wait, children
from workers.wakeups import MOST, Wakeups


def test_an_id_that_changed_nothing_wakes_again_and_one_that_did_does_not() -> None:
    wakeups = Wakeups()
    wakeups.wake(SignalEnvelope("forged"))
    assert wakeups.woken()
    assert wakeups.take() == ("forged",)
    assert not wakeups.woken()
    wakeups.wake(SignalEnvelope("forged"))
    assert wakeups.woken()
    wakeups.keep(wakeups.take())
    wakeups.wake(SignalEnvelope("forged"))
    assert not wakeups.woken()


def test_the_same_id_twice_before_a_look_is_named_once_and_ids_are_sorted() -> None:
    wakeups = Wakeups()
    for command in ("b", "a", "b"):
        wakeups.wake(SignalEnvelope(command))
    assert wakeups.take() == ("a", "b")


def test_of_a_flood_only_so_many_are_named_and_it_is_woken_all_the_same() -> None:
    wakeups = Wakeups()
    for number in range(10 * MOST):
        wakeups.wake(SignalEnvelope(str(number)))
    assert len(wakeups.take()) == MOST


class Renewed(BaseException):
    """In the place of the SDK's own."""


def renew() -> None:
    raise Renewed


@dataclass
class Row:
    waiting: bool = True
    request_id: str = "1"
    next_at: datetime | None = None
    expires_at: datetime | None = None


def long_after(monkeypatch: pytest.MonkeyPatch, looks: list[object]) -> None:
    """The server finds the history long after the third look."""
    info = SimpleNamespace(is_continue_as_new_suggested=lambda: len(looks) >= 3)
    monkeypatch.setattr(approval_wait.workflow, "info", lambda: info)


def test_forged_signals_without_end_make_the_wait_continue_as_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[object] = []
    wakeups = Wakeups()
    long_after(monkeypatch, looks)

    async def until(woken: object, *, at: datetime | None) -> bool:
        wakeups.wake(SignalEnvelope("forged"))
        return True

    async def read(signals: tuple[str, ...]) -> Row:
        looks.append(signals)
        wakeups.wake(SignalEnvelope("another, meanwhile"))
        return Row()

    async def expire() -> Row:
        raise AssertionError("nothing expires")

    monkeypatch.setattr(approval_wait, "until", until)
    with pytest.raises(Renewed):
        asyncio.run(
            approval_wait.wait_for_decision(
                wakeups,
                read,
                expire,
                Row(),
                timings=None,  # type: ignore[arg-type]
                renew=renew,
            )
        )
    assert len(looks) == 3


@pytest.mark.parametrize("renewing", [True, False])
def test_following_a_saga_that_never_ends_has_an_end(
    monkeypatch: pytest.MonkeyPatch, renewing: bool
) -> None:
    from datetime import UTC, timedelta

    looks: list[object] = []
    clock = [datetime(2025, 11, 24, tzinfo=UTC)]
    long_after(monkeypatch, looks)

    async def wait_condition(woken: object, *, timeout: timedelta) -> None:
        clock[0] += timeout
        raise TimeoutError

    async def look() -> str:
        looks.append(clock[0])
        return "executing"

    monkeypatch.setattr(children.workflow, "wait_condition", wait_condition)
    monkeypatch.setattr(children.workflow, "now", lambda: clock[0])
    following = children.follow(
        look,
        lambda facts: facts != "executing",
        within=timedelta(hours=1),
        longest=timedelta(minutes=10),
        renew=renew if renewing else None,
    )
    if renewing:
        with pytest.raises(Renewed):
            asyncio.run(following)
        assert len(looks) == 3
    else:
        assert asyncio.run(following) == "executing"
        assert len(looks) < 20
