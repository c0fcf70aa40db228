"""Asks the inference service for one kind of score of all events in a batch: in bulk, or one by
one, side by side. What is known is noted at once: whoever goes on repeats only the calls that were
under way."""

import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.common.errors import Unavailable
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.common.strict_json import document_of
from apps.outbound.calls import Refused
from apps.payments import inference
from apps.payments.contracts import STATUSES, BatchState
from apps.payments.inference import Asked, ItemRefused, Senseless, Step
from apps.payments.models import PaymentBatch
from apps.payments.services import breaker
from apps.payments.services.batch_scores import scored_and_failed, scores_note, steps_for
from apps.payments.services.batches import batch_locked, events_leave, events_open
from apps.payments.services.scoring import InferenceAway

#: Calls at a time, of a service that is asked one by one.
SIDE_BY_SIDE = 16
#: So many attempts of a step ask in bulk. Then the service is asked one by one: it may not know the
#: address, or one event may bring the whole call down.
BULK_ATTEMPTS = 2
#: So many calls without an answer, and the event leaves: the others do not wait for it.
MOST_FAILURES = 3

STEPS = {step.name: step for step in inference.STEPS}


def batch_score(
    *, batch_id: str, step: str, seconds: float, attempt: int, interrupted: Callable[[], bool]
) -> int:
    """Ask for the step's score of every open event in the batch that needs it and has none; return
    how many still wait because `seconds` are over, or the worker stops.

    An event that the service refuses, answers senselessly, or does not answer MOST_FAILURES times,
    leaves the batch. Raises Unavailable (to be tried again) while others wait for an answer,
    NotFound `batch_not_found`. No lock and no transaction is open during a call.
    """
    with transaction.atomic(durable=True):
        batch = batch_locked(batch_id)
    if batch.state != BatchState.OPEN:
        return 0
    until = time.monotonic() + seconds
    asking = _Asking(batch, STEPS[step], lambda: interrupted() or time.monotonic() > until)
    asking.look_up()
    if settings.INFERENCE_BULK and attempt <= BULK_ATTEMPTS:
        asking.in_bulk()
    else:
        asking.one_by_one()
    return asking.end()


@dataclass
class _Asking:
    """One attempt at a step: `waiting` are the events without a score, by the ids of their rows."""

    batch: PaymentBatch
    step: Step
    over: Callable[[], bool]
    waiting: dict[int, Asked] = field(default_factory=dict)
    failures: Mapping[int, int] = field(default_factory=dict)
    #: Set when the breaker lets nobody call.
    blocked: bool = False

    def look_up(self) -> None:
        scored, failed = scored_and_failed(self.batch, self.step.name)
        rows = events_open(self.batch).values_list("pk", "event_id", "raw")
        for pk, event_id, raw in rows.iterator():
            if pk not in scored:
                # Not exactly: a score needs no more digits than a float has.
                event = document_of(bytes(raw))
                scoring = STATUSES.get(str(event.get("status")).lower())
                if scoring is not None and self.step.name in steps_for([scoring]):
                    self.waiting[pk] = Asked(event_id, event, len(raw))
        self.failures = failed

    def in_bulk(self) -> None:
        """Ask in few calls. Raises what the first failing call raises."""
        pks = list(self.waiting)
        for asked in inference.in_calls([self.waiting[pk] for pk in pks]):
            these, pks = pks[: len(asked)], pks[len(asked) :]
            if self.over():
                return
            if len(these) == 1:
                self.one_by_one(these)
                continue
            self._ask_together(these, asked)

    def one_by_one(self, pks: Sequence[int] | None = None) -> None:
        """Ask for each alone, a few side by side; each is asked once."""
        queue = deque(self.waiting if pks is None else pks)
        running: dict[Future[Any], int] = {}
        # Only this thread uses the database: sixteen connections would be missing elsewhere.
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="inference") as pool:
            while queue or running:
                troubled = self._submit(pool, queue, running)
                if not running:
                    return
                ended, _rest = wait(running, return_when=FIRST_COMPLETED)
                self._settle([(running.pop(one), one) for one in ended], troubled)

    def end(self) -> int:
        """Let go of the events that had no answer too often; return how many wait for another
        attempt because of the time. Raises InferenceAway when they wait for the service."""
        leave = [pk for pk in self.waiting if self.failures.get(pk, 0) >= MOST_FAILURES]
        self._leave(leave)
        if self.waiting and not self.over():
            raise _away(self.blocked)
        return len(self.waiting)

    # --- helpers --------------------------------------------------------------------------------
    def _ask_together(self, pks: Sequence[int], asked: Sequence[Asked]) -> None:
        before = breaker.look(self.step.name)
        if not before.may_call:
            raise _away(blocked=True)
        try:
            answers = inference.ask_many(self.step, asked)
            if all(isinstance(answer, ItemRefused) for answer in answers):
                raise InferenceAway(f"No event was scored: {answers[0]}")
        except Refused:
            # It is the call that is refused, perhaps for one of them.
            self._succeeded(before.troubled)
            self.one_by_one(pks)
            return
        except Senseless as senseless:
            raise InferenceAway(str(senseless)) from None
        except Unavailable as away:
            breaker.failed(self.step.name, str(away.detail))
            raise
        self._succeeded(before.troubled)
        found = dict(zip(pks, answers, strict=True))
        wrong = [pk for pk, answer in found.items() if isinstance(answer, Exception)]
        self._note({pk: answer for pk, answer in found.items() if pk not in set(wrong)})
        self._leave(wrong)

    def _submit(
        self, pool: ThreadPoolExecutor, queue: deque[int], running: dict[Future[Any], int]
    ) -> bool:
        """Submit as many calls as may be made now; return whether one failed lately."""
        free = SIDE_BY_SIDE - len(running)
        if not queue or not free or self.over():
            return True
        look = breaker.look(self.step.name)
        self.blocked = not look.may_call
        for _number in range(min(0 if self.blocked else 1 if look.probe else free, len(queue))):
            pk = queue.popleft()
            one = self.waiting[pk]
            running[pool.submit(inference.ask, self.step, one.event_id, one.event)] = pk
        return look.troubled

    def _settle(self, ended: Sequence[tuple[int, Future[Any]]], troubled: bool) -> None:
        found: dict[int, Any] = {}
        wrong, errors = [], []
        for pk, future in ended:
            try:
                found[pk] = future.result()
            except (Refused, Senseless):
                wrong.append(pk)
            except Unavailable as away:
                found[pk] = None
                errors.append(str(away.detail))
        for error in errors:
            breaker.failed(self.step.name, error)
        if len(errors) < len(ended):
            self._succeeded(troubled or bool(errors))
        self._note(found)
        self._leave(wrong)

    def _succeeded(self, troubled: bool) -> None:
        if troubled:
            breaker.succeeded(self.step.name)

    def _note(self, answers: Mapping[int, Any]) -> None:
        scores_note(self.batch, self.step.name, answers)
        failures = dict(self.failures)
        for pk, answer in answers.items():
            if answer is None:
                failures[pk] = failures.get(pk, 0) + 1
            else:
                del self.waiting[pk]
        self.failures = failures
        failpoint("batch_score.noted")

    def _leave(self, pks: Sequence[int]) -> None:
        if not pks:
            return
        with transaction.atomic(durable=True):
            events_leave(batch_locked(self.batch.pk), pks)
            failpoint("batch_leave.uncommitted")
        for pk in pks:
            del self.waiting[pk]


def _away(blocked: bool) -> InferenceAway:
    # Not all at once: whoever comes first after the pause probes.
    pause = settings.INFERENCE_PROBE_SECONDS * random.uniform(1, 3)  # noqa: S311
    return InferenceAway(
        _("The inference service gives no score of some events."),
        retry_after=timedelta(seconds=pause) if blocked else None,
    )
