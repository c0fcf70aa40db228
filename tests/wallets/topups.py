"""Top-ups without an engine: what their services do, and what Paystack says to them."""

from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide
from apps.wallets.contracts import REVIEW_KIND
from apps.wallets.models import PaymentReview, TopUp, WebhookEvent
from apps.wallets.paystack import Initialized, PaymentStatus, Verified
from apps.wallets.services import topup_paying, webhooks
from apps.wallets.services.topup_requesting import top_up_request
from tests.wallets.conftest import World


def ask(world: World, user_id: str = "ada", amount: str = "1500.10", **changes: Any) -> TopUp:
    """A top-up that was asked for."""
    body = {"user_id": user_id, "amount": Decimal(amount), "via": "api", "as_of": timezone.now()}
    top_up, _ = top_up_request(**{**body, "by": world.people["requester"], **changes})
    return top_up


def opened(world: World, user_id: str = "ada", **changes: Any) -> tuple[TopUp, str]:
    """A top-up that can be paid, and its reference. Needs `paystack_says`."""
    top_up = ask(world, user_id, **changes)
    made = topup_paying.payment_initiate(top_up_id=top_up.pk, seconds=600, as_of=timezone.now())
    return top_up, made.id


def success(number: int, amount: str = "1500.10", currency: str = "NGN") -> Verified:
    return Verified(PaymentStatus.SUCCESS, Decimal(amount), currency, str(number), timezone.now())


def initialized(**about: Any) -> Initialized:
    return Initialized(f"https://pay.example/{about['reference']}", "code")


def look() -> None:
    """Look at every event without an outcome, as the leader's task does."""
    for event in WebhookEvent.objects.filter(outcome="").order_by("pk"):
        webhooks.event_look(event.pk, as_of=timezone.now(), ask=True)


def decide(by: User, review: PaymentReview, verdict: str) -> ApprovalRequest:
    request = ApprovalRequest.objects.open().get(kind=REVIEW_KIND, subject_id=str(review.pk))
    return request_decide(
        request_id=request.pk,
        by=by,
        verdict=verdict,
        reason="Asked the bank.",
        payload_hash=request.payloads.get().hash,
        via="api",
        as_of=timezone.now(),
    )
