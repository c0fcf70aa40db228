"""The relay: one leader takes commands from the outbox and sends them, others stand by."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
from psycopg import errors
from temporalio.client import Client

from apps.common import correlation
from apps.common.failpoints import failpoint_async
from apps.engine import client, leader_tasks, liveness
from apps.engine.contracts import CommandState
from apps.engine.db_threads import Threads
from apps.engine.error_policy import Verdict
from apps.engine.leader_tasks import Duty, Leader
from apps.engine.liveness import process_name
from apps.engine.relay.concurrency_limiter import ConcurrencyLimiter
from apps.engine.relay.config import Limits
from apps.engine.relay.delivery import Delivery
from apps.engine.relay.session import Claimed, Outcome, Session, database_params
from apps.engine.relay.settling import parked_announce

logger = correlation.get_logger("apps.engine.relay")

_ROW_IS_HELD = (errors.LockNotAvailable, errors.DeadlockDetected, errors.QueryCanceled)
#: Time between two attempts to reach PostgreSQL.
RECONNECT_SECONDS = 0.5
#: The same error is logged again after this time.
REPEAT_LOG_SECONDS = 30.0
#: The time that duties have to let go of other servers, when the process ends.
CLOSE_SECONDS = 3.0


class Relay:
    """Stands by until it leads, then sends and does the leader's duties, until stopped.

    Killed at any point, it loses nothing: leased commands are sent again when the lease is over,
    and receivers deduplicate by key. Several may run; PostgreSQL's advisory lock makes one of them
    the leader.
    """

    def __init__(
        self,
        *,
        name: str = "",
        limits: Limits | None = None,
        connect: Callable[[], Awaitable[Client]] | None = None,
        database: Mapping[str, Any] | None = None,
        leader_duties: Sequence[Duty] | None = None,
        notify: bool = True,
    ) -> None:
        """`notify=False` polls only; `leader_duties=[]` sends only."""
        self.name = name or process_name()
        self.limits = limits or Limits.from_settings()
        self._connect = connect or partial(
            client.connect, identity=f"relay {self.name}", retry_config=client.ONE_TRY
        )
        self._database = database
        self._duties = leader_tasks.standard() if leader_duties is None else list(leader_duties)
        self._notify = notify
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._leading = False
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._done: list[Outcome] = []
        self._recovered: set[str] = set()
        self._prepared = asyncio.Event()
        self._next_due: float | None = None
        self._limiter = self._new_limiter()
        self._threads = Threads("relay", most=4)
        self._beat_threads = Threads("relay-beat", most=1)
        self._delivery = Delivery(client=self.client, limits=self.limits, threads=self._threads)
        self._said: dict[str, float] = {}

    @property
    def leading(self) -> bool:
        """Return whether this relay is the leader."""
        return self._leading

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; finish and settle the calls in flight before returning.

        Outages of PostgreSQL and Temporal are logged and waited out.
        """
        waker = asyncio.create_task(self._forward(stop))
        beating = asyncio.create_task(self._beat(stop))
        try:
            while not stop.is_set():
                try:
                    await self._stand_by_and_lead(stop)
                except Exception as error:
                    self._complain("the relay lost its session", error)
                    await _sleep(RECONNECT_SECONDS, stop)
        finally:
            waker.cancel()
            if stop.is_set():
                await self._close_duties()
            else:
                # Cancelled: no time for a last heartbeat.
                beating.cancel()
            await asyncio.gather(waker, beating, return_exceptions=True)
            self._threads.close()
            self._beat_threads.close()

    async def client(self) -> Client:
        """Return the client that all calls share; connect if there is none. Raises RuntimeError."""
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    # --- leadership -----------------------------------------------------------------------------
    async def _stand_by_and_lead(self, stop: asyncio.Event) -> None:
        database = self._database or database_params()
        session = await Session.open(database, name=self.name, listen=self._notify)
        try:
            while not await session.lead():
                await _sleep(self.limits.standby_seconds, stop)
                if stop.is_set():
                    return
            await self._lead(session, stop)
        finally:
            await session.close()

    async def _lead(self, session: Session, stop: asyncio.Event) -> None:
        logger.info("relay leads", relay=self.name)
        self._set_leading(True)
        leader = Leader(client=self.client, prepared=self._prepared)
        at_duty = [asyncio.create_task(duty.keep(leader)) for duty in self._duties]
        try:
            await self._send(session, stop)
        finally:
            # A leader that lost its session stops at once, including the calls in flight.
            for task in (*self._calls, *at_duty):
                task.cancel()
            await asyncio.gather(*self._calls, *at_duty, return_exceptions=True)
            leader.close()
            self._limiter = self._new_limiter()
            self._set_leading(False)
            logger.info("relay leads no more", relay=self.name)

    async def _close_duties(self) -> None:
        closing = [duty.close() for duty in self._duties if duty.close is not None]
        with self._complaining("a duty was not closed"):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*closing)

    # --- sending --------------------------------------------------------------------------------
    async def _send(self, session: Session, stop: asyncio.Event) -> None:
        next_poll = 0.0
        give_up = None
        while True:
            now = time.monotonic()
            look = session.take_notified() or bool(self._done) or now >= next_poll
            if self._next_due is not None and now >= self._next_due:
                look, self._next_due = True, None
            if self._done:
                await self._settle(session)
            if stop.is_set():
                give_up = give_up or now + self.limits.call_seconds + 2
                if not (self._calls or self._done) or now > give_up:
                    return
            elif look and self._limiter.free:
                await self._claim(session)
            if look or stop.is_set():
                # Also without a free slot: the call that frees one wakes the loop.
                next_poll = now + self.limits.poll_seconds
            until = next_poll if self._next_due is None else min(next_poll, self._next_due)
            await session.wait(self._wake, until - time.monotonic())

    async def _claim(self, session: Session) -> None:
        claimed = await session.claim(
            free=self._limiter.free,
            per_queue=self._limiter.per_queue,
            left=self._limiter.left(),
            lease_seconds=self.limits.lease_seconds,
        )
        for command in claimed:
            self._limiter.take(command.task_queue)
            task = asyncio.create_task(self._call(command))
            self._calls.add(task)
            task.add_done_callback(partial(self._call_ended, command.task_queue))

    async def _call(self, command: Claimed) -> None:
        await failpoint_async("relay.claimed")
        outcome, verdict = await self._delivery.deliver(command)
        await failpoint_async("relay.sent")
        if verdict in (Verdict.AWAY, Verdict.UNPREPARED):
            self._limiter.backoff(command.task_queue)
            if verdict is Verdict.UNPREPARED:
                self._prepared.clear()
        elif self._limiter.recover(command.task_queue):
            self._recovered.add(command.task_queue)
        if outcome is not None:
            self._done.append(outcome)

    def _call_ended(self, queue: str, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._limiter.give(queue)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The command is sent again after its lease.
            logger.error("a delivery broke", error=repr(error), exc_info=error, alert=True)

    async def _settle(self, session: Session) -> None:
        """Write the outcomes. They stay in the list until PostgreSQL has them, even if the session
        is lost."""
        outcomes = list(self._done)
        try:
            settled = await session.settle(outcomes)
            await failpoint_async("relay.settled")
        except _ROW_IS_HELD as error:
            # Another transaction holds a row lock: try again soon, the session is fine.
            self._complain("a settlement has to wait", error)
            self._next_due = time.monotonic() + RECONNECT_SECONDS
            return
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            # Retrying would fail for ever and stop the relay. The commands are sent again after
            # their leases.
            logger.exception("outcomes cannot be written", alert=True, error=str(error))
            settled = set()
        del self._done[: len(outcomes)]
        for outcome in outcomes:
            if outcome.command.id not in settled:
                logger.warning("the lease was over", command_id=str(outcome.command.id))
            elif outcome.state == CommandState.PARKED:
                task = asyncio.create_task(
                    self._threads.run(parked_announce, outcome.command, outcome.error)
                )
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
            elif outcome.state == CommandState.PENDING:
                moment = time.monotonic() + outcome.delay
                self._next_due = min(self._next_due or moment, moment)
        if self._recovered:
            recovered = self._recovered.copy()
            self._recovered.clear()
            await session.revive(recovered)
            session.notified = True

    # --- signs of life --------------------------------------------------------------------------
    async def _beat(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._changed.clear()
            with self._complaining("a beat was not written"):
                await self._beat_threads.run(
                    liveness.beat, "relay", self.name, [], self._leading, {"pid": os.getpid()}
                )
            await _sleep(self.limits.beat_seconds, self._changed)
        with self._complaining("the last beat was not written"):
            await self._beat_threads.run(liveness.gone, "relay", self.name)

    def _set_leading(self, leading: bool) -> None:
        self._leading = leading
        self._changed.set()

    async def _forward(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()
        self._changed.set()

    def _new_limiter(self) -> ConcurrencyLimiter:
        return ConcurrencyLimiter(total=self.limits.max_in_flight, per_queue=self.limits.per_queue)

    # --- repeated errors -------------------------------------------------------------------------
    def _complain(self, what: str, error: Exception) -> None:
        """Log an error once, not every half second during an outage."""
        text = f"{type(error).__name__}: {error}".strip()
        now = time.monotonic()
        if now - self._said.get(what, -REPEAT_LOG_SECONDS) >= REPEAT_LOG_SECONDS:
            self._said[what] = now
            logger.warning(what, relay=self.name, error=text)

    @contextmanager
    def _complaining(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._complain(what, error)


async def _sleep(seconds: float, event: asyncio.Event) -> None:
    """Wait until the event or the time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
