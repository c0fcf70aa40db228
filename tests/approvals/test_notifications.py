"""Who hears of a request: the group that signs, who asked, programs that listen."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.approvals import services
from apps.notifications.models import GroupNotice, Notification, WebhookDelivery
from apps.notifications.services import notices_fan_out, webhook_create
from tests.approvals.world import decide, delegated, fresh, opened, permit, person, rule

pytestmark = pytest.mark.django_db(transaction=True)

BANDS = [
    {
        "above": "1000.00",
        "tiers": [{"group": "reviewer", "quorum": 2}, {"group": "senior reviewer", "quorum": 1}],
    }
]


@pytest.fixture
def people() -> dict[str, Any]:
    rule(BANDS)
    return {
        "asks": person("asks", "reviewer"),
        "a": person("a", "reviewer"),
        "b": person("b", "reviewer", "senior reviewer"),
        "c": person("c", "senior reviewer"),
    }


def told(kind: str) -> set[str]:
    notices_fan_out()
    rows = Notification.objects.filter(kind=kind)
    return set(rows.values_list("recipient__username", flat=True))


def test_the_group_that_signs_is_told_tier_by_tier_without_who_may_not(
    people: dict[str, Any],
) -> None:
    request = opened(people["asks"])
    assert told("approval.waiting") == {"a", "b"}
    decide(request, people["a"])
    assert GroupNotice.objects.count() == 1  # the same tier still waits
    decide(fresh(request), people["b"])
    assert told("approval.waiting") == {"a", "b", "c"}
    second = GroupNotice.objects.latest("pk")
    assert (second.group, second.told) == ("senior reviewer", 1)  # b has signed
    decide(fresh(request), people["c"])
    assert told("approval.settled") == {"asks"}
    row = Notification.objects.get(kind="approval.settled")
    assert row.title.startswith("Approved: ") and row.url == f"/requests/{request.pk}/"


def test_who_acts_for_one_of_the_group_hears_that_it_waits(people: dict[str, Any]) -> None:
    deputy, other = person("deputy", "senior reviewer"), person("other", "senior reviewer")
    delegated(people["a"], deputy)
    delegated(people["asks"], other)  # who asked hands on nothing
    opened(people["asks"])
    assert told("approval.waiting") == {"a", "b", "deputy"}


def test_the_end_of_a_delegation_is_told_to_both_sides(people: dict[str, Any]) -> None:
    delegate, by = people["c"], {"via": "api", "as_of": timezone.now()}
    first, second = delegated(people["a"], delegate), delegated(people["b"], delegate)
    chief = permit(person("chief"), "reassign_approvalrequest")
    for _ in range(2):
        services.delegation_revoke(delegation_id=first.pk, by=people["a"], **by)
    assert told("delegation.ended") == {"c"}
    services.delegation_revoke(delegation_id=second.pk, by=chief, **by)
    assert told("delegation.ended") == {"b", "c"}
    assert Notification.objects.filter(kind="delegation.ended").count() == 3


def test_programs_hear_what_happens_meanwhile_without_words(people: dict[str, Any]) -> None:
    admin = person("admin", is_superuser=True)
    webhook_create(url="https://example.org/", events=["*"], by=admin, via="api")
    request, now = opened(people["asks"]), timezone.now()
    by: dict[str, Any] = {"request_id": request.pk, "by": people["a"], "via": "api", "as_of": now}
    services.claim_take(**by)
    services.claim_reassign(**by, to=people["b"], reason="secret words")
    services.claim_release(**{**by, "by": people["b"]})
    for _ in range(2):
        services.comment_add(**by, text="secret words", nonce="")
    services.evidence_add(**by, name="a.txt", body=b"secret words", note="secret words")
    given = services.delegation_give(
        delegator=people["a"],
        delegate=people["c"],
        kinds=[],
        most=None,
        currency="",
        starts_at=None,
        ends_at=now + timedelta(days=1),
        reason="secret words",
        by=people["a"],
        via="api",
        as_of=now,
    )
    services.delegation_revoke(
        delegation_id=given.pk, by=people["a"], via="api", as_of=timezone.now()
    )
    rows = list(WebhookDelivery.objects.order_by("pk"))
    assert [row.event for row in rows] == [
        *("approval.opened", "approval.claimed", "approval.reassigned", "approval.released"),
        *("approval.commented", "approval.commented", "approval.evidence_added"),
        *("delegation.given", "delegation.revoked"),
    ]
    assert len({row.message_id for row in rows}) == len(rows)
    assert "secret" not in "".join(row.body for row in rows)
    data = json.loads(rows[2].body)["data"]
    assert (data["by"], data["to"]) == (people["a"].audit_id, people["b"].audit_id)


def test_what_was_decided_before_its_turn_is_told_to_no_group(people: dict[str, Any]) -> None:
    request = opened(people["asks"])
    decide(request, people["a"], "reject")
    assert told("approval.waiting") == set()
    assert "the papers are in order" in Notification.objects.get(kind="approval.settled").text


def test_programs_hear_each_event_once_and_never_the_payload(people: dict[str, Any]) -> None:
    admin = person("admin", is_superuser=True)
    webhook_create(url="https://example.org/", events=["*"], by=admin, via="api")
    request = opened(people["asks"])
    for name in ("a", "b", "c"):
        decide(fresh(request), people[name])
    rows = list(WebhookDelivery.objects.order_by("pk"))
    assert [row.event for row in rows] == [
        "approval.opened",
        "approval.signed",
        "approval.signed",
        "approval.approved",
    ]
    assert len({row.message_id for row in rows}) == 4
    # The payload's value; the title is the request's own.
    assert "target" not in "".join(row.body for row in rows)


def test_nobody_listening_costs_opening_two_queries(people: dict[str, Any]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        opened(people["asks"])
    mine = [q["sql"] for q in captured if "notifications_" in q["sql"]]
    assert len(mine) == 2
