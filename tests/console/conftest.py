"""The world of the interventions' tests, and people with a signed-in client each."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client

from apps.approvals.models import ApprovalRequest
from apps.interventions.models import Intervention
from tests.database import Image
from tests.interventions.conftest import World, world_of

AsPerson = Callable[[str], Client]


@pytest.fixture
def world(world_image: Image, db: None) -> World:
    return world_of(world_image)


@pytest.fixture
def as_person(world: World) -> AsPerson:
    """`as_person("reviewer")`: a browser without scripts in which that person is signed in."""

    def build(name: str) -> Client:
        client = Client()
        client.force_login(world.people[name])
        return client

    return build


def ask_to_sign(
    world: World, amount: str = "25000.00", target: str = "Makoko Health Post"
) -> tuple[Intervention, ApprovalRequest]:
    """An intervention that waits for a signature, and its request."""
    intervention = world.ask(amount=Decimal(amount), target=target)
    world.open(intervention)
    return intervention, ApprovalRequest.objects.get(subject_id=str(intervention.pk))


def form_of(approval: ApprovalRequest, **changes: str) -> dict[str, str]:
    """What the decide form sends."""
    return {
        "verdict": "approve",
        "reason": "Checked the papers.",
        "payload_hash": approval.payloads.get(number=approval.payload_number).hash,
        **changes,
    }
