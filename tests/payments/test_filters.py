"""What the filters of the quarantine find, and by which index."""

from typing import Any

import pytest
from django.http import QueryDict

from apps.payments import forms
from apps.payments.forms import QuarantineFilter
from apps.payments.models import QuarantinedEvent
from apps.payments.services import desk
from apps.payments.services.intake import events_take
from tests.payments.people import People
from tests.payments.samples import a_message, an_event
from tests.plans import plan_by_index


@pytest.fixture
def rows(people: People) -> dict[str, QuarantinedEvent]:
    """One that is no JSON; one with an amount that is a text; one like it, discarded."""
    found = {}
    for number, (name, value) in enumerate(
        {
            "broken": b"{",
            "typed": an_event("stripe:typed", amount_cents="5", customer_id="Ngozi"),
            "settled": an_event("stripe:settled", amount_cents="5", customer_id="Ngozi"),
        }.items()
    ):
        events_take([a_message(value, offset=number)])
        found[name] = QuarantinedEvent.objects.latest("created_at", "pk")
    desk.event_discard(row_id=found["settled"].pk, by=people.admin, via="api", reason="Not ours.")
    return found


def matching(people: People, query: str) -> Any:
    return QuarantineFilter(QueryDict(query)).matching(
        QuarantinedEvent.objects.all(), user=people.admin
    )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"broken", "typed", "settled"}),
        ("q=ngozi", {"typed", "settled"}),
        ("q=ngozi&state=open", {"typed"}),
        ("q=nobody", set()),
        ("code=wrong_type", {"typed", "settled"}),
        ("code=wrong_type&state=open", {"typed"}),
        ("code=no_such_code", set()),
        ("code=%00", set()),
        ("stage=read", {"broken", "typed", "settled"}),
        ("stage=engine", set()),
        ("stage=read&code=not_json", {"broken"}),
        ("event_id=stripe:typed", {"typed"}),
        ("stage=nowhere", set()),
    ],
)
def test_each_filter_finds_what_it_says(
    query: str, names: set[str], people: People, rows: dict[str, QuarantinedEvent]
) -> None:
    assert {row.pk for row in matching(people, query)} == {rows[name].pk for name in names}


def test_of_many_groups_the_latest_are_looked_into(
    people: People, rows: dict[str, QuarantinedEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    events_take([a_message({**an_event("stripe:x"), "customer_id": 5}, offset=9)])
    monkeypatch.setattr(forms, "MOST_GROUPS", 1)
    assert [row.event_id for row in matching(people, "code=wrong_type")] == ["stripe:x"]


def test_words_and_groups_have_their_indexes(
    people: People, rows: dict[str, QuarantinedEvent]
) -> None:
    for query, index in (
        ("q=xylophone&state=open", "quarantine_search"),
        ("code=wrong_type", "quarantine_of_group"),
        ("group=1", "quarantine_of_group"),
    ):
        plan_by_index(matching(people, query).order_by(), index)
