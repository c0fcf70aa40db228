"""An amount has the places of its currency, from the request over the signature to the ledger, on
every page, in every file and message. What is finer than the currency is refused at every door."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import delegation_give, request_edit, rule_put
from apps.audit.models import AuditEntry
from apps.common.errors import Invalid
from apps.common.money import NO_BREAK, amount_written, unambiguous
from apps.interventions import executor
from apps.interventions.models import Budget, BudgetEntry, Intervention
from apps.interventions.services import budgets, policies
from apps.notifications.models import Mail
from apps.notifications.services import settings_put
from tests.interventions.batch_world import asked, opened, payment, request_of
from tests.interventions.conftest import World
from tests.interventions.test_api import Caller
from tests.interventions.test_batch_pages import client_of, text
from tests.interventions.test_budget_pages import confirmed

#: Currency, the amount as it is asked for, as programs read it, as people read it.
AMOUNTS = [
    ("JPY", "1500", "1500", "JPY\u00a01,500"),
    ("KWD", "1.25", "1.250", "KWD\u00a01.250"),
    ("EUR", "10.5", "10.50", "EUR\u00a010.50"),
]
#: Finer than the currency is.
FINER = [("JPY", "1.5"), ("KWD", "1.2505"), ("EUR", "10.501"), ("NGN", "1.001")]
SIGNED = [{"above": None, "tiers": [{"group": "reviewer", "quorum": 1}]}]


def in_currency(world: World, currency: str) -> dict[str, str]:
    """A policy and a budget in it; what a request under them names."""
    code = currency.lower()
    policies.policy_put(
        code=code,
        name=currency,
        currency=currency,
        reversible=True,
        max_amount=Decimal("1000000"),
        by=None,
        via="command",
    )
    with transaction.atomic():
        rule_put(kind="intervention", scope=code, currency=currency, bands=SIGNED, by=None)
    budgets.budget_open(code=code, name=currency, currency=currency, by=None, via="command")
    budgets.budget_allocate(
        code=code, amount=Decimal("100000"), key=f"{code}:first", by=None, via="command"
    )
    return {"policy": code, "budget": code, "currency": currency}


def audited(action: str) -> set[Any]:
    """The amounts in the trail's entries of that action."""
    bodies = AuditEntry.objects.filter(action=action).values_list("body", flat=True)
    return {body["amount"] for body in bodies if body and "amount" in body}


@pytest.mark.parametrize(("currency", "asked_for", "exact", "read"), AMOUNTS)
def test_an_amount_is_the_same_from_the_request_to_the_ledger(
    currency: str,
    asked_for: str,
    exact: str,
    read: str,
    world: World,
    monkeypatch: Any,
    settings: Any,
) -> None:
    settings.EMAIL_ENABLED = True
    names = in_currency(world, currency)
    caller = Caller(world.requester)
    for person in world.people.values():
        settings_put(user=person, in_app=["intervention"], email=["intervention"])
    body = names | {"amount": asked_for, "target": "Clinic", "justification": "Repairs."}
    body |= {"idempotency_key": "once"}
    made = caller.post("/api/v1/interventions", body)
    again = caller.post(
        "/api/v1/interventions", body | {"amount": exact, "idempotency_key": "once"}
    )
    assert (made.status_code, again.status_code) == (201, 200)
    row = Intervention.objects.get()
    assert row.amount == Decimal(exact)

    world.open(row)
    request = ApprovalRequest.objects.get()
    assert request.payloads.get().payload["amount"] == exact
    reviewer = Caller(world.people["reviewer"])
    shown = reviewer.get(f"/api/v1/approvals/{request.pk}").json()
    assert (shown["amount"], shown["payload"]["amount"]) == (exact, exact)
    assert read in text(client_of(world, "reviewer").get(reverse("request", args=[request.pk])))
    world.decide(row)

    sent: list[Any] = []

    class Executor:
        def post(self, path: str, *, key: str, body: Any) -> Any:
            sent.append(body)
            return {"receipt": "R-1"}

    row.refresh_from_db()
    monkeypatch.setattr(executor, "_executor", Executor)
    monkeypatch.setattr(executor, "_receipt", lambda answer: "R-1")
    assert (executor.execute(row), sent[0]["amount"]) == ("R-1", exact)
    world.finish(row)

    found = caller.get(f"/api/v1/interventions/{row.pk}").json()
    assert found["amount"] == exact
    assert {line["amount"] for line in found["ledger"]} == {exact}
    auditor = client_of(world, "auditor")
    assert read in text(auditor.get(f"/interventions/{row.pk}/"))
    assert read in text(auditor.get(f"/budgets/{names['budget']}/"))
    file = auditor.get(f"/budgets/{names['budget']}/ledger.csv")
    lines = b"".join(file.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert {line.split(",")[3] for line in lines[1:] if "allocate" not in line} == {exact}
    figures = caller.get("/api/v1/interventions/outcomes").json()
    assert figures["total"]["paid"] == {currency: exact}
    left = Caller(world.people["auditor"]).get(f"/api/v1/budgets/{names['budget']}").json()
    assert (left["spent"], Decimal(left["available"])) == (exact, 100000 - Decimal(exact))
    title = f"Executed: {read.replace(NO_BREAK, ' ')} to Clinic"
    assert title in Mail.objects.values_list("title", flat=True)
    assert audited("budget.reserved") == {exact}
    budget = Budget.objects.get(code=names["budget"])
    entry = BudgetEntry.objects.filter(kind="commit").get()
    admin = client_of(world, "admin")
    for model, pk in (
        ("intervention", row.pk),
        ("budget", budget.pk),
        ("budgetentry", entry.pk),
    ):
        assert read in text(admin.get(reverse(f"admin:interventions_{model}_change", args=[pk])))
        assert read in text(admin.get(reverse(f"admin:interventions_{model}_changelist")))


@pytest.mark.parametrize(("currency", "asked_for", "exact", "read"), AMOUNTS)
def test_a_batch_is_signed_and_paid_in_the_places_of_its_currency(
    currency: str, asked_for: str, exact: str, read: str, world: World
) -> None:
    names = in_currency(world, currency)
    body = names | {"items": [payment(1, amount=asked_for)], "dry_run": True}
    caller = Caller(world.requester)
    trial = caller.post("/api/v1/intervention-batches", body).json()
    assert (trial["amount"], Decimal(trial["available"])) == (exact, 100000)
    batch = asked(world, [payment(1, amount=asked_for)], **names)
    opened(batch)
    payload = request_of(batch).payloads.get().payload
    assert (payload["total_amount"], payload["items"][0][1]) == (exact, exact)
    assert payload["items_digest"] == batch.items_digest
    place = f"/api/v1/intervention-batches/{batch.pk}"
    assert caller.get(place).json()["amount"] == exact
    assert caller.get(f"{place}/items").json()["items"][0]["amount"] == exact


def test_three_places_in_a_file_are_written_so_that_they_are_no_thousands() -> None:
    for cell in ("1.250", "1,250"):
        with pytest.raises(Invalid, match=r"1250 is the first, 1\.2500 is the second") as refused:
            amount_written(cell)
        assert refused.value.code == "amount_ambiguous"
    for cell in ("1.2500", "1,2500", "0.250", "1,234.500", "1.234,500"):
        assert amount_written(cell) is not None
    assert amount_written("1.2500") == Decimal("1.250")
    for amount, currency in (("1.25", "KWD"), ("1234.5", "KWD"), ("1500", "JPY"), ("10.5", "EUR")):
        assert amount_written(unambiguous(Decimal(amount), currency)) == Decimal(amount)


@pytest.mark.parametrize(("currency", "finer"), FINER)
def test_what_is_finer_than_the_currency_is_refused_at_every_door(
    currency: str, finer: str, world: World
) -> None:
    names = in_currency(world, currency)
    caller, body = Caller(world.requester), {"target": "Clinic", "justification": "Repairs."}
    answer = caller.post("/api/v1/interventions", names | body | {"amount": finer})
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_invalid")
    answer = caller.post(
        "/api/v1/intervention-batches",
        names | {"dry_run": True, "items": [payment(1, amount=finer), payment(2, amount="7")]},
    )
    assert [one["code"] for one in answer.json()["errors"]] == ["amount_invalid"]

    requester = client_of(world, "requester")
    form = names | body | {"amount": finer, "idempotency_key": "once"}
    page = requester.post("/interventions/new/", form)
    assert page.status_code == 422
    assert "written like 25000" in text(page)
    last = AuditEntry.objects.filter(
        action="intervention.request", outcome="refused", via="page"
    ).last()
    assert last is not None
    assert last.code == "amount_invalid"
    assert not Intervention.objects.exists()

    admin, budget = client_of(world, "admin"), Budget.objects.get(code=names["budget"])
    path = reverse("admin:interventions_budget_allocate", args=[budget.pk])
    refused = confirmed(admin, path, {"amount": finer, "key": "k", "reason": "More."})
    assert refused.status_code == 422
    path = reverse("admin:interventions_policy_put")
    form = {"code": "new", "name": "New", "currency": currency, "max_amount": finer}
    assert admin.post(path, form).status_code == 422

    row = world.ask(**names, amount=Decimal("7"))
    world.open(row)
    request = ApprovalRequest.objects.get()
    with pytest.raises(Invalid) as edit:
        request_edit(
            request_id=request.pk,
            changes={"amount": finer},
            by=world.requester,
            payload_hash=request.payloads.get().hash,
            reason="Less.",
            via="api",
            as_of=timezone.now(),
        )
    assert edit.value.code == "amount_invalid"
    with pytest.raises(Invalid) as rule:
        rule_put(
            kind="intervention",
            scope="new",
            currency=currency,
            bands=[SIGNED[0] | {"above": finer}],
            by=None,
        )
    assert rule.value.code == "above_invalid"
    with pytest.raises(Invalid) as given:
        delegation_give(
            delegator=world.people["reviewer"],
            delegate="reviewer2",
            kinds=[],
            starts_at=None,
            reason="",
            most=Decimal(finer),
            currency=currency,
            ends_at=timezone.now() + timedelta(days=1),
            by=world.people["reviewer"],
            via="api",
            as_of=timezone.now(),
        )
    assert given.value.code == "amount_invalid"


def test_a_column_keeps_as_many_places_as_any_currency_has(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, numeric_precision, numeric_scale"
            " FROM information_schema.columns WHERE data_type = 'numeric'"
            " AND table_schema = current_schema() AND column_name <> 'value'"
        )
        rows = cursor.fetchall()
    assert len(rows) > 10
    assert {row[2:] for row in rows if row[1] != "seconds"} == {(20, 4)}
