"""The demo's executions: weeks of runs that have ended, one that failed, one that somebody
cancelled, and one that waits for a signature. Idempotent by keys.

All go through the services, with the time of the story as `as_of`, and do what their workflows
would: the demo is complete before a worker is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.demo import decided_in_turn
from apps.approvals.selectors import requests_about
from apps.automations.contracts import EXECUTION
from apps.automations.models import Execution
from apps.automations.services.advancing import execution_advance
from apps.automations.services.requesting import execution_request
from apps.automations.services.stopping import execution_cancel

VIA, KEY = "demo", "demo-execution-{number}"
#: The signature comes after so long; the delay of a welcome is over after so long.
SIGNED_AFTER, WAITED = timedelta(hours=3), timedelta(seconds=61)
WELCOME, RELEASE = "welcome-customer", "release-order"


@dataclass(frozen=True)
class Run:
    """An execution. `verdict`: of the signature that it asks for; without one it waits for it.
    `cancelled`: why somebody did that, while it waited."""

    hours_ago: int
    automation: str
    params: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    reason: str = ""
    cancelled: str = ""


def _welcome(hours_ago: int, name: str, country: str, **more: Any) -> Run:
    return Run(hours_ago, WELCOME, {"name": name, "country": country}, **more)


def _release(hours_ago: int, order: str, amount: int, **more: Any) -> Run:
    return Run(hours_ago, RELEASE, {"order": order, "amount": amount}, **more)


RUNS = (
    _welcome(870, "Adaeze Nwosu", "NG"),
    _release(822, "2026-0311", 42_000),
    _welcome(774, "Marisa Albuquerque", "BR"),
    _release(
        702, "2026-0318", 480_000, verdict="approve", reason="The contract covers this amount."
    ),
    _welcome(580, "Klaus Brandt", "DE"),
    _release(535, "2026-0327", 96_500),
    _release(
        438, "2026-0334", 1_250_000, verdict="reject", reason="The buyer has not paid the last one."
    ),
    _welcome(390, "Tunde Bakare", "NG"),
    _welcome(343, "João da Conceição", "BR", cancelled="He is a customer already."),
    _release(246, "2026-0352", 18_900),
    _welcome(150, "Ngozi Ibe", "NG"),
    # Without an amount nothing can be compared.
    Run(101, RELEASE, {"order": "2026-0361"}),
    _release(
        54, "2026-0366", 215_000, verdict="approve", reason="Agreed with the desk in São Paulo."
    ),
    _welcome(26, "Amina Yusuf", "NG"),
    _release(5, "2026-0371", 64_000),
    _release(2, "2026-0372", 730_000),
)


def executions_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    # Without the engine nobody can be asked for a signature.
    engine = settings.ENABLE_TEMPORAL_FEATURES
    now = timezone.now()
    made = [
        _ran(KEY.format(number=number), run, people, now - timedelta(hours=run.hours_ago))
        for number, run in enumerate(RUNS, start=1)
        if engine or run.automation != RELEASE
    ]
    yield f"{sum(made)} executions"


def _ran(key: str, run: Run, people: dict[str, User], at: datetime) -> bool:
    """Make the execution and carry it as far as its story goes; return whether it is new."""
    by = people["editor"]
    execution, new = execution_request(
        automation=run.automation,
        params=run.params,
        by=by,
        via=VIA,
        idempotency_key=key,
        as_of=at,
    )
    if not new:
        return False
    execution_advance(row_id=execution.pk, as_of=at)
    if run.cancelled:
        later = at + timedelta(seconds=20)
        execution_cancel(
            execution_id=execution.pk, by=by, via=VIA, reason=run.cancelled, as_of=later
        )
    elif run.verdict:
        _signed(execution, run, people["reviewer"], at + SIGNED_AFTER)
    elif run.automation == WELCOME:
        execution_advance(row_id=execution.pk, as_of=at + WAITED)
    return True


def _signed(execution: Execution, run: Run, by: User, at: datetime) -> None:
    request = requests_about(EXECUTION, execution.pk).get()
    decided_in_turn(request, [by], verdict=run.verdict, reason=run.reason, as_of=at)
    execution_advance(row_id=execution.pk, as_of=at)
