"""Pages of wallets, the ledger and adjustments: what they show, to whom, and at what cost."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.wallets import services
from apps.wallets.models import Journal, Wallet, WalletAdjustment
from tests.wallets.conftest import World, paid

AsPerson = Callable[[str], Client]


@pytest.fixture
def as_person(world: World) -> AsPerson:
    """`as_person("agent")`: that person's browser."""

    def build(name: str) -> Client:
        client = Client()
        client.force_login(world.people[name])
        return client

    return build


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def test_a_wallet_shows_its_balance_and_its_entries(world: World, as_person: AsPerson) -> None:
    world.rider(balance="5000.00")
    services.wallet_pay(**paid())
    agent = as_person("agent")
    assert "NGN\u00a04,000.00" in html(agent, "/wallets/")
    page = html(agent, "/wallets/ada/")
    journal = Journal.objects.get(key="booking:1:pay")
    for text in ("Payment from the wallet", "NGN\u00a0-1,000.00", f"/ledger/{journal.pk}/"):
        assert text in page
    assert html(agent, "/wallets/ada/live/").count("data-key") == 2
    lines = html(agent, f"/ledger/{journal.pk}/")
    for text in ("wallet:ada", "prepaid:NGN", "booking:1:pay", "/wallets/ada/"):
        assert text in lines
    assert "Payment from the wallet" in html(agent, "/ledger/?kind=payment")


def test_the_ledger_is_a_file_with_amounts(world: World, as_person: AsPerson) -> None:
    world.rider(balance="5000.00")
    services.wallet_pay(**paid())
    answer = as_person("agent").post("/ledger/list.csv")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert "payment" in text
    assert "1000.00" in text


def test_many_entries_are_led_through_page_by_page(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.web.lists.PAGE_SIZE", 2)
    world.rider(balance="5000.00")
    for number in range(3):
        services.wallet_pay(**paid(amount=f"{number + 1}.00", key=f"pay:{number}"))
    agent = as_person("agent")
    first = html(agent, "/wallets/ada/")
    assert "Older lines" in first
    before = first.partition("before=")[2].partition('"')[0]
    second = html(agent, f"/wallets/ada/?before={before}")
    assert "NGN\u00a0-1.00" in second
    assert "NGN\u00a0-3.00" not in second
    assert "Back to the newest" in second


def test_freezing_by_the_page_and_who_may(world: World, as_person: AsPerson) -> None:
    world.rider()
    agent = as_person("agent")
    assert "Freeze the wallet" in html(agent, "/wallets/ada/")
    assert "Freeze the wallet" not in html(as_person("reviewer"), "/wallets/ada/")
    assert as_person("reviewer").post("/wallets/ada/freeze/", {"reason": "x"}).status_code == 403
    agent.post("/wallets/ada/freeze/", {"reason": ""})
    assert Wallet.objects.get().status == "active"
    answer = agent.post("/wallets/ada/freeze/", {"reason": "A stolen phone."}, follow=True)
    page = answer.content.decode()
    for text in ("The wallet is frozen.", "Froze the wallet", "A stolen phone.", "Unfreeze"):
        assert text in page
    agent.post("/wallets/ada/unfreeze/", {"reason": "Found."})
    assert Wallet.objects.get().status == "active"
    assert agent.post("/wallets/ada/burn/", {"reason": "x"}).status_code == 404
    assert agent.post("/wallets/eve/freeze/", {"reason": "x"}).status_code == 404


def test_an_adjustment_from_the_wallet_to_the_signature(world: World, as_person: AsPerson) -> None:
    world.rider(balance="5000.00")
    agent = as_person("agent")
    form = html(agent, "/ledger/adjustments/new/?wallet=ada")
    assert "in the wallet." in form
    assert 'value="ada"' in form
    sent = {"user_id": "ada", "amount": "-500.00", "reason": "Twice.", "idempotency_key": "k"}
    for _ in range(2):
        answer = agent.post("/ledger/adjustments/new/", sent, follow=True)
    adjustment = WalletAdjustment.objects.get()
    assert answer.redirect_chain[-1][0] == f"/ledger/adjustments/{adjustment.pk}/"
    page = answer.content.decode()
    for text in ("Take NGN 500.00 from the wallet of Ada (ada)", "Take it back", "Its request"):
        assert text in page
    assert "Ada" in html(agent, "/ledger/adjustments/?user=ada")
    request = html(as_person("senior"), f"/requests/{_request_of(adjustment)}/")
    assert "Taken out" in request
    # Somebody else's is not found.
    path = f"/ledger/adjustments/{adjustment.pk}/"
    assert as_person("requester").get(path).status_code == 404
    world.decide(adjustment)
    assert world.balance() == Decimal("4500.00")
    assert "Take it back" not in html(agent, path)
    refused = agent.post(path, {"reason": "Late."})
    assert refused.status_code == 409


def _request_of(adjustment: WalletAdjustment) -> object:
    from apps.wallets.services.adjustments import adjustment_approval

    request = adjustment_approval(adjustment)
    assert request is not None
    return request.pk


@pytest.mark.parametrize(
    "path", ["/wallets/", "/wallets/ada/", "/ledger/", "/ledger/adjustments/new/"]
)
def test_who_may_not_is_not_let_in(path: str, world: World, as_person: AsPerson) -> None:
    world.rider()
    world.people["operator"].groups.clear()
    assert as_person("operator").get(path).status_code == 403


def test_no_address_and_no_field_breaks_a_page(world: World, as_person: AsPerson) -> None:
    world.rider(balance="5.00")
    agent = as_person("agent")
    long = "9" * 5000
    for query in (
        "cursor=%00&before=%00&user=%00&status=%00&kind=%00&older=%00&wallet=%00",
        f"cursor={long}&before=-1&user={long}&status=nothing&kind=nothing&sort=nothing",
    ):
        for path in ("/wallets/", "/wallets/ada/", "/ledger/", "/ledger/adjustments/"):
            assert agent.get(f"{path}?{query}").status_code == 200, (path, query)
        assert agent.get(f"/ledger/adjustments/new/?{query}").status_code == 200
    for path in ("/wallets/eve/", "/wallets/a%00b/", "/wallets/%C3%A9/", f"/wallets/{long}/"):
        assert agent.get(path).status_code == 404
    good = {"user_id": "ada", "amount": "5", "reason": "B", "idempotency_key": ""}
    for name in good:
        for value in ("\x00", "NaN", "x" * 300_000):
            status = agent.post("/ledger/adjustments/new/", {**good, name: value}).status_code
            assert status in {200, 302, 422}, (name, value[:10], status)


def test_what_a_page_asks_the_database_does_not_grow_with_its_rows(
    world: World, as_person: AsPerson
) -> None:
    agent = as_person("agent")

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            html(agent, path)
        return len(asked)

    world.rider(balance="5000.00")
    world.ask()
    services.wallet_pay(**paid())
    paths = ("/wallets/", "/wallets/ada/", "/ledger/", "/ledger/adjustments/")
    before = {path: queries(path) for path in paths}
    for number in range(6):
        world.rider(f"r{number}", "7.00")
        world.ask(user_id=f"r{number}")
        services.wallet_pay(**paid(amount="1.00", key=f"pay:{number}"))
    assert {path: queries(path) for path in paths} == before
    assert max(before.values()) <= 25
