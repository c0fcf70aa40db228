"""A worker of this process for bookings, and the simulated payment service over real HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2
from django.utils import timezone
from temporalio.client import WorkflowHandle

from apps.bookings.models import Booking, Trip
from apps.bookings.services import requesting
from apps.simulators.payments import PaymentSink
from apps.wallets.models import Wallet
from tests.bookings.conftest import World
from tests.simulators.running import running
from tests.stage import EngineStage, orm
from tests.support import PLAIN


class Cards:
    """The payment service's simulator behind a real socket."""

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, **behaviour: Any) -> None:
        httpx2.post(f"{self.url}/behaviour", json=behaviour, verify=PLAIN).raise_for_status()

    def of(self, booking: Booking) -> dict[str, Any]:
        """What it knows of the booking's only charge."""
        key = f"{booking.workflow_id}:processPayment"
        counts: dict[str, Any] = httpx2.get(
            f"{self.url}/effects", params={"key": key}, verify=PLAIN
        ).json()
        return counts


@contextmanager
def running_cards() -> Iterator[Cards]:
    with running({"payments": PaymentSink().answer}) as url:
        yield Cards(f"{url}/payments")


@dataclass(kw_only=True)
class Stage(EngineStage):
    """What a test of bookings' workflows works with."""

    world: World
    trip: Trip
    cards: Cards
    serves: str = "booking-tasks"

    def asked(self, **changes: Any) -> Booking:
        """Ask for A-B on the trip; its workflow is not started yet."""
        body: dict[str, Any] = {"user_id": "ada", "bus_id": "bus", "segment": "A-B"}
        body |= {"by": self.world.people["requester"], "via": "api", "as_of": timezone.now()}
        return requesting.booking_request(**body | changes)[0]

    async def book(self, **changes: Any) -> Booking:
        """Ask for A-B on the trip, and start its workflow."""
        booking = await orm(lambda: self.asked(**changes))
        await self.deliver()
        return booking

    def run_of(self, booking: Booking) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(booking.workflow_id)

    async def result(self, booking: Booking) -> dict[str, Any]:
        """The workflow's result, when it has ended."""
        found: dict[str, Any] = await self.run_of(booking).result()
        return found

    async def row(self, booking: Booking) -> Booking:
        return await orm(lambda: Booking.objects.select_related("reservation").get(pk=booking.pk))

    async def balance(self, user_id: str = "ada") -> Decimal:
        return await orm(lambda: Wallet.objects.get(rider__user_id=user_id).balance)
