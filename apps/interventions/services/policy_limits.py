"""Checks a request against its policy: amount, days, region, and the limit of one target."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Exists, OuterRef, Sum

from apps.common.errors import Conflict, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.common.money import exact, shown
from apps.common.windows import site_day
from apps.interventions.models import BudgetEntry, Intervention, Policy


def check_terms(policy: Policy, *, amount: Decimal, region: str, as_of: datetime) -> None:
    """Check everything that the policy says about a single request.

    Raises what `check_limit`, `check_days` and `check_region` raise. The target's limit is checked
    separately (`check_target`), because it depends on other payments.
    """
    check_limit(policy, amount)
    check_days(policy, as_of=as_of)
    check_region(policy, region)


def check_limit(policy: Policy, amount: Decimal) -> None:
    """Raise Invalid `amount_above_limit`, `amount_below_limit` with the limit as extra."""
    if policy.max_amount is not None and amount > policy.max_amount:
        raise Invalid(
            filled(
                _("The policy allows at most {shown}."),
                shown=shown(policy.max_amount, policy.currency),
            ),
            code="amount_above_limit",
            limit=exact(policy.max_amount, policy.currency),
        )
    if policy.min_amount is not None and amount < policy.min_amount:
        raise Invalid(
            filled(
                _("The policy allows no less than {shown}."),
                shown=shown(policy.min_amount, policy.currency),
            ),
            code="amount_below_limit",
            limit=exact(policy.min_amount, policy.currency),
        )


def check_days(policy: Policy, *, as_of: datetime) -> None:
    """Raise Conflict `policy_not_yet_valid`, `policy_expired` with the first or last day as
    extra."""
    today = site_day(as_of)
    if policy.valid_from is not None and today < policy.valid_from:
        raise Conflict(
            filled(_("The policy is valid from {valid_from} on."), valid_from=policy.valid_from),
            code="policy_not_yet_valid",
            day=policy.valid_from.isoformat(),
        )
    if policy.valid_until is not None and today > policy.valid_until:
        raise Conflict(
            filled(_("The policy was valid until {valid_until}."), valid_until=policy.valid_until),
            code="policy_expired",
            day=policy.valid_until.isoformat(),
        )


def check_region(policy: Policy, region: str) -> None:
    """Raise Invalid `region_required`, `region_not_covered` with the regions as extra.

    A country covers its subdivisions: NG covers NG-KO, not the other way round.
    """
    if not policy.regions:
        return
    if not region:
        raise Invalid(
            filled(_("The policy wants a region: {listed}."), listed=_listed(policy.regions)),
            code="region_required",
            regions=policy.regions,
        )
    country, _unused, _unused = region.partition("-")
    if not {region, country} & set(policy.regions):
        raise Invalid(
            filled(
                _("The policy does not cover {region}, only {listed}."),
                region=region,
                listed=_listed(policy.regions),
            ),
            code="region_not_covered",
            regions=policy.regions,
        )


# --- the limit of one target ----------------------------------------------------------------------
def check_target(policy: Policy, *, target: str, amount: Decimal, as_of: datetime) -> None:
    """Check that the target's limit leaves room for `amount` now. Takes no lock: `target_hold`
    decides.

    Raises Conflict `target_limit_exceeded` with the limit, its days and what is left as extras.
    """
    if policy.target_limit is None or policy.target_days is None:
        return
    since = as_of - timedelta(days=policy.target_days)
    left = policy.target_limit - _taken(policy.code, target, since=since)
    if amount > left:
        days = (
            _("day")
            if policy.target_days == 1
            else filled(_("{number} days"), number=policy.target_days)
        )
        raise Conflict(
            filled(
                _("The policy allows one target {shown} within {days}; {shown2} of it is left."),
                shown=shown(policy.target_limit, policy.currency),
                days=days,
                shown2=shown(max(left, Decimal(0)), policy.currency),
            ),
            code="target_limit_exceeded",
            limit=exact(policy.target_limit, policy.currency),
            days=policy.target_days,
            available=exact(max(left, Decimal(0)), policy.currency),
        )


def target_hold(intervention: Intervention, *, as_of: datetime) -> None:
    """Check the target's limit before the reservation's ledger line is written, and keep the room
    until the end of this transaction.

    Joins the transaction that holds the row's lock and has not yet touched the budget's row. Only
    reservations under policies with such a limit, and for the same target, wait for each other.
    Raises as `check_target`.
    """
    policy = intervention.policy
    if policy.target_limit is None:
        return
    transaction_lock(f"target:{policy.code}:{intervention.target}")
    check_target(policy, target=intervention.target, amount=intervention.amount, as_of=as_of)


def _taken(code: str, target: str, *, since: datetime) -> Decimal:
    """Return the sum reserved or spent for the target, not released, under any version of the
    policy."""
    released = BudgetEntry.objects.filter(
        intervention=OuterRef("intervention"), kind=BudgetEntry.Kind.RELEASE
    )
    found = BudgetEntry.objects.filter(
        ~Exists(released),
        intervention__target=target,
        intervention__policy__code=code,
        kind=BudgetEntry.Kind.RESERVE,
        at__gt=since,
    ).aggregate(total=Sum("amount"))
    return found["total"] or Decimal(0)


def _listed(regions: list[str], most: int = 10) -> str:
    more = len(regions) - most
    named = ", ".join(regions[:most])
    return filled(_("{named} and {more} more"), named=named, more=more) if more > 0 else named
