"""A policy in words: its terms, who signs under it, and what each version changed. Reads only."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext, ngettext

from apps.approvals import kinds
from apps.approvals.rule_text import bands_in_words
from apps.approvals.selectors import active_rules
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.common.versions import Changed, with_changes
from apps.common.windows import Period
from apps.interventions.contracts import KIND
from apps.interventions.models import Policy

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRule

#: Field → its label, in the order of display.
TERMS = {
    "name": _("name"),
    "reversible": _("can be undone"),
    "min_amount": _("least amount"),
    "max_amount": _("most of one request"),
    "target_limit": _("most for one target"),
    "target_days": _("within days"),
    "valid_from": _("valid from"),
    "valid_until": _("valid until"),
    "regions": _("regions"),
}


def terms_of(policy: Policy) -> list[tuple[str, str]]:
    """Return the terms as pairs of label and words, without the signatures."""
    return [
        (gettext("Amount"), amounts_in_words(policy)),
        (gettext("One target"), target_in_words(policy)),
        (gettext("Valid"), days_in_words(policy)),
        (gettext("Regions"), regions_in_words(policy)),
        (gettext("Undoing it"), undoing_in_words(policy)),
    ]


def days_in_words(policy: Policy) -> str:
    """Return the days on which it is valid."""
    return Period(policy.valid_from, policy.valid_until).words or gettext("always")


def regions_in_words(policy: Policy) -> str:
    """Return where it may be paid."""
    return ", ".join(policy.regions) or gettext("everywhere")


def undoing_in_words(policy: Policy) -> str:
    """Return whether a payment can be taken back."""
    if policy.reversible:
        return gettext("possible")
    return gettext("not possible: the money is gone")


def amounts_in_words(policy: Policy) -> str:
    """Return `NGN 100.00 to NGN 5,000.00`, only the lower or the upper limit, or "any amount"."""
    least, most = (_money(policy, a) for a in (policy.min_amount, policy.max_amount))
    if least and most:
        return gettext("{least} to {most}").format(least=least, most=most)
    return (
        gettext("from {least}").format(least=least)
        if least
        else gettext("up to {most}").format(most=most)
        if most
        else gettext("any amount")
    )


def target_in_words(policy: Policy) -> str:
    """Return `up to NGN 5,000.00 within 30 days`, or "no limit"."""
    if policy.target_limit is None:
        return gettext("no limit")
    text = ngettext(
        "up to {money} within a day", "up to {money} within {days} days", policy.target_days or 1
    )
    return text.format(money=_money(policy, policy.target_limit), days=policy.target_days)


def signatures_of(policies: Iterable[Policy], *, brief: bool = False) -> dict[str, list[str]]:
    """Return, by code, what each amount needs under the current rule, from the lowest amount up;
    `brief`: who signs, without clocks.

    Takes one query for all policies: a policy's own rule takes precedence over the kind's general
    one, and without any rule the kind's default tiers apply.
    """
    codes = {policy.code for policy in policies}
    rules = active_rules(KIND, {*codes, ""})
    tiers = [{"group": tier.group, "quorum": tier.quorum} for tier in kinds.get(KIND).default_tiers]
    default = bands_in_words([{"above": None, "tiers": tiers}], "")
    found = {}
    for code in codes:
        rule = rules.get(code) or rules.get("")
        found[code] = _words(rule, brief=brief) if rule else default
    return found


def _words(rule: "ApprovalRule", *, brief: bool) -> list[str]:
    bands = rule.bands
    if brief:
        bands = [{name: band.get(name) for name in ("above", "tiers")} for band in bands]
    return bands_in_words(bands, rule.currency)


def versions_of(policies: list[Policy]) -> list[tuple[Policy, list[Changed]]]:
    """Return the versions of one code, newest first, each with the terms that it changed."""
    return with_changes(policies, "code", names=TERMS, shown=_shown)


def _shown(policy: Policy, field: str) -> Any:
    value = getattr(policy, field)
    return _money(policy, value) if isinstance(value, Decimal) else value


def _money(policy: Policy, amount: Decimal | None) -> str:
    return "" if amount is None else shown(amount, policy.currency, blank=NO_BREAK)
