"""What the relay's leader does beside sending: each duty in a task of its own, guarded."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from temporalio.client import Client

from apps.audit import services as audit
from apps.common import correlation
from apps.engine import liveness, namespace, sweeper
from apps.engine.db_threads import Threads
from apps.engine.forgetting import Position, commands_forget
from apps.engine.reconcile import reconcile

logger = correlation.get_logger(__name__)

SEAL_BATCH = 1000
SETUP_SECONDS = 2.0
RECONCILE_SECONDS = 60.0
FORGET_SECONDS = 600.0
#: The same complaint of a duty is logged again after so long.
REPEAT_LOG_SECONDS = 30.0


class Leader:
    """What duties work with, for as long as this relay leads."""

    def __init__(self, *, client: Callable[[], Awaitable[Client]], prepared: asyncio.Event) -> None:
        self.client = client
        #: Whether the server knows our namespace and search attributes.
        self.prepared = prepared
        #: Set when the mirror was compared with the server once, and what ran since was listed.
        self.compared = asyncio.Event()
        self.threads = Threads("duty", most=6)

    def close(self) -> None:
        """The leadership is over."""
        self.threads.close()


@dataclass(frozen=True)
class Duty:
    """`fn` is awaited every so many seconds; when it returns True there is more to do at once."""

    name: str
    every: float
    fn: Callable[[Leader], Awaitable[bool]]

    async def keep(self, leader: Leader) -> None:
        """Until cancelled. Failures are logged and tried again at the next turn."""
        said, said_at = "", 0.0
        while True:
            try:
                more = await self.fn(leader)
            except Exception as error:
                more = False
                text = f"{type(error).__name__}: {error}"
                if text != said or time.monotonic() - said_at > REPEAT_LOG_SECONDS:
                    said, said_at = text, time.monotonic()
                    logger.warning("a duty failed", duty=self.name, error=text)
            # Also when there is more: others want their turn.
            await asyncio.sleep(0 if more else self.every)


_more: "dict[str, Callable[[], list[Duty]]]" = {}


def register(name: str, make: "Callable[[], list[Duty]]") -> None:
    """Let an app's duties be done too: called in its `AppConfig.ready()`, the engine knows no app
    above it. ImproperlyConfigured when the name is taken."""
    if name in _more:
        raise ImproperlyConfigured(f"the duties {name!r} are registered twice")
    _more[name] = make


def standard() -> list[Duty]:
    """The duties of a leader, with the periods of the settings: the engine's own and those that
    apps have registered."""
    return [
        Duty("setup", SETUP_SECONDS, _prepare),
        Duty("seal", settings.AUDIT_SEAL_SECONDS, _seal),
        Duty("verify", settings.AUDIT_VERIFY_SECONDS, _verify),
        Duty("sweep", settings.SWEEP_SECONDS, _sweep),
        Duty("reconcile", RECONCILE_SECONDS, _reconcile),
        Duty("forget", FORGET_SECONDS, _forget),
        Duty("forget_commands", FORGET_SECONDS, _ForgetCommands()),
        *(duty for make in _more.values() for duty in make()),
    ]


async def _prepare(leader: Leader) -> bool:
    if not leader.prepared.is_set():
        await namespace.engine_ensure(await leader.client())
        # Also when an operator has to do the rest: asking again each time would not help. A call
        # that fails for it asks again.
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
    # Only now: after a restored backup the sweep lists what the engine ran since, and the number of
    # a second run must not be one of those.
    leader.compared.set()
    return False


async def _reconcile(leader: Leader) -> bool:
    # Only then does the mirror say which workflows do not run.
    await leader.compared.wait()
    await leader.threads.run(reconcile)
    return False


class _ForgetCommands:
    """Walks over the settled commands, a batch each turn; from the beginning after the last."""

    def __init__(self) -> None:
        self._position: Position | None = None

    async def __call__(self, leader: Leader) -> bool:
        # Only then does the mirror say which workflows run.
        await leader.compared.wait()
        _, self._position = await leader.threads.run(commands_forget, self._position)
        return self._position is not None


async def _forget(leader: Leader) -> bool:
    await leader.threads.run(liveness.forget_silent)
    return False
