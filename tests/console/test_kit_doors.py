"""Lists, forms and pages of the kit survive whatever an address or a form says."""

from typing import Any

import pytest

from apps.approvals.models import BulkDecision
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.batch_world import asked
from tests.interventions.conftest import World
from tests.interventions.test_transfers import asked as transfer_asked

LONG = "9" * 5000
#: Several of them at once, each where some page reads it.
QUERIES = [
    "cursor=%00&after=%00&before=%00&show=%00",
    f"cursor={LONG}&after={LONG}&before={LONG}&budget={LONG}",
    "status=nothing&kind=nothing&state=nothing&by=nothing&after=-1&before=1e9",
    "status=%00&policy=%F0%9F%92%A9&region=NG-%00&mine=%00&series=%00&from=%00&to=9999-12-31",
]
#: What a field of a form may be given.
VALUES = ["\x00", "NaN", "1e400", "-1", "\u202e1", "x" * 300_000]
FORMS: list[tuple[str, dict[str, Any]]] = [
    (
        "/interventions/new/",
        {"policy": "relief", "budget": "main", "amount": "5", "target": "A", "justification": "B"},
    ),
    (
        "/budgets/transfers/new/",
        {"source": "main", "destination": "spare", "amount": "5", "reason": "B"},
    ),
    (
        "/interventions/batches/new/",
        {"policy": "relief", "budget": "main", "title": "", "text": "amount\n1\n", "send": "1"},
    ),
]


@pytest.fixture
def pages(world: World) -> list[str]:
    """Pages of this kit with something on each, and their fragments."""
    intervention, _ = ask_to_sign(world)
    batch = asked(world)
    world.budget("spare", "100.00")
    bulk = BulkDecision.objects.create(
        idempotency_key="k", requested_by=world.people["senior"], verdict="approve", total=1
    )
    rows = [
        f"/interventions/{intervention.pk}/",
        f"/interventions/batches/{batch.pk}/",
        f"/budgets/transfers/{transfer_asked(world).pk}/",
        f"/bulk/{bulk.pk}/",
        "/policies/relief/",
        "/budgets/main/",
        *("/interventions/batches/", "/budgets/transfers/", "/bulk/"),
    ]
    lists = ["/policies/", "/policies/-/live/", "/budgets/main/ledger.csv"]
    return [*lists, *(place for row in rows for place in (row, f"{row}live/"))]


@pytest.mark.parametrize("query", QUERIES)
def test_no_address_breaks_a_page(query: str, pages: list[str], as_person: AsPerson) -> None:
    client = as_person("senior")
    answers = {page: client.get(f"{page}?{query}").status_code for page in pages}
    assert {page: status for page, status in answers.items() if status != 200} == {}
    assert client.get(f"/interventions/outcomes/?{query}").status_code in {200, 422}


@pytest.mark.parametrize(("page", "form"), FORMS)
def test_no_field_breaks_a_form(
    page: str, form: dict[str, Any], world: World, as_person: AsPerson
) -> None:
    world.budget("spare", "100.00")
    client = as_person("requester")
    for name in (*form, "idempotency_key"):
        for number, value in enumerate(VALUES):
            sent = {**form, "idempotency_key": f"{name} {number}", name: value}
            status = client.post(page, sent).status_code
            assert status in {200, 302, 422}, (name, value[:10], status)


def test_no_filter_breaks_a_list_of_the_api(world: World, as_person: AsPerson) -> None:
    client = as_person("senior")
    lists = ["interventions", "intervention-batches", "budgets", "budgets/transfers", "policies"]
    for place in (*lists, "approvals", "approvals/bulk-decisions", "interventions/outcomes"):
        for query in QUERIES:
            status = client.get(f"/api/v1/{place}?{query}").status_code
            assert status in {200, 422}, (place, query, status)


def test_a_verb_that_is_refused_shows_the_reason_that_was_typed(
    world: World, as_person: AsPerson
) -> None:
    intervention, _ = ask_to_sign(world)
    page = f"/interventions/{intervention.pk}/"
    answer = as_person("requester").post(page, {"reason": "Not \u202e wanted"})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "Not called off." in html
    assert 'id="cancel-box" open' in html
