"""The API of interventions and budgets, over HTTP's own rules."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.interventions.models import Intervention
from tests.interventions.conftest import World

URL = "/api/v1/interventions"
BODY: dict[str, Any] = {
    "policy": "relief",
    "budget": "main",
    "amount": "5000.00",
    "currency": "NGN",
    "target": "Village cooperative",
    "justification": "Seeds before the rains.",
}


class Caller:
    """Somebody with a key."""

    def __init__(self, user: User, *scopes: str) -> None:
        _, secret = api_key_create(user=user, name="test", scopes=list(scopes) or ["all"], by=user)
        self._client = Client(headers={"X-API-Key": secret})

    def post(self, url: str, body: Any = None) -> Any:
        return self._client.post(url, body, content_type="application/json")

    def get(self, url: str, **query: Any) -> Any:
        return self._client.get(url, query)


@pytest.fixture
def caller(world: World) -> Caller:
    return Caller(world.requester)


def test_asking_answers_201_and_the_same_again_200(caller: Caller) -> None:
    body = BODY | {"idempotency_key": "k-1"}
    first = caller.post(URL, body)
    assert first.status_code == 201
    row = Intervention.objects.get()
    assert first.json() == {
        "id": str(row.pk),
        "workflow_id": row.workflow_id,
        "status": "pending",
    }
    second = caller.post(URL, body | {"amount": 5000})
    assert (second.status_code, second.json()) == (200, first.json())
    third = caller.post(URL, body | {"amount": "5000.01"})
    assert (third.status_code, third.json()["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize("amount", ["12.5", 12.5, "12.50", "1250e-2"])
def test_an_amount_is_a_text_or_a_number(caller: Caller, amount: Any) -> None:
    created = caller.post(URL, BODY | {"amount": amount})
    assert created.status_code == 201
    read = caller.get(f"{URL}/{created.json()['id']}").json()
    assert read["amount"] == "12.50"


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "0"},
        {"amount": "-5"},
        {"amount": "1.00001"},
        {"amount": 0.00001},
        {"amount": "NaN"},
        {"amount": "Infinity"},
        {"amount": "1e15"},
        {"amount": "1e999999"},
        {"amount": True},
        {"amount": None},
        {"amount": []},
        {"amount": "12,50"},
        {"currency": "naira"},
        {"currency": 5},
        {"policy": "../x"},
        {"target": ""},
        {"target": "x" * 201},
        {"target": "two\nlines"},
        {"justification": "   "},
        {"justification": "x" * 5001},
        {"idempotency_key": "x" * 121},
        {"idempotencyKey": "misspelt"},
    ],
)
def test_what_is_no_request_is_422_and_leaves_nothing(caller: Caller, change: Any) -> None:
    answer = caller.post(URL, BODY | change)
    assert answer.status_code == 422, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "validation_error"
    assert not Intervention.objects.exists()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"amount": NaN}', "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"target": "\\u0000"}', "invalid_text"),
        (b'{"justification": "\\ud800"}', "invalid_text"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(caller: Caller, raw: bytes, code: str) -> None:
    answer = caller._client.post(URL, raw, content_type="application/json")
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"policy": "nobody-knows"}, 404, "policy_not_found"),
        ({"budget": "nobody-knows"}, 404, "budget_not_found"),
        ({"currency": "BRL"}, 422, "currency_mismatch"),
        ({"amount": "1000000.01"}, 422, "amount_above_limit"),
    ],
)
def test_a_refusal_of_the_domain_keeps_its_code(
    caller: Caller, change: Any, status: int, code: str
) -> None:
    answer = caller.post(URL, BODY | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_one_intervention_with_steps_ledger_and_approval(world: World, caller: Caller) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    world.open(intervention)
    request = world.decide(intervention)
    world.finish(intervention)
    read = caller.get(f"{URL}/{intervention.pk}").json()
    assert read["status"] == "executed"
    assert read["approval"] == str(request.pk)
    assert read["error"] is None
    assert [line["kind"] for line in read["ledger"]] == ["reserve", "commit"]
    assert {line["amount"] for line in read["ledger"]} == {"20000.00"}
    assert [step["name"] for step in read["steps"]][:2] == [
        "validate_policy",
        "get_policy_details",
    ]
    assert {step["status"] for step in read["steps"]} == {"done"}
    assert read["requested_by"] == "requester"


def test_a_failed_one_says_why(world: World, caller: Caller) -> None:
    from apps.interventions.services import outcomes

    intervention = world.ask()
    outcomes.intervention_settle(
        intervention_id=intervention.pk, status="failed", code="budget_exceeded", detail="Empty."
    )
    read = caller.get(f"{URL}/{intervention.pk}").json()
    assert read["error"] == {"code": "budget_exceeded", "detail": "Empty."}


def test_strangers_see_nothing_and_reviewers_everything(world: World) -> None:
    stranger = User.objects.create_user("stranger")
    stranger.groups.add(Group.objects.get(name="requester"))
    intervention = world.ask()
    one = f"{URL}/{intervention.pk}"
    assert Caller(stranger).get(one).status_code == 404
    assert Caller(stranger).post(f"{one}/cancel").status_code == 404
    assert Caller(stranger).get(URL).json() == {"items": [], "next": None}
    reviewer = Caller(world.people["reviewer"])
    assert reviewer.get(one).status_code == 200
    assert len(reviewer.get(URL).json()["items"]) == 1
    refused = reviewer.post(f"{one}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


def test_a_list_goes_by_cursor_and_filters(world: World, caller: Caller) -> None:
    asked = [world.ask() for _ in range(5)]
    world.open(asked[0])
    seen: list[str] = []
    cursor = None
    while True:
        page = caller.get(URL, limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [row["id"] for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [str(one.pk) for one in reversed(asked)]
    approved = caller.get(URL, status="approved").json()["items"]
    assert [row["id"] for row in approved] == [str(asked[0].pk)]
    assert caller.get(URL, budget="other").json()["items"] == []
    assert caller.get(URL, cursor="forged").json()["code"] == "bad_cursor"
    assert caller.get(URL, limit=0).status_code == 422
    assert caller.get(URL, status="nonsense").status_code == 422


def test_cancelling_answers_with_the_end_and_again_with_409(world: World, caller: Caller) -> None:
    one = f"{URL}/{world.ask().pk}/cancel"
    answer = caller.post(one, {"reason": "Not needed."})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["error"] == {"code": "cancelled", "detail": "Not needed."}
    again = caller.post(one)
    assert (again.status_code, again.json()["code"]) == (409, "already_settled")


def test_cancelling_needs_no_body(world: World, caller: Caller) -> None:
    assert caller.post(f"{URL}/{world.ask().pk}/cancel").status_code == 200


@pytest.mark.parametrize("path", ["/nonsense", "/01890a5d-ac96-774b-bcce-b302099a8057"])
def test_an_unknown_id_is_a_problem_document(caller: Caller, path: str) -> None:
    answer = caller.get(f"{URL}{path}")
    assert answer.status_code in {404, 422}
    assert answer["Content-Type"] == "application/problem+json"


def test_scopes_narrow_what_a_key_may_do(world: World) -> None:
    reader = Caller(world.requester, "interventions:read")
    assert reader.get(URL).status_code == 200
    refused = reader.post(URL, BODY)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert reader.get("/api/v1/budgets/main").json()["code"] == "scope_missing"


# --- budgets -------------------------------------------------------------------------------------
def test_a_budget_shows_its_balances_as_texts(world: World, caller: Caller) -> None:
    world.finish(world.ask())
    world.reserve(world.ask(amount=Decimal("7000")))
    assert caller.get("/api/v1/budgets/main").json() == {
        "code": "main",
        "name": "Main",
        "currency": "NGN",
        "total": "10000000.00",
        "reserved": "7000.00",
        "spent": "5000.00",
        "available": "9988000.00",
        "series": "",
        "starts_on": None,
        "ends_on": None,
        "alert_percent": 10,
        "low": False,
    }
    listed = caller.get("/api/v1/budgets").json()
    assert [row["code"] for row in listed["items"]] == ["main"]


@pytest.mark.parametrize("code", ["nobody", "x" * 300, "a%00b", "ümläut"])
def test_an_unknown_budget_is_404(caller: Caller, code: str) -> None:
    answer = caller.get(f"/api/v1/budgets/{code}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_who_has_no_business_with_budgets_does_not_see_them(world: World) -> None:
    nobody = User.objects.create_user("nobody")
    answer = Caller(nobody).get("/api/v1/budgets/main")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_an_intervention_is_read_in_few_queries(
    world: World, caller: Caller, django_assert_max_num_queries: Any
) -> None:
    intervention = world.ask()
    world.finish(intervention)
    caller.get(f"{URL}/{intervention.pk}")
    with django_assert_max_num_queries(8):
        caller.get(f"{URL}/{intervention.pk}")
    for _ in range(10):
        world.ask()
    with django_assert_max_num_queries(6):
        caller.get(URL)
