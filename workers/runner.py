"""One worker process: connect, serve the queues, drain.

Shutdown order: stop polling, let activities finish (WORKER_DRAIN_SECONDS at most), write the
mirror's queue, close the producers, PostgreSQL and Temporal, then the health and metrics servers. A
second signal ends the process at once.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

import prometheus_client
from django.conf import settings
from django.db import connections
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig

from apps.common import correlation
from apps.common.httpd import Server
from apps.engine import client as engine_client
from apps.engine.namespace import engine_ensure
from workers import metrics, slots
from workers.health import Health, health_server, metrics_server
from workers.liveness import Beats
from workers.mirror import MirrorWriter
from workers.options import worker_options
from workers.refusals import RefusalWriter
from workers.registry import QueueSpec
from workers.run_observer import BUSY

if TYPE_CHECKING:
    from workers.embedded_relay import StandbyRelay

logger = correlation.get_logger("workers.runner")

T = TypeVar("T")

#: Pauses between two attempts to reach Temporal, or to restart a queue: seconds, doubling.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
#: After the drain activities are cancelled; this is their time to notice.
CANCEL_SECONDS = 3.0
SAME_SIGNAL_SECONDS = 0.2


class Runner:
    """Serves `specs` until SIGTERM or SIGINT, or until `stop`. Make one per process, in the main
    thread; one that is `embedded` runs in any, without signals and without probes of its own.

    Raises slots.TooFewThreads and httpd.PortTaken before anything is started.
    """

    def __init__(
        self, specs: Sequence[QueueSpec], *, relay: bool = True, embedded: bool = False
    ) -> None:
        self._specs = list(specs)
        self._plan = slots.plan(
            specs,
            threads=settings.WORKER_THREADS,
            max_workflows=settings.MAX_CONCURRENT_WORKFLOWS,
            max_activities=settings.MAX_CONCURRENT_ACTIVITIES,
            activities_explicit=settings.MAX_CONCURRENT_ACTIVITIES_EXPLICIT,
        )
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = 0.0
        self._polling: set[str] = set()

        self._health = Health()
        self._scrape = metrics.Scrape()
        self._embedded = embedded
        self._servers: list[Server] = []
        if not embedded:
            self._servers = [health_server(self._health), metrics_server(self._scrape)]
        queues = [spec.name for spec in specs]
        self._beats = Beats(name=self._name, queues=queues, health=self._health)
        self._mirror = MirrorWriter(
            leave_out={_workflow_name(w) for spec in specs for w in spec.unmirrored}
        )
        self._refusals = RefusalWriter()
        self._relay = _standby(self._name) if relay else None
        pool = settings.DATABASES["default"].get("OPTIONS", {}).get("pool") or {}
        self._pool_size = int(pool.get("max_size", 0))
        # Spare threads are used only in an outage: a local step that ran out of its time frees its
        # slot while its thread still hangs in a query, at most one per connection.
        self._threads = ThreadPoolExecutor(
            self._plan.threads + self._pool_size, thread_name_prefix="activity"
        )

    # --- life -----------------------------------------------------------------------------------
    def run(self) -> None:
        """Serve until a signal, or `stop`; drain, or cut off what does not end in time."""
        if not self._embedded:
            signal.signal(signal.SIGTERM, self._on_signal)
            signal.signal(signal.SIGINT, self._on_signal)
        self._start_runtime()
        for server in self._servers:
            server.start()
        self._say_budget()
        prometheus_client.REGISTRY.register(metrics.PoolCollector())
        metrics.announce(
            workflow_types=[_workflow_name(w) for spec in self._specs for w in spec.workflows],
            activity_types=[_activity_name(a) for spec in self._specs for a in spec.activities],
        )
        # Not asyncio.run, which would wait without end for an abandoned worker.
        loop = self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(self._main())
        self._close()

    def stop(self) -> None:
        """Have `run` drain and return; from any thread, also before it has begun to serve."""
        self._signalled = time.monotonic()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            # Some supervisors send one signal twice, to the process and to its group.
            if time.monotonic() - self._signalled < SAME_SIGNAL_SECONDS:
                return
            os.write(2, b'{"msg": "worker.ends_at_once", "level": "warning"}\n')
            os._exit(1)
        self.stop()

    async def _main(self) -> None:
        if self._signalled:
            self._stop.set()
        self._mirror.start()
        self._refusals.start()
        self._beats.start()
        if self._relay is not None:
            self._relay.start()
        self._health.waits("waiting for Temporal")
        client = await self._patiently("temporal.connect", engine_client.connect)
        if client is not None:
            await self._patiently("temporal.ensure", lambda: engine_ensure(client))
        if client is not None and not self._stop.is_set():
            serving = [asyncio.create_task(self._serve(client, spec)) for spec in self._specs]
            await self._stop.wait()
            await self._drain(serving)

    async def _serve(self, client: Client, spec: QueueSpec) -> None:
        """Keep one queue's worker running; replace a worker that fails for good."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            worker = self._make(client, spec)
            watching = asyncio.create_task(self._watch(worker, spec.name))
            stopping = asyncio.create_task(self._shut_down(worker))
            try:
                await worker.run()
                pause = FIRST_PAUSE
            except Exception as error:
                logger.error("worker.failed", queue=spec.name, error=f"{error}: {error.__cause__}")
            finally:
                watching.cancel()
                stopping.cancel()
                self._polling.discard(spec.name)
            if not self._stop.is_set():
                self._health.waits(f"queue {spec.name} is not polled")
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                # After a reset of its database Temporal has neither namespace nor attributes.
                await self._patiently("temporal.ensure", lambda: engine_ensure(client))

    async def _watch(self, worker: Worker, queue: str) -> None:
        while not worker.is_running:
            await asyncio.sleep(0.02)
        self._polling.add(queue)
        logger.info("worker.polls", queue=queue)
        if len(self._polling) == len(self._specs):
            self._health.polls()

    async def _shut_down(self, worker: Worker) -> None:
        await self._stop.wait()
        await worker.shutdown()

    async def _drain(self, serving: Sequence[asyncio.Task[None]]) -> None:
        self._health.drains()
        seconds = settings.WORKER_DRAIN_SECONDS
        logger.info("worker.drains", activities=BUSY.activities, seconds=seconds)
        _, late = await asyncio.wait(serving, timeout=seconds + CANCEL_SECONDS)
        cut_off = BUSY.activities
        if late or cut_off:
            # Temporal gives them to another worker after their heartbeats or timeouts.
            logger.warning("worker.cut_off", activities=cut_off, queues=len(late))

    def _close(self) -> None:
        self._health.drains()
        if self._relay is not None:
            # Its duties close their producers, while they can still write what became of it.
            self._relay.stop()
        self._mirror.stop()
        self._refusals.stop()
        self._beats.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        _close_pool()
        logger.info("worker.closed")
        for server in self._servers:
            server.stop()

    # --- parts ----------------------------------------------------------------------------------
    def _make(self, client: Client, spec: QueueSpec) -> Worker:
        limits = self._plan.queues[spec.name]
        deployment = _deployment()
        return Worker(
            client,
            task_queue=spec.name,
            identity=self._name,
            workflows=spec.workflows,
            activities=spec.activities,
            activity_executor=self._threads,
            max_concurrent_workflow_tasks=limits.workflows,
            max_concurrent_activities=limits.remote or None,
            max_concurrent_local_activities=limits.local or None,
            max_cached_workflows=settings.MAX_CACHED_WORKFLOWS,
            workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(settings.WORKFLOW_POLLERS),
            activity_task_poller_behavior=PollerBehaviorSimpleMaximum(settings.ACTIVITY_POLLERS),
            # The default is 0: activities would be cancelled the moment a deployment begins.
            graceful_shutdown_timeout=timedelta(seconds=settings.WORKER_DRAIN_SECONDS),
            deployment_config=deployment,
            debug_mode=settings.TEMPORAL_DEBUG,
            **worker_options(
                listeners=[self._mirror.tell],
                refused=self._refusals.tell,
                versioned=deployment.use_worker_versioning,
                sandboxed=settings.WORKFLOW_SANDBOX,
            ),
        )

    async def _patiently(self, what: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """Repeat the call until it succeeds and return its result; None when a signal comes
        first."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            trying = asyncio.ensure_future(call())
            stopped = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait({trying, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not trying.done():
                trying.cancel()
                return None
            error = trying.exception()
            if error is None:
                return trying.result()
            if not isinstance(error, Exception):
                raise error
            logger.warning("worker.waits", what=what, error=str(error), again_in=pause)
            self._health.waits(f"{what}: {error}")
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def _start_runtime(self) -> None:
        """Start the SDK's runtime: its metrics on their own port, its log through ours."""
        # The failure is a port that was taken between choosing and listening.
        for last in (False, False, True):
            port = metrics.free_port()
            try:
                runtime = Runtime(telemetry=_telemetry(port))
            except Exception:
                if last:
                    raise
                continue
            Runtime.set_default(runtime, error_if_already_set=False)
            self._scrape.sdk_port = port
            return

    def _say_budget(self) -> None:
        plan = self._plan
        logger.info(
            "worker.budget",
            queues={
                name: {"workflows": s.workflows, "activities": s.remote, "local": s.local}
                for name, s in plan.queues.items()
            },
            threads=plan.threads,
            connections_pool=self._pool_size,
            # The relay listens and leads on sessions outside the pool; a probe opens one for a
            # moment.
            connections_direct=2 if self._relay is not None else 0,
            connections_probe=1,
        )
        if self._servers:
            health, scrape = self._servers
            logger.info("worker.listens", health_port=health.port, metrics_port=scrape.port)


def _standby(name: str) -> "StandbyRelay":
    # Without a standby, the relay's code is not loaded.
    from workers.embedded_relay import StandbyRelay

    return StandbyRelay(name=name)


def _telemetry(port: int) -> TelemetryConfig:
    return TelemetryConfig(
        metrics=metrics.sdk_exporter(port),
        logging=LoggingConfig(
            filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
            forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
        ),
    )


def _deployment() -> WorkerDeploymentConfig:
    """Return the worker versioning, if the deployment has a name; the deployment makes a version
    current.

    Its name is the service's, not the installation's: services of one installation serve different
    queues, and a version of a deployment must not become current while it lacks queues that the one
    before had. The build id is always set: otherwise the SDK hashes every loaded module, which
    takes longer than the rest of the start.
    """
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(
            deployment_name=settings.TEMPORAL_DEPLOYMENT_NAME or settings.SERVICE_NAME,
            build_id=settings.TEMPORAL_BUILD_ID or "unversioned",
        ),
        use_worker_versioning=bool(settings.TEMPORAL_DEPLOYMENT_NAME),
    )


def _close_pool() -> None:
    connections.close_all()
    pool = getattr(connections["default"], "pool", None)
    if pool is not None and not pool.closed:
        pool.close(timeout=2)


def _workflow_name(workflow: type) -> str:
    from temporalio.workflow import _Definition

    return _Definition.must_from_class(workflow).name or workflow.__name__


def _activity_name(activity: Callable[..., object]) -> str:
    from temporalio.activity import _Definition

    return _Definition.must_from_callable(activity).name or activity.__name__
