"""Bookings whose workflow was started by hand: the row is made first, once."""

import pytest

from apps.bookings.contracts import BookingFacts, RideRequest
from apps.bookings.models import Booking
from apps.bookings.services import requesting
from apps.common.errors import Invalid
from tests.bookings.conftest import World

pytestmark = pytest.mark.django_db


def opened(world: World, workflow_id: str) -> BookingFacts:
    request = RideRequest(userId="ada", busId="bus", segment="A-B")
    return requesting.booking_open(workflow_id=workflow_id, request=request, as_of=world.now)


@pytest.mark.parametrize("workflow_id", ["ride 7", "x" * 200])
def test_the_same_workflow_again_finds_its_row(world: World, workflow_id: str) -> None:
    world.trip()
    assert opened(world, workflow_id) == opened(world, workflow_id)
    assert Booking.objects.get().workflow_id == workflow_id


@pytest.mark.parametrize("workflow_id", ["x" * 201, "vi\u00e0", "a\nb"])
def test_an_id_that_no_row_or_key_can_keep_is_refused(world: World, workflow_id: str) -> None:
    world.trip()
    for _again in range(2):
        with pytest.raises(Invalid) as refused:
            opened(world, workflow_id)
        assert refused.value.code == "workflow_id_invalid"
    assert Booking.objects.count() == 0
