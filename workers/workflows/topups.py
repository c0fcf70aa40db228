"""Top-ups: a payment is opened at Paystack, waited for, credited once, and receipted.

The signal only wakes: what was paid says Paystack when it is asked. Without a signal it is asked
every few seconds, and once more when the wait ends. Once the money is credited the workflow cannot
fail any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import Stop, Timings
    from apps.wallets import activities
    from apps.wallets.contracts import (
        SIGNAL_PAID,
        TIMEOUT,
        TIMEOUT_WORDS,
        TOPUP,
        TOPUP_ALIAS,
        TOPUP_WORKFLOW,
        AttentionInput,
        CancelPaymentInput,
        CreditInput,
        InitiateInput,
        InvoiceInput,
        OpenInput,
        ReceiptInput,
        TopUpFacts,
        TopUpInput,
        TopUpRequest,
        TopUpResult,
        end_words,
    )
    from workers.attributes import mark
    from workers.saga import Saga, insist
    from workers.steps import local_step, remote_step

A = TypeVar("A")
R = TypeVar("R")

#: Of the five activities that other systems know.
SECONDS, ATTEMPTS = 120.0, 3
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
    maximum_attempts=ATTEMPTS,
)


@workflow.defn(name=TOPUP_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class WalletTopUpWorkflow:
    """Waits until the rider has paid, credits the wallet, and sends the receipt."""

    def __init__(self) -> None:
        self._saga = Saga()
        self._woken: asyncio.Future[None] = asyncio.Future()

    @workflow.run
    async def run(self, request: TopUpRequest) -> TopUpResult:
        result = await self._saga.uncancellable(self._run(request))
        return result

    @workflow.signal(name=SIGNAL_PAID)
    def webhook_received(self, first: Any = None, second: Any = None) -> None:
        """Wake up and ask Paystack. Nothing in the signal is read."""
        if not self._woken.done():
            self._woken.set_result(None)

    async def _run(self, request: TopUpRequest) -> TopUpResult:
        opening = OpenInput(workflow.info().workflow_id, request, workflow.now())
        try:
            facts = await local_step(activities.open_top_up, opening, timings=request.timings)
        except ApplicationError as refused:
            return _failed(refused.type or "", refused.message)
        mark(TOPUP, facts.top_up_id)
        top = _TopUp(request, facts.top_up_id)
        if not facts.settled and not facts.paid:
            facts = await self._pay(top, facts)
        if facts.paid and not facts.settled and facts.attention != "open":
            await self._receipt(top)
        if facts.paid:
            return TopUpResult(True, facts.transaction_id)
        return _failed(facts.code, facts.detail)

    async def _pay(self, top: "_TopUp", facts: TopUpFacts) -> TopUpFacts:
        """Wait until it is paid, or end it; return what stands."""
        patience = top.request.waits.payment + top.request.timings.deadline
        stop = await self._saga.run_until(self._wait(top, facts), deadline=patience)
        facts = await top.read()
        if facts.paid or facts.settled:
            return facts
        await top.credited(attempts=ATTEMPTS)
        why = stop or Stop("failed", TIMEOUT, TIMEOUT_WORDS)
        input = CancelPaymentInput(top.request.userId, why.code, why.detail)
        return await local_step(activities.cancel_payment, input, timings=top.request.timings)

    async def _wait(self, top: "_TopUp", facts: TopUpFacts) -> None:
        pay_until = facts.pay_until
        if pay_until is None:
            opening = InitiateInput(top.request.userId, waitSeconds=top.request.waits.payment)
            await top.step(activities.initiate_payment, opening)
            self._saga.check()
            pay_until = (await top.read()).pay_until or workflow.now()
        elif await top.credited(attempts=1):
            return
        while (left := _seconds(pay_until)) > 0:
            await self._pause(min(left, top.request.waits.poll))
            self._saga.check()
            if await top.credited(attempts=1):
                return
            self._saga.check()

    async def _pause(self, seconds: float) -> None:
        await workflow.wait([self._woken], timeout=seconds)
        if self._woken.done():
            self._woken = asyncio.Future()

    async def _receipt(self, top: "_TopUp") -> None:
        """Make the invoice and send the receipt; ask a person if that cannot be."""
        user_id = top.request.userId
        steps: tuple[Callable[[], Awaitable[Any]], ...] = (
            lambda: top.answered(activities.generate_invoice, InvoiceInput(user_id)),
            lambda: top.answered(activities.send_receipt, ReceiptInput(user_id)),
        )
        for step in steps:
            if trouble := await insist(step):
                input = AttentionInput(top.top_up_id, trouble.code, trouble.detail)
                await local_step(activities.raise_attention, input, timings=top.request.timings)
                return


@workflow.defn(name=TOPUP_ALIAS, versioning_behavior=VersioningBehavior.PINNED)
class WalletTopUpAlias(WalletTopUpWorkflow):
    """The same under the name that earlier clients start."""

    @workflow.run
    async def run(self, request: TopUpRequest) -> TopUpResult:
        return await WalletTopUpWorkflow.run(self, request)


class _TopUp:
    """A top-up and its request."""

    def __init__(self, request: TopUpRequest, top_up_id: str) -> None:
        self.request, self.top_up_id = request, top_up_id

    async def read(self) -> TopUpFacts:
        """Return what the database knows."""
        input = TopUpInput(self.top_up_id)
        return await local_step(activities.read_top_up, input, timings=self.request.timings)

    async def step(self, fn: Callable[[A], R], input: A, *, attempts: int = ATTEMPTS) -> R:
        """Run one of the five activities that other systems know."""
        timings = Timings(activity=SECONDS, heartbeat=self.request.timings.heartbeat)
        return await remote_step(fn, input, timings=timings, retry=RETRY, attempts=attempts)

    async def answered(self, fn: Callable[[A], R], input: A) -> R:
        """As `step`; that all attempts timed out is a refusal like any other."""
        try:
            return await self.step(fn, input)
        except ActivityError as silent:
            raise ApplicationError(str(silent), type="step_failed") from silent

    async def credited(self, *, attempts: int) -> bool:
        """Ask Paystack; return whether nothing is to be waited for any more. Without an answer it
        is asked again later."""
        try:
            input = CreditInput(self.request.userId)
            output = await self.step(activities.credit_wallet, input, attempts=attempts)
        except FailureError as failure:
            if is_cancelled_exception(failure):
                raise
            workflow.logger.info("topup.not_confirmed")
            return False
        return output.final


def _seconds(until: datetime) -> float:
    return (until - workflow.now()).total_seconds()


def _failed(code: str, detail: str) -> TopUpResult:
    return TopUpResult(False, error=end_words(code, detail), code=code)
