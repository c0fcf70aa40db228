"""The demo's policies, budgets and requests. Idempotent by codes, ledger keys and request keys.

The data are tables, `apps/interventions/demo/*.csv`. Outside checks rely on the figures of
`demo-relief` and `demo-2026`, so these do not change, and nothing here spends from that budget; nor
from `demo-small`, all of which outside checks use.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.approvals.services import rule_put
from apps.interventions.contracts import KIND
from apps.interventions.models import Intervention
from apps.interventions.services import budgets, policies, transfers
from apps.interventions.services.requests import intervention_request
from apps.web.demo import table

REVIEWER = {"group": "reviewer", "quorum": 1}
SENIOR = {"group": "senior reviewer", "quorum": 1}
#: In working hours: two days for one signature, three for two; some hours later the request is
#: escalated.
ONE_CLOCK: dict[str, Any] = {
    "due_hours": 16,
    "reminder_hours": [8, 14],
    "escalation": {"hours": 20, "group": "senior reviewer", "senior": True},
}
TWO_CLOCK: dict[str, Any] = {
    "due_hours": 24,
    "reminder_hours": [8, 20],
    "escalation": {"hours": 28, "group": "senior reviewer"},
}
#: A series with a budget for each year, beginning with the year in which the demo is created.
PERIODS = ("outreach", "Community outreach", "NGN")
PERIOD_TOTALS = ("3000000.00", "3200000.00")


class Asked(NamedTuple):
    """A request and its decision: by whom (names), and after how many hours; without a name it
    still waits.

    `part`: the part of the demo that it belongs to.
    """

    part: str
    policy: str
    budget: str
    amount: str
    target: str
    justification: str
    region: str
    hours_ago: str
    verdict: str
    by: str
    reason: str
    after_hours: str

    @property
    def key(self) -> str:
        """Return the idempotency key."""
        return f"demo-{self.policy}-{self.target}"[:120]


#: Policies, and the amounts above which one or two people sign.
POLICIES: list[dict[str, Any]] = table(
    "interventions",
    "policies",
    dict,
    **dict.fromkeys(("max_amount", "min_amount", "target_limit"), Decimal),
    reversible=lambda text: text == "yes",
    target_days=int,
    valid_from=date.fromisoformat,
)
BUDGETS: list[dict[str, Any]] = table("interventions", "budgets", dict, total=Decimal)
REQUESTS = table("interventions", "requests", Asked)


def requests_of(part: str) -> list[Asked]:
    """Return the requests of one part of the demo. Those of `new` are only requested: small ones
    need no signature and end soon, the others wait for one."""
    return [asked for asked in REQUESTS if asked.part == part]


def interventions_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress for each part."""
    for policy in POLICIES:
        _policy(**policy)
    yield f"{len(POLICIES)} policies with their rules"
    for budget in BUDGETS:
        _budget(**budget)
    series, name, currency = PERIODS
    for year, total in enumerate(PERIOD_TOTALS, start=timezone.now().year):
        _budget(
            code=f"{series}-{year}",
            name=f"{name} {year}",
            currency=currency,
            total=Decimal(total),
            series=series,
            starts_on=date(year, 1, 1),
            ends_on=date(year, 12, 31),
        )
    yield f"{len(BUDGETS)} budgets, {len(PERIOD_TOTALS)} periods of another"
    requests = requests_of("new")
    new = sum(request_seed(asked, people, timezone.now())[1] for asked in requests)
    yield f"{len(requests)} requests, {new} of them new"


def request_seed(asked: Asked, people: dict[str, User], now: datetime) -> tuple[Intervention, bool]:
    """Return the intervention, requested at its time, and whether it is new."""
    return intervention_request(
        policy=asked.policy,
        budget=asked.budget,
        amount=Decimal(asked.amount),
        currency=next(one["currency"] for one in POLICIES if one["code"] == asked.policy),
        target=asked.target,
        justification=asked.justification,
        region=asked.region,
        by=people["requester"],
        via="command",
        idempotency_key=asked.key,
        as_of=now - timedelta(hours=float(asked.hours_ago)),
    )


def transfer_seed(people: dict[str, User], now: datetime) -> None:
    """Create a transfer that waits for its signature."""
    transfers.transfer_request(
        source="education-2026",
        destination="relief-north-2026",
        amount=Decimal("750000.00"),
        reason="Two grants were not called on; the north pays for the second flood.",
        by=people["requester"],
        via="command",
        idempotency_key="demo-transfer-1",
        as_of=now - timedelta(hours=4),
    )


def _budget(code: str, total: Decimal, **terms: Any) -> None:
    said: dict[str, Any] = {"code": code, "by": SEEDER, "via": "command"}
    budgets.budget_open(**said, **terms)
    budgets.budget_allocate(**said, amount=total, key=f"demo:{code}")


def _policy(one_above: str, two_above: str, regions: str, **terms: Any) -> None:
    policies.policy_put(**terms, regions=regions.split(), by=SEEDER, via="command")
    always = {"reason_required": True, "expires_hours": 24 * 14}
    bands: list[dict[str, Any]] = [
        {"above": one_above or None, "tiers": [REVIEWER], **always, **ONE_CLOCK},
        {"above": two_above, "tiers": [REVIEWER, SENIOR], **always, **TWO_CLOCK},
    ]
    with transaction.atomic(durable=True):
        rule_put(kind=KIND, scope=terms["code"], currency=terms["currency"], bands=bands, by=SEEDER)
