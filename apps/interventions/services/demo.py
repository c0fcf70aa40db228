"""The demo's policies, budgets and requests. Idempotent by codes, ledger keys and request keys.

`demo-relief` and `demo-2026` are relied on by outside checks: their figures stay as they are, and
nothing here spends from that budget by itself.
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
from apps.interventions import services
from apps.interventions.contracts import KIND

REVIEWER = {"group": "reviewer", "quorum": 1}
SENIOR = {"group": "senior reviewer", "quorum": 1}
#: In working hours: two days for one signature, three for two, and then somebody else is asked.
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


class PolicySeed(NamedTuple):
    """A policy and the amounts above which one, and two, people sign; `terms`: its other limits."""

    code: str
    name: str
    currency: str
    reversible: bool
    max_amount: str | None
    one_above: str | None
    two_above: str
    terms: dict[str, Any] = {}


class BudgetSeed(NamedTuple):
    code: str
    name: str
    currency: str
    total: str


class PeriodSeed(NamedTuple):
    """A budget for each year of a series, counted from the one in which the demo is made."""

    series: str
    name: str
    currency: str
    totals: tuple[str, ...]


class RequestSeed(NamedTuple):
    policy: str
    budget: str
    amount: str
    target: str
    justification: str
    hours_ago: int
    region: str = ""


POLICIES = (
    PolicySeed("demo-relief", "Demo relief", "NGN", True, None, "10000.00", "500000.00"),
    PolicySeed(
        "flood-relief", "Flood relief to households", "NGN", True, "750000.00", "25000.00",
        "250000.00",
    ),
    PolicySeed(
        "school-grants", "Grants to schools", "NGN", False, "2000000.00", None, "500000.00"
    ),
    PolicySeed(
        "auxilio-chuvas", "Auxílio às vítimas das chuvas", "BRL", True, "50000.00", "2500.00",
        "20000.00",
    ),
    PolicySeed(
        "dry-season-inputs", "Dry-season inputs for farmers", "NGN", True, "150000.00", "20000.00",
        "100000.00",
        {
            "min_amount": Decimal("5000.00"),
            "target_limit": Decimal("200000.00"),
            "target_days": 90,
            "valid_from": date(2026, 1, 1),
            "regions": ["NG-BE", "NG-KO", "NG-NI"],
        },
    ),
)  # fmt: skip
BUDGETS = (
    BudgetSeed("demo-2026", "Demo budget 2026", "NGN", "10000000.00"),
    BudgetSeed("relief-north-2026", "Relief, northern states, 2026", "NGN", "4500000.00"),
    BudgetSeed("education-2026", "Education 2026", "NGN", "12000000.00"),
    BudgetSeed("chuvas-2026", "Chuvas 2026", "BRL", "600000.00"),
    # Outside checks take all of it, so nothing of the demo does.
    BudgetSeed("demo-small", "Demo small budget", "NGN", "1200000.00"),
)
PERIODS = PeriodSeed("outreach", "Community outreach", "NGN", ("3000000.00", "3200000.00"))
#: Small ones need no signature and are history soon; the others wait for one.
REQUESTS = (
    RequestSeed(
        "flood-relief", "relief-north-2026", "18500.00", "Aliyu household, Lokoja",
        "Roof lost on the night of the flood, assessed by the ward office.", 70,
    ),
    RequestSeed(
        "flood-relief", "relief-north-2026", "22000.00", "Hauwa Bello, Makurdi",
        "Two rooms under water, family of six in the school building.", 66,
    ),
    RequestSeed(
        "flood-relief", "relief-north-2026", "9750.50", "Musa Danladi, Yola",
        "Tools of a carpenter lost, receipts attached to the file.", 52,
    ),
    RequestSeed(
        "auxilio-chuvas", "chuvas-2026", "1800.00", "Família Ferreira, Petrópolis",
        "Aluguel social do primeiro mês, laudo da Defesa Civil.", 48,
    ),
    RequestSeed(
        "auxilio-chuvas", "chuvas-2026", "2400.00", "Maria das Dores, Nova Friburgo",
        "Reposição de móveis básicos após o deslizamento.", 30,
    ),
    RequestSeed(
        "flood-relief", "relief-north-2026", "84000.00", "Kogi Women Farmers Cooperative",
        "Seed and fertiliser for 120 members before the second rains.", 27,
    ),
    RequestSeed(
        "flood-relief", "relief-north-2026", "310000.00", "Benue Primary Health Centre",
        "Generator and cold chain for vaccines, out of order since the flood.", 22,
    ),
    RequestSeed(
        "school-grants", "education-2026", "240000.00", "Government Girls School, Zaria",
        "Forty desks and the repair of two classrooms.", 20,
    ),
    RequestSeed(
        "auxilio-chuvas", "chuvas-2026", "14750.00", "Associação de Moradores do Vale",
        "Contenção de encosta, orçamento de três fornecedores.", 9,
    ),
    RequestSeed(
        "demo-relief", "demo-2026", "48250.00", "Okrika Fishing Cooperative",
        "Nets and one engine, so that twelve boats go out again.", 5,
    ),
    RequestSeed(
        "demo-relief", "demo-2026", "725000.00", "Rivers State Food Bank",
        "Staple food for 900 households for four weeks.", 2,
    ),
    RequestSeed(
        "dry-season-inputs", "relief-north-2026", "14500.00", "Adaba family farm, Lokoja",
        "Seed onions and a treadle pump for one hectare by the river.", 44, "NG-KO",
    ),
    RequestSeed(
        "dry-season-inputs", "relief-north-2026", "118000.00", "Gboko Irrigation Association",
        "Pipes for the second canal; the members dig it themselves.", 18, "NG-BE",
    ),
)  # fmt: skip


def interventions_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Make what is not there yet; a line of progress for each part."""
    for policy in POLICIES:
        _policy(policy)
    yield f"{len(POLICIES)} policies with their rules"
    for budget in BUDGETS:
        _budget(budget)
    for number, total in enumerate(PERIODS.totals):
        year = timezone.now().year + number
        _budget(
            BudgetSeed(
                f"{PERIODS.series}-{year}", f"{PERIODS.name} {year}", PERIODS.currency, total
            ),
            series=PERIODS.series,
            starts_on=date(year, 1, 1),
            ends_on=date(year, 12, 31),
        )
    yield f"{len(BUDGETS)} budgets, {len(PERIODS.totals)} periods of another"
    new = sum(_request(number, seed, people) for number, seed in enumerate(REQUESTS, start=1))
    yield f"{len(REQUESTS)} requests, {new} of them new"


def transfer_seed(people: dict[str, User], now: datetime) -> None:
    """A transfer that waits for its signature."""
    services.transfer_request(
        source="education-2026",
        destination="relief-north-2026",
        amount=Decimal("750000.00"),
        reason="Two grants were not called on; the north pays for the second flood.",
        by=people["requester"],
        via="command",
        idempotency_key="demo-transfer-1",
        as_of=now - timedelta(hours=4),
    )


def _budget(seed: BudgetSeed, **period: Any) -> None:
    services.budget_open(
        code=seed.code,
        name=seed.name,
        currency=seed.currency,
        by=SEEDER,
        via="command",
        **period,
    )
    services.budget_allocate(
        code=seed.code,
        amount=Decimal(seed.total),
        key=f"demo:{seed.code}",
        by=SEEDER,
        via="command",
    )


def _policy(seed: PolicySeed) -> None:
    currency = seed.currency
    services.policy_put(
        code=seed.code,
        name=seed.name,
        currency=currency,
        reversible=seed.reversible,
        max_amount=Decimal(seed.max_amount) if seed.max_amount else None,
        **seed.terms,
        by=SEEDER,
        via="command",
    )
    bands: list[dict[str, Any]] = [
        {
            "above": above,
            "tiers": tiers,
            "reason_required": True,
            "expires_hours": 24 * 14,
            **clock,
        }
        for above, tiers, clock in (
            (seed.one_above, [REVIEWER], ONE_CLOCK),
            (seed.two_above, [REVIEWER, SENIOR], TWO_CLOCK),
        )
    ]
    with transaction.atomic(durable=True):
        rule_put(kind=KIND, scope=seed.code, currency=currency, bands=bands, by=SEEDER)


def _request(number: int, seed: RequestSeed, people: dict[str, User]) -> bool:
    currency = next(p.currency for p in POLICIES if p.code == seed.policy)
    _, created = services.intervention_request(
        policy=seed.policy,
        budget=seed.budget,
        amount=Decimal(seed.amount),
        currency=currency,
        target=seed.target,
        justification=seed.justification,
        region=seed.region,
        by=people["requester"],
        via="command",
        idempotency_key=f"demo-{number}",
        as_of=timezone.now() - timedelta(hours=seed.hours_ago),
    )
    return created
