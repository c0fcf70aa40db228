from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from apps.approvals import rules, services
from apps.approvals.kinds import TierRule
from apps.approvals.models import ApprovalRule
from apps.audit.models import AuditEntry
from apps.errors import Conflict, Invalid
from tests.approvals.world import BANDS, KIND, group, rule

pytestmark = pytest.mark.django_db

TIERS = [{"group": "first", "quorum": 1}]


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
    ],
)
def test_bands_that_cannot_be_a_rule_are_refused_with_a_code(bands, code):
    group("first")
    with pytest.raises(Invalid) as refused:
        services.rule_validate(bands, currency="NGN")
    assert refused.value.code == code


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
