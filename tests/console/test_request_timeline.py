"""Whose events stand in a request's timeline, and under which topics its page is live."""

from collections.abc import Callable

import pytest
from django.test import Client

from apps.engine import reads
from tests.approvals.world import clock_workflow_id, opened, person, rule
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The workflows whose events were asked for."""
    ids: list[str] = []

    def history_events(workflow_id: str, limit: int) -> reads.History:
        ids.append(workflow_id)
        return reads.History()

    monkeypatch.setattr(reads, "history_events", history_events)
    return ids


def page_of(request_id: object, login: Callable[[str], Client]) -> str:
    return login("reviewer").get(f"/requests/{request_id}/").content.decode()


def test_what_waits_for_no_domain_shows_the_workflow_of_its_clock(asked: list[str]) -> None:
    rule()
    requester = person("requester")
    client = Client()
    client.force_login(requester)
    timed = opened(requester, amount="60000.00", workflow_id="")
    assert client.get(f"/requests/{timed.pk}/").status_code == 200
    assert asked == [clock_workflow_id(timed.pk)]
    asked.clear()
    # Without a clock there is nothing to ask for.
    still = opened(requester, workflow_id="")
    assert client.get(f"/requests/{still.pk}/").status_code == 200
    assert asked == []


def test_what_was_approved_shows_also_who_carries_it_out(
    world: World, as_person: AsPerson, asked: list[str]
) -> None:
    intervention, approval = ask_to_sign(world)
    page = page_of(approval.pk, as_person)
    assert f"intervention:{intervention.pk}" in page
    assert asked == [approval.workflow_id]
    world.decide(intervention)
    asked.clear()
    page_of(approval.pk, as_person)
    assert asked == [approval.workflow_id, intervention.execution_workflow_id]
