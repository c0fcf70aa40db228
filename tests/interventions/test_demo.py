"""The demo data: names and figures that outside checks rely on, and twice is once."""

import re
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.models import (
    ApprovalRequest,
    ApprovalRule,
    BulkDecision,
    Comment,
    Delegation,
    Evidence,
    PayloadVersion,
    Signature,
)
from apps.approvals.selectors import current_payload
from apps.approvals.services import signature_needed
from apps.audit.models import AuditEntry
from apps.common.money import NO_BREAK
from apps.engine.models import EngineCommand
from apps.filters.models import SavedFilter
from apps.interventions.models import (
    BatchItem,
    Budget,
    BudgetEntry,
    Intervention,
    InterventionBatch,
    Outcome,
    Policy,
)
from apps.interventions.services import demo_batches
from apps.interventions.services.batches_rows import progress_of
from apps.interventions.services.demo import requests_of
from tests.interventions.proof import budget_proof


def seed(*options: str) -> str:
    out = StringIO()
    call_command("seeddemo", *options, stdout=out)
    return out.getvalue()


MODELS: list[Any] = [
    *(Policy, Budget, BudgetEntry, Intervention, EngineCommand, ApprovalRequest, ApprovalRule),
    *(PayloadVersion, Signature, BulkDecision, Comment, Evidence, Delegation, SavedFilter),
    *(InterventionBatch, BatchItem, Outcome, AuditEntry),
]


@pytest.mark.django_db
def test_it_has_its_figures_fills_every_queue_and_twice_is_once() -> None:
    seed()
    check_the_figures_that_outside_checks_rely_on()
    check_that_every_page_has_something_to_show()
    check_that_the_batches_are_alive()
    check_that_what_is_signed_is_said_in_words()
    before = [model.objects.count() for model in MODELS]
    assert "0 of them new" in seed()
    assert [model.objects.count() for model in MODELS] == before
    starts = EngineCommand.objects.filter(kind="start", subject_type="intervention")
    # A batch's workflow begins its payments itself.
    alone = Intervention.objects.filter(batch=None)
    assert starts.filter(state="pending").count() == alone.count()


def check_the_figures_that_outside_checks_rely_on() -> None:
    budget = Budget.objects.get(code="demo-2026")
    assert (budget.currency, budget.total) == ("NGN", Decimal("10000000.00"))
    assert all(budget_proof(one).holds for one in Budget.objects.all())
    assert Policy.objects.get(code="demo-relief", active=True).reversible

    def signed(amount: str) -> bool:
        return signature_needed(
            kind="intervention", scope="demo-relief", amount=Decimal(amount), currency="NGN"
        )

    assert not signed("10000.00")
    assert signed("10000.01")
    waiting = Intervention.objects.filter(budget=budget)
    assert all(signed(str(one.amount)) for one in waiting)
    assert not ApprovalRequest.objects.filter(scope="demo-relief").exists()
    small = Budget.objects.get(code="demo-small")
    assert (small.total, small.available) == (Decimal("1200000.00"), Decimal("1200000.00"))
    assert not BudgetEntry.objects.filter(budget=small).exclude(kind="allocate").exists()


def check_that_every_page_has_something_to_show() -> None:
    now = timezone.now()
    requests = ApprovalRequest.objects.all()
    assert requests.filter(status="open", due_at__lt=now).count() == 2
    assert requests.filter(claimed_until__gt=now).count() == 2
    assert requests.filter(payload_number=2).count() == 1
    settled = requests.exclude(status="open")
    months = {at.strftime("%Y-%m") for at in settled.values_list("settled_at", flat=True)}
    assert len(months) >= 5
    assert {*settled.values_list("status", flat=True)} == {"approved", "rejected"}
    bulk = BulkDecision.objects.get()
    assert (bulk.status, bulk.done, bulk.failed) == ("completed", 3, 1)
    assert bulk.items.get(status="failed").error_code == "claimed"
    reviewer2 = User.objects.get(username="reviewer2")
    assert Delegation.objects.valid(as_of=now).get().delegate == reviewer2
    (half,) = requests.filter(status="open", tier_number=2)
    assert half in requests.mine(reviewer2, as_of=now)
    assert SavedFilter.objects.get().shared
    assert Evidence.objects.get().content_type == "text/csv"
    # Two of interventions, and one beside an infraction.
    assert Comment.objects.count() == 3
    assert User.objects.get(username="reviewer").senior.username == "senior"
    rules = ApprovalRule.objects.filter(active=True)
    assert all(band["due_hours"] and band["escalation"] for rule in rules for band in rule.bands)


#: An account's number instead of a name; an amount without its currency.
RAW = r"user:\d|(?<![A-Z]{3} )(?<![\d.,])\d+\.\d\d\b"


def check_that_what_is_signed_is_said_in_words() -> None:
    said_kinds = set()
    requests = ApprovalRequest.objects.for_detail().order_by("kind", "-created_at", "pk")
    for kind in set(requests.order_by().values_list("kind", flat=True)):
        for request in requests.filter(kind=kind)[:5]:
            payload = current_payload(request).payload
            said = kinds.words_of(request)(payload)
            assert sorted(field for line in said for field in line.fields) == sorted(payload)
            words = " ".join(line.value for line in said).replace(NO_BREAK, " ")
            assert not re.search(RAW, words), words
            said_kinds.add(kind)
    assert {"intervention", "intervention.batch", "budget.transfer"} <= said_kinds


def check_that_the_batches_are_alive() -> None:
    half = InterventionBatch.objects.get(status="paused")
    progress = progress_of(half)
    assert (progress.done, progress.failed, progress.waiting, progress.running) == (7, 5, 3, 0)
    failed = half.items.filter(status="failed")
    assert all(item.error_detail for item in failed)
    assert sorted(failed.values_list("error_code", flat=True)) == [
        "amount_below_limit",
        "amount_invalid",
        "execution_refused",
        "execution_refused",
        "region_not_covered",
    ]
    paid = half.interventions.filter(status="executed")
    assert paid.count() == Outcome.objects.filter(intervention__in=paid).count() == 7
    waiting = InterventionBatch.objects.get(status="pending")
    request = ApprovalRequest.objects.get(subject_id=str(waiting.pk))
    assert (request.status, request.tier_number) == ("open", 1)
    starts = EngineCommand.objects.filter(kind="start", subject_type="intervention-batch")
    assert starts.filter(state="pending").count() == 2


@pytest.mark.django_db
def test_a_seeding_that_was_interrupted_is_finished_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = demo_batches.outcome_record
    calls: list[Any] = []

    def dies_at_the_third(**words: Any) -> None:
        calls.append(words)
        if len(calls) == 3:
            raise OSError("interrupted")
        real(**words)

    monkeypatch.setattr(demo_batches, "outcome_record", dies_at_the_third)
    with pytest.raises(OSError, match="interrupted"):
        seed()
    monkeypatch.setattr(demo_batches, "outcome_record", real)
    seed()
    check_that_the_batches_are_alive()


@pytest.mark.django_db
def test_what_a_worker_executes_already_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = demo_batches.policy_validate
    first: list[str] = []

    def after_the_worker(*, intervention_id: str, workflow_id: str) -> None:
        if not first:
            first.append(intervention_id)
            real(intervention_id=intervention_id, workflow_id="intervention-1-execution")
        real(intervention_id=intervention_id, workflow_id=workflow_id)

    monkeypatch.setattr(demo_batches, "policy_validate", after_the_worker)
    seed()
    left = Intervention.objects.get(pk=first[0])
    assert (left.status, left.receipt) == ("executing", "")
    assert InterventionBatch.objects.filter(status="paused").count() == 1


@pytest.mark.django_db
def test_without_the_past_it_is_only_what_waits() -> None:
    seed("--bare")
    assert not ApprovalRequest.objects.exists()
    assert not InterventionBatch.objects.exists()
    assert Intervention.objects.count() == len(requests_of("new"))


@pytest.mark.django_db
def test_it_is_refused_where_demo_logins_are(settings: Any) -> None:
    settings.DEMO_LOGINS = False
    with pytest.raises(CommandError):
        seed()
