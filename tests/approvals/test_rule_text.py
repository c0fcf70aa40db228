"""Rules in words, and what the editor shows before a version is saved."""

from decimal import Decimal
from typing import Any

import pytest

from apps.approvals.models import ApprovalRule
from apps.approvals.rule_preview import Preview, rule_preview, version_before
from apps.approvals.rule_text import band_in_words, rule_in_words
from tests.approvals.world import KIND, group, person, rule

SPACE = "\u00a0"
CLOCK: dict[str, Any] = {
    "due_hours": 16,
    "reminder_hours": [8],
    "escalation": {"hours": 24, "group": "senior reviewer"},
    "expires_hours": 120,
}


def test_a_band_is_said_in_one_line() -> None:
    tiers = [{"group": "reviewer", "quorum": 2}, {"group": "senior reviewer"}]
    assert band_in_words({"above": "50000.00", "tiers": tiers, **CLOCK}, "NGN") == (
        f"above NGN{SPACE}50,000.00: two signatures by reviewer, then one by senior reviewer; "
        "due within 16 working hours; reminder after 8 working hours; "
        "escalates after 24 working hours to senior reviewer; expires after 5 days"
    )


@pytest.mark.parametrize(
    ("band", "words"),
    [
        ({}, ""),
        (
            {"above": None, "tiers": [{"group": "a", "quorum": 12}]},
            "any amount: 12 signatures by a",
        ),
        (
            {"tiers": [{"group": "a"}], "reason_required": False, "due_hours": 1},
            "any amount: one signature by a; a reason is optional; due within 1 working hour",
        ),
        (
            {"tiers": [{"group": "a"}], "reminder_hours": [1, 4.5, 8]},
            "any amount: one signature by a; reminders after 1, 4.5 and 8 working hours",
        ),
        (
            {"tiers": [{"group": "a"}], "escalation": {"hours": 2, "group": "b", "senior": True}},
            "any amount: one signature by a; escalates after 2 working hours to the senior of who "
            "holds it, else to b",
        ),
    ],
)
def test_what_a_band_leaves_out_is_not_said(band: dict[str, Any], words: str) -> None:
    assert band_in_words(band, "NGN") == words


def test_a_rule_is_said_from_the_gap_upwards() -> None:
    tiers = [{"group": "a"}]
    bands = [{"above": "10000", "tiers": tiers}, {"above": "50000", "tiers": tiers}]
    assert rule_in_words(ApprovalRule(currency="NGN", bands=bands)) == [
        f"up to NGN{SPACE}10,000.00: no signature",
        f"above NGN{SPACE}10,000.00, up to NGN{SPACE}50,000.00: one signature by a",
        f"above NGN{SPACE}50,000.00: one signature by a",
    ]
    assert rule_in_words(ApprovalRule(bands=[])) == ["any amount: no signature"]


# --- the preview ---------------------------------------------------------------------------------
def _preview(bands: list[dict[str, Any]], **changes: Any) -> Preview:
    options: dict[str, Any] = {"before": None, "amount": None, **changes}
    return rule_preview(kind=KIND, scope="", currency="NGN", bands=bands, **options)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("people", "severe", "warned"), [(1, True, True), (2, False, True), (3, False, False)]
)
def test_a_quorum_that_cannot_be_met_is_warned_about(
    people: int, severe: bool, warned: bool
) -> None:
    group("first")
    for number in range(people):
        person(f"p{number}", "first")
    person("gone", "first", is_active=False)
    (tier,) = _preview([{"above": None, "tiers": [{"group": "first", "quorum": 2}]}]).bands[0].tiers
    assert (tier.people, tier.severe, bool(tier.warning)) == (people, severe, warned)


@pytest.mark.django_db
def test_people_who_may_not_decide_are_not_counted() -> None:
    person("p", "first")
    group("first").permissions.clear()
    (tier,) = _preview([{"above": None, "tiers": [{"group": "first"}]}]).bands[0].tiers
    assert (tier.people, tier.severe) == (0, True)


@pytest.mark.django_db
def test_tiers_that_need_the_same_people_twice_are_warned_about() -> None:
    for name in ("a", "b"):
        person(name, "first", "second")
    tiers = [{"group": "first", "quorum": 2}, {"group": "second", "quorum": 1}]
    (band,) = _preview([{"above": None, "tiers": tiers}]).bands
    assert "need 3 different people" in band.warning
    person("c", "second")
    (band,) = _preview([{"above": None, "tiers": tiers}]).bands
    assert band.warning == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("amount", "matched"), [("1000.00", 0), ("1000.01", 1), ("50000.01", 2), (None, None)]
)
def test_an_amount_is_tried(amount: str | None, matched: int | None) -> None:
    rule()
    bands = ApprovalRule.objects.get().bands
    shown = _preview(bands, amount=None if amount is None else Decimal(amount))
    hits = [number for number, band in enumerate(shown.bands) if band.matches]
    assert hits == ([] if matched is None else [matched])
    assert bool(shown.trial) is (matched is not None)


@pytest.mark.django_db
def test_what_changes_against_the_version_before_is_said_line_by_line() -> None:
    rule()
    first = ApprovalRule.objects.get(version=1)
    later = [first.bands[0], {**first.bands[1], "due_hours": 16}]
    shown = _preview(later, before=first)
    assert [change.kind for change in shown.changes] == ["", "", "was", "is"]
    assert "due within 16 working hours" in shown.changes[-1].words
    assert not _preview(first.bands, before=first).changed
    rule(later)
    assert version_before(ApprovalRule.objects.get(version=2)) == first
    assert version_before(first) is None


@pytest.mark.django_db
def test_the_stamp_names_exactly_what_was_shown() -> None:
    rule()
    first = ApprovalRule.objects.get(version=1)
    stamp = _preview(first.bands).stamp
    assert stamp == _preview(first.bands, amount=Decimal(5)).stamp
    assert stamp != _preview(first.bands[:1]).stamp
    assert stamp != _preview(first.bands, before=first).stamp
