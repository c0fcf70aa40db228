"""The leader's periodic duties besides sending, each in its own guarded task."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from temporalio.client import Client

from apps.audit import services as audit
from apps.common import correlation
from apps.engine import liveness, namespace, schedules, sweeper
from apps.engine.db_threads import Threads
from apps.engine.forgetting import Position, commands_forget
from apps.engine.reconcile import reconcile

logger = correlation.get_logger(__name__)

SEAL_BATCH = 1000
SETUP_SECONDS = 2.0
RECONCILE_SECONDS = 60.0
FORGET_SECONDS = 600.0
#: Commands carry changes within a second. This is for rows that no command was written for, those
#: of the first start, and for an engine that lost its schedules.
SCHEDULES_SECONDS = 300.0
#: The same error of a duty is logged again after this time.
REPEAT_LOG_SECONDS = 30.0


class Leader:
    """What the duties share while this relay leads."""

    def __init__(self, *, client: Callable[[], Awaitable[Client]], prepared: asyncio.Event) -> None:
        self.client = client
        #: Set when the server knows our namespace and search attributes.
        self.prepared = prepared
        #: Set after the first comparison of the mirror with the server and the first sweep.
        self.compared = asyncio.Event()
        self.threads = Threads("duty", most=6)

    def close(self) -> None:
        """Release the threads at the end of the leadership."""
        self.threads.close()


@dataclass(frozen=True)
class Duty:
    """Awaits `fn` every `every` seconds; again at once when it returns True, for more work.

    `close` is awaited at the end of the process, for what the duty holds open towards others.
    """

    name: str
    every: float
    fn: Callable[[Leader], Awaitable[bool]]
    close: Callable[[], Awaitable[None]] | None = None

    async def keep(self, leader: Leader) -> None:
        """Run until cancelled. Failures are logged and retried at the next turn."""
        last_error, logged_at = "", 0.0
        while True:
            try:
                more = await self.fn(leader)
            except Exception as error:
                more = False
                text = f"{type(error).__name__}: {error}"
                if text != last_error or time.monotonic() - logged_at > REPEAT_LOG_SECONDS:
                    last_error, logged_at = text, time.monotonic()
                    logger.warning("a duty failed", duty=self.name, error=text)
            # Yield even when there is more work, so that other tasks get their turn.
            await asyncio.sleep(0 if more else self.every)


class OwnThread:
    """A task that runs a function in threads of its own, because the leader's threads must not wait
    for servers, or for long work. The function returns how much it did; 0: there is no more."""

    def __init__(self, name: str, fn: Callable[[], int]) -> None:
        self._threads = Threads(name, most=1)
        self._fn = fn

    async def __call__(self, leader: Leader) -> bool:
        return bool(await self._threads.run(self._fn))

    async def close(self, fn: Callable[[], None]) -> None:
        """Run the function after the one that runs now, in the same thread; accept no others."""
        try:
            await self._threads.run(fn)
        finally:
            self._threads.close()


_more: "dict[str, Callable[[], list[Duty]]]" = {}


def register(name: str, make: "Callable[[], list[Duty]]") -> None:
    """Register further duties. Called in `AppConfig.ready()`, because the engine imports no app
    above it. Raises ImproperlyConfigured when the name is taken."""
    if name in _more:
        raise ImproperlyConfigured(f"the duties {name!r} are registered twice")
    _more[name] = make


def standard() -> list[Duty]:
    """Return the duties of a leader with the settings' periods: the engine's own and registered
    ones."""
    return [
        Duty("setup", SETUP_SECONDS, _prepare),
        Duty("seal", settings.AUDIT_SEAL_SECONDS, _seal),
        Duty("verify", settings.AUDIT_VERIFY_SECONDS, _verify),
        Duty("sweep", settings.SWEEP_SECONDS, _sweep),
        Duty("reconcile", RECONCILE_SECONDS, _reconcile),
        Duty("schedules", SCHEDULES_SECONDS, _schedules),
        Duty("forget", FORGET_SECONDS, _forget),
        Duty("forget_commands", FORGET_SECONDS, _ForgetCommands()),
        *(duty for make in _more.values() for duty in make()),
    ]


async def _prepare(leader: Leader) -> bool:
    if not leader.prepared.is_set():
        await namespace.engine_ensure(await leader.client())
        # Also set when an operator must finish the setup: repeating it would not help. A call that
        # fails for that reason clears the event.
        leader.prepared.set()
    return False


async def _seal(leader: Leader) -> bool:
    return await leader.threads.run(audit.pending_seal, limit=SEAL_BATCH) >= SEAL_BATCH


async def _verify(leader: Leader) -> bool:
    return await leader.threads.run(audit.chain_check)


async def _sweep(leader: Leader) -> bool:
    client = await leader.client()
    if not leader.compared.is_set():
        await sweeper.compare(client, threads=leader.threads)
    await sweeper.sweep(client, threads=leader.threads)
    # Set only after the sweep: after a restored backup it lists what Temporal ran since, and a
    # second run must not reuse one of those numbers.
    leader.compared.set()
    return False


async def _reconcile(leader: Leader) -> bool:
    # Before that the mirror does not say which workflows are not running.
    await leader.compared.wait()
    await leader.threads.run(reconcile)
    return False


async def _schedules(leader: Leader) -> bool:
    await leader.prepared.wait()
    await schedules.apply_rows(await leader.client(), threads=leader.threads)
    return False


class _ForgetCommands:
    """Walks over the settled commands, one batch per turn, then starts over."""

    def __init__(self) -> None:
        self._position: Position | None = None

    async def __call__(self, leader: Leader) -> bool:
        # Before that the mirror does not say which workflows are running.
        await leader.compared.wait()
        _, self._position = await leader.threads.run(commands_forget, self._position)
        return self._position is not None


async def _forget(leader: Leader) -> bool:
    await leader.threads.run(liveness.forget_silent)
    return False
