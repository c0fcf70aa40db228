"""Rules are changed by their version, once each, and only to what events can be checked by."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError, Invalid
from apps.payments.models import Intake, PaymentEvent, PaymentRule
from apps.payments.reading import Event, event_of
from apps.payments.rule_parameters import INDISPENSABLE, REQUIRABLE, parameters_checked
from apps.payments.rule_preview import failing_count
from apps.payments.rules import CHECKS, DEFAULTS, REQUIRED, failures_of
from apps.payments.services.intake import events_take
from apps.payments.services.rules import rule_change, rules_in_force
from tests.payments.kept import keep
from tests.payments.samples import a_message, an_event

PAGE = Path(__file__).resolve().parents[2] / "docs" / "payment-events.md"


@pytest.fixture
def people(transactional_db: None) -> dict[str, User]:
    demo_people_ensure()
    return {user.username: user for user in User.objects.all()}


def bounds(least: Any = 1, most: Any = 10) -> dict[str, Any]:
    return {"least": least, "most": most}


def change(by: User, code: str = "amount_bounds", **changes: Any) -> PaymentRule:
    row = PaymentRule.objects.get(code=code)
    about = {"parameters": row.parameters, "enabled": row.enabled, "version": row.version}
    return rule_change(code=code, by=by, via="admin", **{**about, **changes})


def refused(call: Any, *args: Any, **about: Any) -> str:
    with pytest.raises(DomainError) as raised:
        call(*args, **about)
    return raised.value.code


# --- parameters -----------------------------------------------------------------------------------
@pytest.mark.parametrize("code", CHECKS)
def test_every_default_is_valid_as_it_stands(code: str) -> None:
    assert parameters_checked(code, DEFAULTS[code]) == DEFAULTS[code]


@pytest.mark.parametrize(
    ("rule", "given", "code"),
    [
        ("amount_bounds", {"least": 1}, "parameters_unknown"),
        ("amount_bounds", {**bounds(), "colour": 1}, "parameters_unknown"),
        ("amount_bounds", [], "parameters_unknown"),
        ("status_known", {"statuses": []}, "parameters_unknown"),
        ("amount_bounds", bounds(2, 1), "bounds_out_of_order"),
        ("amount_bounds", bounds(1, 2**63), "bounds_invalid"),
        ("amount_bounds", bounds(-(2**63), 1), "bounds_invalid"),
        ("amount_bounds", bounds(True), "bounds_invalid"),
        ("amount_bounds", bounds("1"), "bounds_invalid"),
        ("amount_bounds", bounds(1.0), "bounds_invalid"),
        ("timestamp_bounds", {"ahead_seconds": -1}, "ahead_invalid"),
        ("timestamp_bounds", {"ahead_seconds": 604_801}, "ahead_invalid"),
        ("currency_allowed", {"currencies": []}, "list_empty"),
        ("currency_allowed", {"currencies": "USD"}, "list_invalid"),
        ("currency_allowed", {"currencies": ["usd"]}, "currency_unknown"),
        ("currency_allowed", {"currencies": ["XAU"]}, "currency_unknown"),
        ("currency_allowed", {"currencies": ["USD", "USD"]}, "entry_twice"),
        ("currency_allowed", {"currencies": ["USDX"]}, "entry_invalid"),
        ("currency_allowed", {"currencies": [3]}, "entry_invalid"),
        ("method_known", {"methods": ["x" * 41]}, "entry_invalid"),
        ("method_known", {"methods": [str(n) for n in range(101)]}, "list_too_long"),
        ("customer_blocklist", {"blocked": ["x" * 101]}, "entry_invalid"),
        ("customer_blocklist", {"blocked": [""]}, "entry_invalid"),
        ("customer_blocklist", {"blocked": ["a\x00"]}, "entry_invalid"),
        ("customer_blocklist", {"blocked": ["\ud800"]}, "entry_invalid"),
        ("merchant_blocklist", {"blocked": [str(n) for n in range(10_001)]}, "list_too_long"),
        ("required_fields", {"fields": [*REQUIRED, "colour"]}, "field_unknown"),
        ("required_fields", {"fields": [*REQUIRED, "metadata"]}, "field_unknown"),
        *(
            ("required_fields", {"fields": [n for n in REQUIRED if n != name]}, code)
            for name, code in dict.fromkeys(REQUIRED, "field_indispensable").items()
        ),
    ],
)
def test_wrong_parameters_have_codes(rule: str, given: Any, code: str) -> None:
    assert refused(parameters_checked, rule, given) == code


def test_the_edges_of_parameters_are_in() -> None:
    for rule, given in (
        ("amount_bounds", bounds(-(2**63) + 1, 2**63 - 1)),
        ("amount_bounds", bounds(5, 5)),
        ("timestamp_bounds", {"ahead_seconds": 0}),
        ("customer_blocklist", {"blocked": [f"{n:0100}" for n in range(10_000)]}),
        ("required_fields", {"fields": list(REQUIRABLE)}),
    ):
        assert parameters_checked(rule, given) == given


def test_required_fields_stand_in_the_order_of_the_event() -> None:
    given = {"fields": ["customer_id", *reversed(REQUIRED)]}
    found = parameters_checked("required_fields", given)["fields"]
    assert found == [*REQUIRED, "customer_id"]


def test_what_an_event_is_kept_with_is_indispensable() -> None:
    """Without these rules an event would reach the table that has no value for its column."""
    needed = {
        column.name
        for column in PaymentEvent._meta.fields
        if not column.null and not column.blank and not column.has_default()
    }
    assert needed - {"intake"} == set(REQUIRED)
    assert {"required_fields", "status_known"} == INDISPENSABLE


# --- the service ----------------------------------------------------------------------------------
def test_a_change_is_a_version_audited_with_before_and_after(people: dict[str, User]) -> None:
    operator = people["operator"]
    first = PaymentRule.objects.get(code="amount_bounds")
    row = change(operator, parameters=bounds(3, 9))
    assert (row.version, row.parameters) == (2, bounds(3, 9))
    # Again, also by somebody who saw the version before: nothing to do.
    assert change(operator, parameters=bounds(3, 9), version=1).version == 2
    entry = AuditEntry.objects.get(action="payment_rule.changed")
    assert (entry.subject_id, entry.actor_id) == ("amount_bounds", operator.audit_id)
    assert entry.body == {
        "before": {"version": 1, "enabled": True, "parameters": first.parameters},
        "after": {"version": 2, "enabled": True, "parameters": bounds(3, 9)},
    }
    versions = row.events.order_by("pgh_id")  # type: ignore[attr-defined]
    assert [one.version for one in versions][-1] == 2


def test_events_are_checked_by_the_newest_version(people: dict[str, User]) -> None:
    def failed() -> list[str]:
        event = event_of(an_event(customer_id="c-7"), is_reserved=lambda _: False)
        assert isinstance(event, Event)
        now = event.fields["processed_at"]
        return [one.code for one in failures_of(event.fields, rules_in_force(), now=now)]

    assert failed() == []
    change(people["operator"], "customer_blocklist", parameters={"blocked": ["c-6", "c-7"]})
    assert failed() == ["customer_blocklist"]
    change(people["operator"], "customer_blocklist", enabled=False)
    assert failed() == []
    change(people["operator"], "customer_blocklist", parameters={"blocked": ["c-8"]}, enabled=True)
    assert failed() == []


def test_parameters_written_with_sql_are_in_force_at_once(people: dict[str, User]) -> None:
    def blocked() -> list[str]:
        rules = {rule.code: rule.parameters for rule in rules_in_force()}
        return sorted(rules["customer_blocklist"]["blocked"])

    before = PaymentRule.objects.get(code="customer_blocklist")
    assert blocked() == []
    rows = PaymentRule.objects.filter(code="customer_blocklist")
    rows.update(parameters={"blocked": ["c-1"]})
    assert blocked() == ["c-1"]
    rows.update(parameters={"blocked": ["c-2"]})
    assert blocked() == ["c-2"]
    # The same again is no version, and neither is being switched off.
    rows.update(parameters={"blocked": ["c-2"]}, enabled=False)
    assert rows.get().version == before.version + 2


def test_a_blocklist_names_nobody_in_the_trail(people: dict[str, User]) -> None:
    change(people["operator"], "customer_blocklist", parameters={"blocked": ["c-7"]})
    body = AuditEntry.objects.get(action="payment_rule.changed").body
    assert body is not None
    assert body["after"]["parameters"]["entries"] == 1
    assert "c-7" not in str(body)


def test_refusals_of_a_change_have_codes_and_are_audited(people: dict[str, User]) -> None:
    operator = people["operator"]
    about: dict[str, Any] = {"parameters": bounds(), "enabled": True, "version": 1, "via": "admin"}
    for name in ("quarantine", "releaser", "auditor", "reviewer"):
        if name in people:
            assert refused(change, people[name], parameters=bounds()) == "permission_denied"
    assert refused(rule_change, code="nothing\x00", by=operator, **about) == "rule_not_found"
    assert refused(change, operator, parameters=bounds(2, 1)) == "bounds_out_of_order"
    for code in INDISPENSABLE:
        assert refused(change, operator, code, enabled=False) == "rule_indispensable"
    change(operator, parameters=bounds(2, 3))
    assert refused(change, operator, parameters=bounds(), version=1) == "rule_changed"
    codes = AuditEntry.objects.filter(action="payment_rule.change", outcome="refused")
    assert {"permission_denied", "rule_not_found", "rule_changed"} <= set(
        codes.values_list("code", flat=True)
    )
    assert not AuditEntry.objects.filter(action="payment_rule.changed").exclude(
        subject_id="amount_bounds"
    )


def test_of_six_who_change_one_version_one_does(people: dict[str, User]) -> None:
    operator = people["operator"]

    def put(number: int) -> str:
        try:
            change(operator, parameters=bounds(1, 100 + number), version=1)
            return "changed"
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        found = sorted(pool.map(put, range(6)))
    assert found == ["changed"] + ["rule_changed"] * 5
    assert PaymentRule.objects.get(code="amount_bounds").version == 2
    assert AuditEntry.objects.filter(action="payment_rule.changed").count() == 1


# --- the preview and the admin --------------------------------------------------------------------
@pytest.fixture
def kept(people: dict[str, User]) -> None:
    events_take([a_message(an_event(f"e-{n}", amount_cents=n)) for n in range(1, 6)])
    for intake in Intake.objects.order_by("pk"):
        keep(intake)


@pytest.mark.usefixtures("kept")
def test_a_changed_rule_is_tried_on_kept_events(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with django_assert_num_queries(1):
        assert failing_count("amount_bounds", bounds(1, 3), bounds(1, 5)) == (5, [2, 0])
    assert failing_count("required_fields", {"fields": ["failure_code"]}) == (5, [5])
    assert failing_count("currency_allowed", {"currencies": ["BRL"]}) == (5, [5])
    assert failing_count("timestamp_bounds", {"ahead_seconds": 0}) == (5, [0])
    assert failing_count("customer_blocklist", {"blocked": ["c-1"]}) == (5, [5])
    monkeypatch.setattr("apps.payments.rule_preview.MOST_TRIED", 3)
    tried, [failing] = failing_count("amount_bounds", bounds(1, 3))
    assert (tried, failing) == (3, 2)


def put_of(code: str) -> str:
    row = PaymentRule.objects.get(code=code)
    return reverse("admin:payments_paymentrule_put_from", args=[row.pk])


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


STAMP = re.compile(r'name="stamp" value="([0-9a-f]+)"')


@pytest.mark.usefixtures("kept")
def test_a_rule_is_changed_in_the_admin_after_its_preview(people: dict[str, User]) -> None:
    client, url = signed_in(people["operator"]), put_of("amount_bounds")
    form = client.get(url).content.decode()
    assert 'value="100000000"' in form
    given = {"least": "1", "most": "3", "enabled": "on"}
    shown = client.post(url, {**given, "_preview": "Preview"}).content.decode()
    assert "Tried on the 5 newest kept events, no more: 2 would fail it, and 0 the rule" in shown
    [stamp] = STAMP.findall(shown)
    # Somebody else is faster.
    change(people["operator"], parameters=bounds(1, 4))
    moved = client.post(url, {**given, "stamp": stamp, "_put": "Save"}).content.decode()
    assert "the rule has changed since" in moved
    assert PaymentRule.objects.get(code="amount_bounds").version == 2
    [stamp] = STAMP.findall(moved)
    saved = client.post(url, {**given, "stamp": stamp, "_put": "Save"}, follow=True)
    assert saved.status_code == 200
    page = saved.content.decode()
    row = PaymentRule.objects.get(code="amount_bounds")
    assert (row.version, row.parameters) == (3, bounds(1, 3))
    for line in ("1 to 100,000,000 minor units", "1 to 4 minor units", "1 to 3 minor units"):
        assert line in page


@pytest.mark.parametrize(
    ("code", "given", "parameters"),
    [
        ("currency_allowed", {"currencies": " BRL \n\nUSD"}, {"currencies": ["BRL", "USD"]}),
        (
            "required_fields",
            {"fields_besides": ["customer_id"]},
            {"fields": [*REQUIRED, "customer_id"]},
        ),
        ("timestamp_bounds", {"ahead_seconds": "60"}, {"ahead_seconds": 60}),
        ("method_known", {"methods": "pix"}, {"methods": ["pix"]}),
        ("customer_blocklist", {"blocked": "c-1\r\nc 2"}, {"blocked": ["c-1", "c 2"]}),
        ("merchant_blocklist", {"blocked": "m-1"}, {"blocked": ["m-1"]}),
    ],
)
def test_every_rule_has_a_form_of_its_own(
    people: dict[str, User], code: str, given: dict[str, Any], parameters: Any
) -> None:
    client, url = signed_in(people["operator"]), put_of(code)
    assert client.get(url).status_code == 200
    sent = {**given, "enabled": "on"}
    [stamp] = STAMP.findall(client.post(url, {**sent, "_preview": "x"}).content.decode())
    assert client.post(url, {**sent, "stamp": stamp, "_put": "x"}).status_code == 302
    row = PaymentRule.objects.get(code=code)
    assert (row.parameters, row.enabled, row.version) == (parameters, True, 2)


def test_a_form_says_what_is_wrong(people: dict[str, User]) -> None:
    client = signed_in(people["operator"])
    for code, given, words in (
        ("amount_bounds", {"least": "2", "most": "1"}, "The least amount is above the most."),
        ("amount_bounds", {"least": "2", "most": "x"}, "Enter a whole number."),
        ("currency_allowed", {"currencies": "EUR\nEURO"}, "1 to 3 printable characters"),
        ("currency_allowed", {"currencies": "QQQ"}, "QQQ is no currency of ISO 4217"),
        ("merchant_blocklist", {"blocked": "m\nm"}, "m is listed twice"),
    ):
        answer = client.post(put_of(code), {**given, "enabled": "on", "_preview": "x"})
        assert answer.status_code == 422
        assert words in answer.content.decode()


def test_only_who_may_change_rules_sees_the_form(people: dict[str, User]) -> None:
    row = PaymentRule.objects.get(code="amount_bounds")
    page = reverse("admin:payments_paymentrule_change", args=[row.pk])
    assert put_of("amount_bounds") in signed_in(people["operator"]).get(page).content.decode()
    auditor = signed_in(people["auditor"])
    assert put_of("amount_bounds") not in auditor.get(page).content.decode()
    assert auditor.get(put_of("amount_bounds")).status_code == 403
    # Nothing to change.
    assert signed_in(people["operator"]).get(put_of("status_known")).status_code == 404
    new = reverse("admin:payments_paymentrule_put")
    assert signed_in(people["admin"]).get(new).status_code == 404


# --- the docs -------------------------------------------------------------------------------------
def test_the_page_lists_every_rule_with_its_parameters() -> None:
    section = PAGE.read_text().split("## Rules")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    listed = {
        name.strip().strip("`"): set(re.findall(r"`(\w+)`", parameters))
        for name, _, parameters in rows
    }
    assert listed == {code: set(parameters) for code, parameters in DEFAULTS.items()}
    assert list(listed) == list(CHECKS)


def test_wrong_parameters_name_their_field() -> None:
    with pytest.raises(Invalid) as raised:
        parameters_checked("amount_bounds", bounds(2, 1))
    assert raised.value.extra == {"field": "least"}
