"""The inbox: counts that equal the list, filters as addresses, pages by cursor."""

import re
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.interventions.models import Intervention
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World
from tests.support import FULL_SIZE


def rows(client: Client, query: str = "") -> list[str]:
    html = client.get(f"/inbox/{query}").content.decode()
    return re.findall(r'data-key="([^"]+)"', html)


def count(client: Client, query: str, tab: str) -> int:
    html = client.get(f"/inbox/{query}").content.decode()
    found = re.search(rf'id="{tab}".*?class="count">(\d+)<', html, re.DOTALL)
    assert found
    return int(found[1])


def test_counts_equal_the_list_under_every_filter(world: World, as_person: AsPerson) -> None:
    for amount in ("12000.00", "40000.00", "700000.00"):
        ask_to_sign(world, amount=amount)
    _, old = ask_to_sign(world, amount="50000.00")
    ApprovalRequest.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    _, big = ask_to_sign(world, amount="600000.00")
    world.decide(Intervention.objects.get(pk=big.subject_id))  # waits for a senior reviewer now
    queries = ("", "?least=30000", "?most=30000", "?age=1d", "?kind=intervention")
    for number, name in enumerate(("reviewer", "senior", "auditor")):
        client = as_person(name)
        # Each for everybody in `make large`; else every second one, others for the next person.
        for query in queries if FULL_SIZE else queries[number % 2 :: 2]:
            every = count(client, query, "tab-every")
            assert every == len(rows(client, query)), (name, query)
            mine = f"{query}&mine=on" if query else "?mine=on"
            assert count(client, query, "tab-mine") == len(rows(client, mine)), (name, query)
    assert len(rows(as_person("reviewer"), "?mine=on")) == 4
    assert str(big.pk) in rows(as_person("senior"), "?mine=on")
    assert rows(as_person("auditor"), "?mine=on") == []
    assert rows(as_person("reviewer"), "?age=1d") == [str(old.pk)]


def test_the_requester_sees_what_they_asked_for_and_nothing_to_sign(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("requester")
    assert rows(client) == [str(approval.pk)]
    assert rows(client, "?mine=on") == []


def test_pages_follow_each_other_without_gap_or_repeat(world: World, as_person: AsPerson) -> None:
    for number in range(53):
        ask_to_sign(world, target=f"Place {number}")
    client = as_person("reviewer")
    html = client.get("/inbox/").content.decode()
    following = re.search(r'rel="next" href="([^"]+)"', html)
    assert following
    second = client.get(following[1].replace("&amp;", "&")).content.decode()
    first_rows = re.findall(r'data-key="([^"]+)"', html)
    second_rows = re.findall(r'data-key="([^"]+)"', second)
    assert len(first_rows) == 50
    assert len(second_rows) == 3
    assert set(first_rows).isdisjoint(second_rows)
    assert "Back to the first page" in second
    live = client.get("/inbox/live/").content.decode()
    assert 'href="/inbox/?cursor=' in live


def test_a_settled_request_leaves_the_inbox_and_is_found_by_status(
    world: World, as_person: AsPerson
) -> None:
    intervention, approval = ask_to_sign(world)
    world.decide(intervention, "reject")
    client = as_person("reviewer2")
    assert rows(client) == []
    assert rows(client, "?status=rejected") == [str(approval.pk)]
    html = client.get("/inbox/?status=rejected").content.decode()
    assert "Ngozi Okafor" in html


def test_an_empty_inbox_says_what_to_do(world: World, as_person: AsPerson) -> None:
    assert b"Nothing waits for anybody" in as_person("reviewer").get("/inbox/").content
    assert b"Nothing waits for you" in as_person("reviewer").get("/inbox/?mine=on").content
