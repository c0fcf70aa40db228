"""Bookings: the saga of a seat and its fare.

A workflow decides what to try next. The database decides what is allowed and knows what happened:
every step reads the row again under its lock, and compensation follows the row, not the workflow's
memory.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, NoReturn, TypeVar

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.bookings.activities import bookings as activities
    from apps.bookings.contracts import (
        BOOK_ALIAS,
        BOOK_WORKFLOW,
        BOOKING,
        DEFAULT_REASON,
        SIGNAL_CANCEL,
        AttentionInput,
        BookingFacts,
        BookingInput,
        BookingStatus,
        CancelInput,
        OpenInput,
        ReserveSeatInput,
        RideRequest,
        RideResult,
        SettleInput,
        end_words,
    )
    from apps.engine.contracts import Between, Stop, Timings
    from workers.attributes import mark
    from workers.saga import CANCELLED, Saga, fail, refusal, undone
    from workers.steps import OUTSIDE, local_step, remote_step

R = TypeVar("R")

CHARGE_TIMEOUT = 60.0
#: The code of a saga that its deadline stopped.
LATE = "deadline_exceeded"
Reason = Annotated[str, Between(0, 400)]


@workflow.defn(name=BOOK_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class BookRideWorkflow:
    """Reserves the seat, takes the fare, confirms, and writes the manifest. Any failure gives the
    money back first and then the seat.

    The deadline is inside the workflow, because a server-side timeout would close the saga without
    compensation.
    """

    def __init__(self) -> None:
        self._saga = Saga()
        self._opened: asyncio.Future[str] = asyncio.Future()
        self._cancelling: list[asyncio.Future[None]] = []

    @workflow.run
    async def run(self, request: RideRequest) -> RideResult:
        result = await self._saga.uncancellable(self._run(request))
        return result

    @workflow.signal(name=SIGNAL_CANCEL)
    async def cancel(self, reason: Reason = DEFAULT_REASON) -> None:
        """Cancel the booking: the same verb as on the page and in the API."""
        done: asyncio.Future[None] = asyncio.Future()
        self._cancelling.append(done)
        booking_id = await self._opened
        try:
            if booking_id:
                await self._cancel(booking_id, reason)
        finally:
            done.set_result(None)

    async def _cancel(self, booking_id: str, reason: str) -> None:
        try:
            await local_step(activities.cancel_booking, CancelInput(booking_id, reason))
        except (ApplicationError, ActivityError):
            # It stays as it is, and the refusal is audited.
            workflow.logger.info("booking.not_cancelled")

    async def _run(self, request: RideRequest) -> RideResult:
        try:
            facts = await self._open(request)
        except ApplicationError as refused:
            self._opened.set_result("")
            return _failed(refused.type or "", refused.message)
        mark(BOOKING, facts.booking_id)
        self._opened.set_result(facts.booking_id)
        end = _ended_as(facts) or await self._book(request, facts)
        # A cancellation that came in time is heard before the run ends, and is its result.
        heard = self._saga.cancelled or bool(self._cancelling)
        if self._saga.cancelled and end.status == "CONFIRMED":
            await self._cancel(facts.booking_id, CANCELLED.detail)
        while waiting := [one for one in self._cancelling if not one.done()]:
            await workflow.wait(waiting)
        if not heard or end.status != "CONFIRMED":
            return end
        read = BookingInput(facts.booking_id)
        return _ended_as(await local_step(activities.read_booking, read)) or end

    async def _open(self, request: RideRequest) -> BookingFacts:
        input = OpenInput(workflow.info().workflow_id, request, workflow.now())
        return await local_step(activities.open_booking, input, timings=request.timings)

    async def _book(self, request: RideRequest, facts: BookingFacts) -> RideResult:
        ride = _Ride(request, facts.booking_id)
        if request.restarted and facts.attention == "open":
            fail("attention_open", "A person is asked about it.")
        stop: Stop | None = Stop(BookingStatus.FAILED, "given_up", "A person has ended it.")
        if facts.attention != "rejected":
            steps = self._steps(ride, wallet=facts.wallet)
            stop = await self._saga.run_until(steps, deadline=request.timings.deadline)
        if stop is not None and self._saga.cancelled:
            # The same verb as on the page. It may refuse: then the booking goes on.
            await self._cancel(ride.booking_id, CANCELLED.detail)
        if stop is not None and stop.code in (LATE, CANCELLED.code):
            stop = await self._insist(ride, stop)
        if stop is None:
            return RideResult(facts.booking_id, "CONFIRMED")
        return await self._compensate(ride, stop)

    async def _insist(self, ride: "_Ride", stop: Stop) -> Stop | None:
        """Finish a booking that was confirmed before it was stopped: the rider has been told. Only
        a refusal of what is left ends it."""
        facts = await ride.do(activities.read_booking)
        if facts.status != BookingStatus.CONFIRMED:
            return stop
        try:
            await ride.do(activities.complete_booking)
        except ApplicationError as refused:
            return refusal(refused)
        return None

    async def _steps(self, ride: "_Ride", *, wallet: bool) -> None:
        if wallet:
            await ride.do(activities.book_from_wallet)
            return
        request = ride.request
        await local_step(
            activities.reserve_seat,
            ReserveSeatInput(request.busId, request.segment, request.userId),
            timings=request.timings,
        )
        self._saga.check()
        await remote_step(
            activities.charge_card,
            BookingInput(ride.booking_id),
            timings=Timings(activity=CHARGE_TIMEOUT, heartbeat=request.timings.heartbeat),
            # Steps in the database wait until the deadline.
            retry=OUTSIDE,
        )
        self._saga.check()
        await ride.do(activities.complete_booking)

    async def _compensate(self, ride: "_Ride", stop: Stop) -> RideResult:
        async def settle() -> BookingFacts:
            input = SettleInput(ride.booking_id, stop.status, stop.code, stop.detail)
            return await local_step(activities.settle_booking, input, timings=ride.request.timings)

        take_back = partial(
            remote_step,
            activities.reverse_charge,
            BookingInput(ride.booking_id),
            timings=Timings(activity=CHARGE_TIMEOUT, heartbeat=ride.request.timings.heartbeat),
        )
        facts = await undone(
            partial(ride.do, activities.read_booking),
            take_back,
            settle,
            ride.ask,
            patience=ride.request.timings.deadline,
            name="payment",
        )
        if facts is None:
            # The service will not give the money back: a person has to.
            await ride.ask("payment_stands", "The card was charged, and that is not taken back.")
        return _ended_as(facts) or _failed(stop.code, stop.detail)


@workflow.defn(name=BOOK_ALIAS, versioning_behavior=VersioningBehavior.PINNED)
class BookRideAlias(BookRideWorkflow):
    """The same under the name that earlier clients start."""

    @workflow.run
    async def run(self, request: RideRequest) -> RideResult:
        return await BookRideWorkflow.run(self, request)


class _Ride:
    """A booking and its request."""

    def __init__(self, request: RideRequest, booking_id: str) -> None:
        self.request, self.booking_id = request, booking_id

    async def do(self, fn: Callable[[BookingInput], R]) -> R:
        """Run a short step in the database."""
        return await local_step(fn, BookingInput(self.booking_id), timings=self.request.timings)

    async def ask(self, code: str, detail: str) -> NoReturn:
        """Open a review item and end as failed, so that a run may continue from the row."""
        input = AttentionInput(self.booking_id, code, detail)
        await local_step(activities.raise_attention, input, timings=self.request.timings)
        fail(code, detail)


def _ended_as(facts: BookingFacts) -> RideResult | None:
    """Return the result of a booking that needs no workflow any more; else None."""
    if facts.status == BookingStatus.CONFIRMED:
        return RideResult(facts.booking_id, "CONFIRMED")
    return _failed(facts.code, facts.detail) if facts.settled else None


def _failed(code: str, detail: str) -> RideResult:
    return RideResult("", "FAILED", end_words(code, detail), code)
