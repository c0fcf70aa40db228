from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from apps.approvals import bands, kinds, rules, services
from apps.approvals.kinds import TierRule
from apps.approvals.models import ApprovalRule
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, Invalid
from tests.approvals.world import BANDS, KIND, group, opened, person, rule

pytestmark = pytest.mark.django_db

TIERS = [{"group": "first", "quorum": 1}]
BANDS_LATER: list[dict[str, Any]] = [{"above": "5.00", "tiers": TIERS}]


@pytest.mark.parametrize(
    ("bands", "code"),
    [
        ("nonsense", "bands_invalid"),
        ([3], "bands_invalid"),
        ([{"above": "1.00", "tiers": TIERS, "colour": "red"}], "bands_invalid"),
        ([{"above": str(n), "tiers": TIERS} for n in range(21)], "bands_invalid"),
        ([{"above": 1000, "tiers": TIERS}], "above_invalid"),
        ([{"above": "-1.00", "tiers": TIERS}], "above_invalid"),
        ([{"above": "1.001", "tiers": TIERS}], "above_invalid"),
        ([{"above": "NaN", "tiers": TIERS}], "above_invalid"),
        ([{"above": "1e3", "tiers": TIERS}], "above_invalid"),
        (
            [{"above": "5.00", "tiers": TIERS}, {"above": "5", "tiers": TIERS}],
            "above_not_increasing",
        ),
        ([{"above": "5", "tiers": TIERS}, {"above": None, "tiers": TIERS}], "above_not_increasing"),
        (
            [{"above": None, "tiers": TIERS}, {"above": None, "tiers": TIERS}],
            "above_not_increasing",
        ),
        ([{"above": "5"}], "tiers_invalid"),
        ([{"above": "5", "tiers": []}], "tiers_invalid"),
        ([{"above": "5", "tiers": ["first"]}], "tiers_invalid"),
        ([{"above": "5", "tiers": [{"quorum": 1}]}], "tiers_invalid"),
        ([{"above": "5", "tiers": [{"group": "nobody"}]}], "group_unknown"),
        ([{"above": "5", "tiers": [{"group": "a\x00b"}]}], "group_unknown"),
        ([{"above": "5", "tiers": [{"group": "first", "quorum": 0}]}], "quorum_invalid"),
        ([{"above": "5", "tiers": [{"group": "first", "quorum": 21}]}], "quorum_invalid"),
        ([{"above": "5", "tiers": [{"group": "first", "quorum": True}]}], "quorum_invalid"),
        ([{"above": "5", "tiers": TIERS, "reason_required": 1}], "reason_required_invalid"),
        ([{"above": "5", "tiers": TIERS, "expires_hours": 0}], "expires_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "expires_hours": "1"}], "expires_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "due_hours": 0}], "due_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "due_hours": 24 * 366 + 1}], "due_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "due_hours": float("nan")}], "due_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "due_hours": True}], "due_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "reminder_hours": 8}], "reminder_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "reminder_hours": [8, 8]}], "reminder_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "reminder_hours": [8, 4]}], "reminder_hours_invalid"),
        ([{"above": "5", "tiers": TIERS, "reminder_hours": ["8"]}], "reminder_hours_invalid"),
        (
            [{"above": "5", "tiers": TIERS, "reminder_hours": list(range(1, 12))}],
            "reminder_hours_invalid",
        ),
        ([{"above": "5", "tiers": TIERS, "escalation": []}], "escalation_invalid"),
        ([{"above": "5", "tiers": TIERS, "escalation": {"hours": 8}}], "escalation_invalid"),
        (
            [{"above": "5", "tiers": TIERS, "escalation": {"group": "first"}}],
            "escalation_invalid",
        ),
        (
            [{"above": "5", "tiers": TIERS, "escalation": {"hours": -1, "group": "first"}}],
            "escalation_invalid",
        ),
        (
            [{"above": "5", "tiers": TIERS, "escalation": {"hours": 8, "senior": "yes"}}],
            "escalation_invalid",
        ),
        (
            [{"above": "5", "tiers": TIERS, "escalation": {"hours": 8, "senior": True, "to": 1}}],
            "escalation_invalid",
        ),
        (
            [{"above": "5", "tiers": TIERS, "escalation": {"hours": 8, "group": "nobody"}}],
            "group_unknown",
        ),
    ],
)
def test_bands_that_cannot_be_a_rule_are_refused_with_a_code(bands, code):
    group("first")
    with pytest.raises(Invalid) as refused:
        services.rule_validate(bands, currency="NGN")
    assert refused.value.code == code


def test_a_band_may_carry_a_whole_clock():
    group("first")
    clock = {
        "due_hours": 16,
        "reminder_hours": [4, 8.5],
        "escalation": {"hours": 24, "group": "first", "senior": True},
        "expires_hours": 120,
    }
    rule([{"above": "0", "tiers": TIERS, **clock}])
    found = rules.requirement(kind=KIND, scope="", amount=Decimal(1), currency="NGN")
    assert found.band == bands.Band(
        above=Decimal(0),
        tiers=(TierRule("first", 1),),
        expires_hours=120,
        due_hours=16,
        reminder_hours=(4, 8.5),
        escalation=bands.Escalation(hours=24, group="first", senior=True),
    )
    assert found.raw == {"above": "0", "tiers": TIERS, **clock}
    assert opened(None, amount="1.00").band == found.raw


def test_a_rule_remembers_the_person_who_put_it():
    author = person("author")
    group("first")
    put = services.rule_put(kind=KIND, scope="", currency="", bands=[], by=author)
    assert put.put_by == author
    assert AuditEntry.objects.latest("id").actor_id == author.audit_id


def test_a_rule_never_frees_its_own_author():
    author, other = person("author"), person("other")
    group("first")
    services.rule_put(kind=KIND, scope="", currency="NGN", bands=[], by=author)
    asked: dict[str, Any] = {"kind": KIND, "scope": "", "amount": Decimal(1), "currency": "NGN"}
    assert rules.requirement(**asked, requested_by=other).band is None
    with pytest.raises(Conflict) as refused:
        rules.requirement(**asked, requested_by=author)
    assert refused.value.code == "own_rule"
    assert services.signature_needed(**asked, requested_by=author)
    with pytest.raises(Conflict):
        opened(author)
    services.rule_put(kind=KIND, scope="", currency="NGN", bands=BANDS_LATER, by=other)
    assert rules.requirement(**asked, requested_by=author).band is None


def test_the_default_tiers_stand_in_for_a_rule_that_would_free_its_author():
    author = person("author")
    group("second")
    kinds.register(
        replace(kinds.get(KIND), name="test.defaulted", default_tiers=(TierRule("second"),))
    )
    services.rule_put(kind="test.defaulted", scope="", currency="", bands=[], by=author)
    request = opened(author, kind="test.defaulted")
    assert request.rule is None
    assert request.band == {"above": None, "tiers": [{"group": "second", "quorum": 1}]}
    assert request.tier_group == "second"


@pytest.mark.parametrize("currency", ["", "ngn", "NAIRA", "₦₦₦"])
def test_bands_by_amount_need_a_currency(currency):
    group("first")
    with pytest.raises(Invalid) as refused:
        services.rule_validate([{"above": "5", "tiers": TIERS}], currency=currency)
    assert refused.value.code == "currency_invalid"


def test_a_band_for_any_amount_may_come_first_and_needs_no_currency():
    group("first")
    services.rule_validate([{"above": None, "tiers": TIERS}])
    services.rule_validate(
        [{"above": None, "tiers": TIERS}, {"above": "0", "tiers": TIERS}], currency="NGN"
    )


@pytest.mark.parametrize(
    ("amount", "tiers"),
    [
        ("0.00", None),
        ("1000.00", None),
        ("1000.01", (TierRule("first", 1),)),
        ("50000.00", (TierRule("first", 1),)),
        ("50000.01", (TierRule("first", 2), TierRule("second", 1))),
    ],
)
def test_the_band_with_the_greatest_limit_below_the_amount_applies(amount, tiers):
    rule()
    found = rules.requirement(kind=KIND, scope="", amount=Decimal(amount), currency="NGN")
    assert (found.band and found.band.tiers) == tiers
    needed = services.signature_needed(kind=KIND, scope="", amount=Decimal(amount), currency="NGN")
    assert needed is (tiers is not None)


def test_the_rule_of_a_scope_goes_before_the_general_one():
    rule()
    rule([{"above": None, "tiers": [{"group": "second"}]}], scope="relief")
    general = rules.requirement(kind=KIND, scope="other", amount=Decimal(1), currency="NGN")
    special = rules.requirement(kind=KIND, scope="relief", amount=Decimal(1), currency="NGN")
    assert general.band is None
    assert special.band is not None and special.band.tiers == (TierRule("second", 1),)


def test_without_a_rule_a_signature_is_needed_and_nothing_can_be_opened():
    assert services.signature_needed(kind=KIND, scope="", amount=Decimal(1), currency="NGN")
    with pytest.raises(Conflict) as refused:
        rules.requirement(kind=KIND, scope="", amount=Decimal(1), currency="NGN")
    assert refused.value.code == "no_rule"


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [(Decimal(1), "BRL", "currency_mismatch"), (None, "NGN", "amount_missing")],
)
def test_an_amount_that_the_rule_cannot_judge_is_refused_not_waved_through(amount, currency, code):
    rule()
    with pytest.raises(Invalid) as refused:
        rules.requirement(kind=KIND, scope="", amount=amount, currency=currency)
    assert refused.value.code == code


def test_a_change_is_a_new_version_and_the_same_again_is_none():
    rule()
    rule()
    assert ApprovalRule.objects.count() == 1
    rule([{"above": None, "tiers": TIERS}])
    assert list(ApprovalRule.objects.order_by("version").values_list("version", "active")) == [
        (1, False),
        (2, True),
    ]
    assert AuditEntry.objects.filter(action="approval.rule_put").count() == 2


def test_what_a_version_says_never_changes():
    rule()
    for change in ({"bands": []}, {"currency": "BRL"}, {"version": 9}, {"scope": "x"}):
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            ApprovalRule.objects.update(**change)
    assert ApprovalRule.objects.get().bands == BANDS
