"""The API of riders, wallets and adjustments: the same once, and no input that breaks it."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.accounts.services import api_key_create
from apps.wallets import services
from tests.wallets.conftest import World, paid

Call = Callable[..., tuple[int, Any]]
RIDER = {"name": "Ada Obi", "email": "ada@example.com", "currency": "NGN"}


@pytest.fixture
def call(world: World) -> Call:
    """`call("agent", "put", "/riders/ada", {…})` → status and document."""
    clients: dict[str, Client] = {}

    def build(who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        client = clients.setdefault(who, Client(raise_request_exception=True))
        client.force_login(world.people[who])
        sent = body if isinstance(body, str | bytes) else json.dumps(body)
        given = {} if body is None else {"data": sent, "content_type": "application/json"}
        answer = getattr(client, method)(f"/api/v1{path}", **given)
        return answer.status_code, answer.json()

    return build


def test_a_rider_is_put_read_and_put_again(call: Call) -> None:
    status, made = call("agent", "put", "/riders/ada.o-b_1@x", RIDER)
    assert status == 201
    assert set(made) == {"userId", "name", "email", "currency", "createdAt"}
    assert (made["userId"], made["name"]) == ("ada.o-b_1@x", "Ada Obi")
    assert call("agent", "put", "/riders/ada.o-b_1@x", RIDER) == (200, made)
    assert call("agent", "get", "/riders/ada.o-b_1@x") == (200, made)
    # Who may top up may make the rider known.
    assert call("requester", "put", "/riders/obi", RIDER | {"email": ""})[0] == 201


def test_a_wallet_and_its_entries(call: Call, world: World) -> None:
    world.rider(balance="5000.00")
    services.wallet_pay(**paid())
    services.wallet_refund(**paid(amount="0.50", key="refund"))
    status, wallet = call("reviewer", "get", "/wallets/ada")
    assert (status, wallet["userId"], wallet["balance"], wallet["status"]) == (
        *(200, "ada", "4000.50", "active"),
    )
    status, first = call("reviewer", "get", "/wallets/ada/entries?limit=2")
    assert [(one["kind"], one["amount"], one["subjectType"]) for one in first["items"]] == [
        ("refund", "0.50", "booking"),
        ("payment", "-1000.00", "booking"),
    ]
    status, rest = call("reviewer", "get", f"/wallets/ada/entries?cursor={first['next']}")
    assert ([one["amount"] for one in rest["items"]], rest["next"]) == (["5000.00"], None)
    world.rider("obi")
    found = call("reviewer", "get", "/wallets?user=ada")[1]
    assert [one["userId"] for one in found["items"]] == ["ada"]
    assert call("reviewer", "get", "/wallets?status=frozen")[1]["items"] == []


def test_amounts_of_jpy_and_kwd_have_their_places(call: Call, world: World) -> None:
    world.rider("yen", "1500", "JPY")
    world.rider("dinar", "1.250", "KWD")
    assert call("agent", "get", "/wallets/yen")[1]["balance"] == "1500"
    assert call("agent", "get", "/wallets/dinar/entries")[1]["items"][0]["amount"] == "1.250"
    body = {"userId": "yen", "amount": "0.5", "reason": "x"}
    status, refused = call("agent", "post", "/wallet-adjustments", body)
    assert (status, refused["code"]) == (422, "amount_invalid")


def test_an_adjustment_is_asked_for_signed_and_seen(call: Call, world: World) -> None:
    world.rider()
    body = {"userId": "ada", "amount": "500.00", "reason": "Charged twice.", "idempotencyKey": "k"}
    status, made = call("agent", "post", "/wallet-adjustments", body)
    assert (status, made["status"]) == (201, "awaiting_approval")
    assert call("agent", "post", "/wallet-adjustments", body) == (200, made)
    status, again = call("agent", "post", "/wallet-adjustments", body | {"amount": "5"})
    assert (status, again["code"]) == (409, "idempotency_key_reused")
    path = f"/wallet-adjustments/{made['id']}"
    seen = call("reviewer", "get", path)[1]
    assert (seen["userId"], seen["amount"], seen["requestedBy"]) == ("ada", "500.00", "agent")
    # Another person's adjustment is not found, nor taken back.
    assert call("requester", "get", path)[0] == 404
    assert call("requester", "get", "/wallet-adjustments")[1]["items"] == []
    assert call("requester", "post", f"{path}/cancel", {})[0] == 404
    assert call("reviewer", "post", f"{path}/cancel", {})[0] == 404
    assert call("agent", "get", "/wallet-adjustments?user=ada&mine=true")[1]["items"] == [seen]
    assert call("agent", "post", f"{path}/cancel", {"reason": "Wrong."})[1]["status"] == "cancelled"
    status, late = call("agent", "post", f"{path}/cancel", {})
    assert (status, late["code"]) == (409, "already_settled")


def test_without_the_permission_nothing_is_answered(call: Call, world: World) -> None:
    world.rider()
    # The administrator's session may all; a person without a role nothing.
    world.people["operator"].groups.clear()
    body = {"userId": "ada", "amount": "5", "reason": "x"}
    for who, method, path, sent in (
        ("reviewer", "put", "/riders/ada", RIDER),
        ("operator", "get", "/riders/ada", None),
        ("operator", "get", "/wallets", None),
        ("operator", "get", "/wallets/ada", None),
        ("operator", "get", "/wallets/nobody", None),
        ("operator", "get", "/wallets/ada/entries", None),
        ("requester", "post", "/wallet-adjustments", body),
    ):
        status, refused = call(who, method, path, sent)
        assert (status, refused["code"]) == (403, "permission_denied"), path


def test_a_key_reads_with_one_scope_and_writes_with_the_other(world: World) -> None:
    world.rider()
    _, key = api_key_create(user=world.agent, name="reads", scopes=["wallets:read"], by=world.agent)
    client = Client(headers={"X-API-Key": key})
    assert client.get("/api/v1/wallets/ada").status_code == 200
    for path, method in (("/riders/ada", client.put), ("/wallet-adjustments", client.post)):
        body = RIDER if "riders" in path else {"userId": "ada", "amount": "5", "reason": "x"}
        answer = method(f"/api/v1{path}", json.dumps(body), content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize(
    "path",
    [
        *("/wallets/nobody", "/wallets/a%00b", "/wallets/%C3%A9", "/riders/nobody"),
        *("/riders/a%00b", "/wallets/a%00b/entries", f"/wallets/{'x' * 2000}"),
        "/wallet-adjustments/0198a0b0-0000-7000-8000-000000000000",
    ],
)
def test_what_is_not_there_is_not_found(call: Call, path: str) -> None:
    assert call("agent", "get", path)[0] == 404


BAD_AMOUNTS = [
    *(True, None, [], {}, "", "NaN", "-Infinity", "1e400", "0", "-0", 0, "5.00001", "\x00"),
    *("9" * 40, "-" + "9" * 40, 1e300, "x" * 1_000_000),
]


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=lambda value: repr(value)[:20])
def test_no_amount_breaks_an_adjustment(call: Call, world: World, amount: Any) -> None:
    world.rider()
    body = {"userId": "ada", "amount": amount, "reason": "x"}
    assert call("agent", "post", "/wallet-adjustments", body)[0] in {400, 413, 422}
    assert world.balance() == Decimal(0)


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "null", '{"name": NaN}', '{"name": "a\\u0000", "currency": "NGN"}'),
        *({}, {**RIDER, "name": 7}, {**RIDER, "currency": "naira"}, {**RIDER, "extra": 1}),
        *({**RIDER, "email": ["a@b.c"]}, {**RIDER, "name": "x" * 1_000_000}),
        {**RIDER, "email": "no address"},
    ],
    ids=lambda value: repr(value)[:30],
)
def test_no_body_breaks_a_rider(call: Call, body: Any) -> None:
    assert call("agent", "put", "/riders/ada", body)[0] in {400, 413, 422}
    assert call("agent", "get", "/riders/ada")[0] == 404
