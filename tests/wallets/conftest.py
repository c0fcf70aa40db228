"""People, riders and what is in their wallets."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide
from apps.wallets.contracts import AccountKind
from apps.wallets.models import Wallet, WalletAdjustment
from apps.wallets.services import adjustments
from apps.wallets.services.accounts import system_account, wallet_account
from apps.wallets.services.ledger import post
from apps.wallets.services.riders import rider_put


@dataclass
class World:
    """Everything that a test of this domain starts from."""

    people: dict[str, User]

    @property
    def agent(self) -> User:
        return self.people["agent"]

    def rider(self, user_id: str = "ada", balance: str = "0", currency: str = "NGN") -> None:
        """Make the rider known, with so much in the wallet."""
        rider_put(
            user_id=user_id,
            name=user_id.title(),
            email=f"{user_id}@example.com",
            currency=currency,
            by=self.agent,
            via="api",
            as_of=timezone.now(),
        )
        if Decimal(balance):
            self.credit(user_id, balance, currency)

    def credit(self, user_id: str, amount: str, currency: str = "NGN") -> None:
        post(
            key=f"opening:{user_id}",
            kind="adjustment",
            currency=currency,
            lines={
                system_account(AccountKind.ADJUSTMENT, currency): Decimal(amount),
                wallet_account(user_id): -Decimal(amount),
            },
            subject_type="rider",
            subject_id=user_id,
            as_of=timezone.now(),
        )

    def balance(self, user_id: str = "ada") -> Decimal:
        return Wallet.objects.get(rider__user_id=user_id).balance

    def mailless(self, user_id: str) -> None:
        """Take the rider's e-mail address away."""
        rider_put(
            user_id=user_id,
            name=user_id.title(),
            email="",
            currency="NGN",
            by=self.agent,
            via="api",
            as_of=timezone.now(),
        )

    def sign(self, request: ApprovalRequest, verdict: str, by: str = "reviewer") -> None:
        """Decide a request."""
        request_decide(
            request_id=request.pk,
            by=self.people[by],
            verdict=verdict,
            reason="Checked it.",
            payload_hash=request.payloads.get().hash,
            via="api",
            as_of=timezone.now(),
        )

    def body(self, **changes: Any) -> dict[str, Any]:
        return {
            "user_id": "ada",
            "amount": Decimal("500.00"),
            "reason": "The card was charged twice.",
            "by": self.agent,
            "via": "api",
            "as_of": timezone.now(),
            **changes,
        }

    def ask(self, **changes: Any) -> WalletAdjustment:
        """A new adjustment of Ada's wallet by NGN 500.00, unless changed."""
        adjustment, created = adjustments.adjustment_request(**self.body(**changes))
        assert created
        return adjustment

    def decide(
        self, adjustment: WalletAdjustment, verdict: str = "approve", by: str = "senior"
    ) -> ApprovalRequest:
        request = adjustments.adjustment_approval(adjustment)
        assert request is not None
        return request_decide(
            request_id=request.pk,
            by=self.people[by],
            verdict=verdict,
            reason="Checked the statement.",
            payload_hash=request.payloads.get().hash,
            via="api",
            as_of=timezone.now(),
        )


@pytest.fixture
def world(db: None) -> World:
    return World(demo_people_ensure())


@pytest.fixture
def shared_world(transactional_db: None) -> World:
    """As `world`, committed: threads see it."""
    return World(demo_people_ensure())


def paid(user_id: str = "ada", amount: str = "1000.00", **changes: Any) -> dict[str, Any]:
    """The arguments of a payment from the wallet."""
    return {
        "user_id": user_id,
        "amount": Decimal(amount),
        "currency": "NGN",
        "key": "booking:1:pay",
        "subject_type": "booking",
        "subject_id": "1",
        "as_of": timezone.now(),
        **changes,
    }


def prepaid_of(currency: str = "NGN") -> Decimal:
    """What is prepaid in the currency, by its lines."""
    from django.db.models import Sum

    from apps.wallets.models import JournalLine

    lines = JournalLine.objects.filter(account__code=f"prepaid:{currency}")
    return -(lines.aggregate(total=Sum("amount"))["total"] or Decimal(0))


@pytest.fixture
def payers(settings: Any) -> Iterator[Any]:
    """The simulated Paystack, and whoever pays there."""
    from tests.wallets.topup_stage import running_payers

    with running_payers() as running:
        settings.PAYSTACK_URL = running.url
        yield running


@pytest.fixture
async def stage(
    shared_world: World, temporal_client: Any, task_queue: str, payers: Any, settings: Any
) -> AsyncIterator[Any]:
    """The dev server, a worker of this process, and Paystack over HTTP."""
    from apps.engine.namespace import engine_ensure
    from tests.wallets.topup_stage import Stage

    settings.PAYSTACK_TIMEOUT_SECONDS = 5.0
    settings.ACTIVITY_HEARTBEAT_SECONDS = 10.0
    await engine_ensure(temporal_client)
    stage = Stage(
        world=shared_world,
        client=temporal_client,
        queue=task_queue,
        payers=payers,
        settings=settings,
    )
    async with stage.working(slots=20):
        yield stage
