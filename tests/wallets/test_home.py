"""Top-ups on the home page: what waits, what was credited today, what a person has to review."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.wallets.home import today
from apps.wallets.models import PaymentReview, TopUp
from apps.wallets.services import topup_paying
from tests.plans import plan_by_index
from tests.wallets.conftest import World
from tests.wallets.topup_stage import Payers, send
from tests.wallets.topups import ask, look, opened

pytestmark = pytest.mark.django_db


def figures(world: World, name: str) -> list[tuple[str, str]]:
    found = today(world.people[name], timezone.now()).figures
    return [(figure.count, figure.words) for figure in found]


def test_the_card_says_what_waits_what_was_credited_and_what_is_in_review(
    world: World, payers: Payers
) -> None:
    world.rider()
    ask(world)
    opened(world)
    # One is paid when nobody waits for it any more: a person looks at it.
    late, reference = opened(world)
    topup_paying.payment_cancel(
        top_up_id=late.pk, code="payment_timeout", detail="", as_of=timezone.now()
    )
    assert send(payers.pay(reference)) == 200
    look()
    for day in (0, 2):
        at = timezone.now() - timedelta(days=day)
        TopUp.objects.filter(pk=ask(world).pk).update(credited_at=at, status="credited")
    client = Client()
    client.force_login(world.people["agent"])
    card = client.get("/").content.decode().partition('id="home-topups"')[2].partition("</sec")[0]
    assert '<b>1</b> <a href="/top-ups/?status=awaiting_payment">wait for the payment</a>' in card
    assert "<b>1</b> <span>credited today</span>" in card
    assert '<b>1</b> <a href="/inbox/?kind=payment.review">in review</a>' in card


def test_who_may_not_see_all_counts_what_they_asked_for(world: World, payers: Payers) -> None:
    world.rider()
    opened(world)
    opened(world, by=world.people["admin"])
    words = ("wait for the payment", "credited today", "in review")
    assert figures(world, "requester") == list(zip(("1", "0", "0"), words, strict=True))
    assert figures(world, "agent") == list(zip(("2", "0", "0"), words, strict=True))


def test_its_figures_are_counted_by_indexes(world: World) -> None:
    rows: Any = TopUp.objects.order_by()
    plan_by_index(rows.filter(status="awaiting_payment"), "topups_open")
    plan_by_index(rows.filter(credited_at__gte=timezone.now()), "topups_credited")
    waiting = PaymentReview.objects.order_by().filter(status="awaiting_decision")
    plan_by_index(waiting, "payment_reviewed_once")
