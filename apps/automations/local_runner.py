"""Runs executions without the engine, in the process that took the request. The rows say how far
each one is: when a process is killed, the next one goes on from them.

A runner works on an execution under a lease, which it renews. If two ever work on the same one,
because the first was held up for longer than its lease, the rows still decide what runs: each step
is taken under the execution's lock, and an effect has one key.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction
from django.db.models import Q
from django.utils import timezone

from apps.automations.contracts import PLAIN, NodeStatus, Runner
from apps.automations.models import Execution, NodeRun
from apps.automations.services.advancing import execution_advance
from apps.automations.services.effects import node_try
from apps.automations.services.requesting import node_pauses, run_pauses
from apps.automations.services.rows import graph_of, progress_of
from apps.automations.services.stopping import execution_stop
from apps.automations.services.waking import WOKEN
from apps.common.correlation import get_logger
from apps.common.errors import Unavailable
from apps.engine.liveness import process_name

logger = get_logger(__name__)

#: How often a runner looks for executions whose process has gone, and for delays that are over.
POLL_SECONDS = 1.0
MOST_EXECUTIONS = 4
MOST_EFFECTS = 20


class LocalRunner:
    """The runner of one process. `start` begins a thread that ends with `stop`, or with the
    process."""

    def __init__(self) -> None:
        self.name = process_name()
        self._ended = threading.Event()
        self._carrying: dict[UUID, Future[None]] = {}
        self._renewed = 0.0
        self._executions = ThreadPoolExecutor(MOST_EXECUTIONS, thread_name_prefix="execution")
        self._effects = ThreadPoolExecutor(MOST_EFFECTS, thread_name_prefix="effect")
        self._thread = threading.Thread(target=self._run, name="automations", daemon=True)

    def start(self) -> None:
        """Begin to work, in a thread of its own."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Begin nothing more, cut off what is under way, and give the leases back: what is left is
        for the next process."""
        self._ended.set()
        WOKEN.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        wait(self._carrying.values(), timeout=seconds)
        self._executions.shutdown(wait=False, cancel_futures=True)
        self._effects.shutdown(wait=False, cancel_futures=True)
        _in_thread(self._give_back, list(self._carrying))

    def turn(self) -> int:
        """Take executions that nobody works on, and return how many this process works on now."""
        for pk, future in list(self._carrying.items()):
            if future.done():
                del self._carrying[pk]
        for pk in self._take(MOST_EXECUTIONS - len(self._carrying)):
            self._carrying[pk] = self._executions.submit(_in_thread, self.carry, pk)
        return len(self._carrying)

    def carry(self, pk: UUID) -> None:
        """Work on an execution until it has ended, or only waits for a time, or `stop`."""
        try:
            until = _Carried(pk, self._effects, self._ended).work()
        except Exception:
            # The next turn takes it again, once the lease is over.
            logger.exception("automations.local_run_broke", execution=str(pk))
            return
        self._give_back([pk], until)

    # --- leases -----------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.turn()
                self._renew()
            except Exception as error:
                logger.warning("automations.local_turn", error=f"{type(error).__name__}: {error}")
            finally:
                connections.close_all()
            WOKEN.wait(POLL_SECONDS)
            WOKEN.clear()

    def _take(self, most: int) -> list[UUID]:
        if most <= 0:
            return []
        now = timezone.now()
        free = Q(lease_until=None) | Q(lease_until__lte=now)
        rows = Execution.objects.unsettled().filter(free, runner=Runner.LOCAL)
        with transaction.atomic():
            found = list(
                rows.exclude(pk__in=self._carrying)
                .order_by("lease_until", "created_at")
                .select_for_update(skip_locked=True, no_key=True)
                .values_list("pk", flat=True)[:most]
            )
            leased = Execution.objects.filter(pk__in=found)
            leased.update(lease=self.name, lease_until=now + _lease())
        return found

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > settings.AUTOMATIONS_LEASE_SECONDS / 3:
            self._renewed = time.monotonic()
            mine = Execution.objects.filter(pk__in=self._carrying, lease=self.name)
            mine.update(lease_until=timezone.now() + _lease())

    def _give_back(self, ids: list[UUID], until: object = None) -> None:
        mine = Execution.objects.filter(pk__in=ids, lease=self.name)
        mine.update(lease="", lease_until=until)


class _Carried:
    """One execution, as far as this process works on it."""

    def __init__(self, pk: UUID, effects: ThreadPoolExecutor, ended: threading.Event) -> None:
        self.pk, self._effects, self._ended = pk, effects, ended
        self._flying: dict[int, Future[object]] = {}
        self._active = 0.0

    def work(self) -> object:
        """Work; return when there is more to do: a time, or None for now, or never."""
        while not self._ended.is_set():
            advanced = execution_advance(row_id=self.pk, as_of=timezone.now())
            if advanced.status.ended:
                break
            if advanced.attempt:
                self._pause(run_pauses().before(advanced.attempt))
                continue
            if advanced.more:
                continue
            self._send()
            if not self._flying:
                return self._next()
            self._wait()
            if self._active > settings.TEMPORAL_WORKFLOW_TIMEOUT_MINUTES * 60:
                self._stop()
        wait(self._flying.values())
        return None

    def _send(self) -> None:
        """Begin the effects that are ready, and those that a process before this one has left."""
        execution = Execution.objects.get(pk=self.pk)
        graph = graph_of(execution)
        progress = progress_of(execution, graph)
        running = NodeStatus.RUNNING
        left = [i for i, state in enumerate(progress.states) if state.status is running]
        for index in (*progress.ready, *left):
            if graph.type(index) not in PLAIN and index not in self._flying:
                self._flying[index] = self._effects.submit(_in_thread, self._effect, index)

    def _effect(self, index: int) -> None:
        pauses, tried = node_pauses(), 1
        while not self._ended.is_set():
            try:
                node_try(row_id=self.pk, index=index, stopped=self._ended.is_set)
                return
            except Unavailable:
                tried += 1
                self._pause(pauses.before(tried))

    def _wait(self) -> None:
        began = time.monotonic()
        wait(self._flying.values(), timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        self._active += time.monotonic() - began
        for index, future in list(self._flying.items()):
            if future.done():
                del self._flying[index]
                future.result()

    def _next(self) -> object:
        rows = NodeRun.objects.filter(execution=self.pk, status=NodeStatus.WAITING)
        return rows.order_by("wake_at").values_list("wake_at", flat=True).first()

    def _stop(self) -> None:
        seconds = settings.TEMPORAL_WORKFLOW_TIMEOUT_MINUTES * 60
        detail = f"Not done within {seconds:g} s."
        execution_stop(
            row_id=self.pk, code="deadline_exceeded", detail=detail, as_of=timezone.now()
        )

    def _pause(self, seconds: float) -> None:
        self._ended.wait(seconds)


def _lease() -> timedelta:
    return timedelta(seconds=settings.AUTOMATIONS_LEASE_SECONDS)


def _in_thread(fn: Callable[..., None], *args: object) -> None:
    try:
        fn(*args)
    finally:
        connections.close_all()
