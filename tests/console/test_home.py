"""The cards of requests on the home page."""

import re
from datetime import timedelta

from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World


def test_a_card_says_an_amount_once_and_of_what_is_late_that_it_was_due(
    world: World, as_person: AsPerson
) -> None:
    _, said = ask_to_sign(world, amount="12000.00", target="Bassa Health Post")
    _, other = ask_to_sign(world, amount="40000.00")
    late = timezone.now() - timedelta(days=3)
    ApprovalRequest.objects.filter(pk=said.pk).update(due_at=late)
    ApprovalRequest.objects.filter(pk=other.pk).update(
        title="Batch: Tarpaulins", due_at=late + timedelta(days=6)
    )
    html = as_person("reviewer").get("/").content.decode()
    waiting = html[html.index('id="home-waiting"') : html.index('id="home-overdue"')]
    cards = dict(re.findall(r'<li data-key="([^"]+)">(.*?)</li>', waiting, re.DOTALL))
    assert "12,000.00 to Bassa Health Post" in cards[str(said.pk)]
    assert "row-amount" not in cards[str(said.pk)]
    assert "was due" in cards[str(said.pk)]
    assert "40,000.00</span>" in cards[str(other.pk)]
    assert "was due" not in cards[str(other.pk)]
