"""Registers batches with the shared apps: their kind of approval, their subject, their topics."""

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import subject
from apps.approvals.kinds import Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.common.ended import ended_already
from apps.common.language import lazy as _
from apps.engine import process, runs
from apps.interventions.contracts import KIND, SIGNAL_SETTLED, BatchStatus
from apps.interventions.models import InterventionBatch, Policy
from apps.interventions.registration.interventions import REASONS
from apps.interventions.registration.signed import say_budget, say_terms
from apps.interventions.services import batches_warnings
from apps.interventions.services.batches_rows import (
    RUN,
    item_asked,
    item_settled,
    progress_of,
)
from apps.interventions.services.batches_signing import SIGNED_BATCH
from apps.interventions.services.batches_warnings import Warned
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.simulation import free, free_after

#: Titles of the columns of what is signed.
COLUMNS = {
    "number": _("No."),
    "amount": _("Amount"),
    "target": _("Paid to"),
    "justification": _("Why"),
    "region": _("Region"),
}
#: How many warnings the signer sees; the batch's page has more.
_MOST_WARNINGS = 20


def register() -> None:
    """Register the process and its kind of approval. Called once, when Django is ready."""
    subject.register(
        SIGNED_BATCH,
        title=_("Batch of interventions"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        signal=SIGNAL_SETTLED,
        # The rules are those of a single intervention of the same total.
        rules_of=KIND,
        default_tiers=(TierRule("reviewer"),),
        reasons=REASONS,
        reasons_required=False,
        carried_out_by=lambda batch: (batch.workflow_id,),
        # The request's page is not live, because each update would fetch the payload with every
        # payment.
        live=False,
        # The payload lists every payment; escaped, a character may need two bytes.
        payload_bytes=2 * settings.BATCH_MAX_BYTES + 1024 * 1024,
    )
    process.follow(INTERVENTION, process.SETTLED, item_settled)
    process.follow(INTERVENTION, process.ASKED, item_asked)
    runs.register(RUN, view="interventions.view_intervention")


def _words(signed: Wording, batch: InterventionBatch) -> None:
    signed.amount(gettext("Amount in all"), "total_amount")
    signed.text(gettext("Payments"), "count")
    say_terms(signed, batch.policy, undoing=gettext("Undoing a payment"))
    say_budget(signed, gettext("From the budget"), "budget", batch.budget)
    signed.person(gettext("Asked by"), "requested_by", batch.requested_by)
    signed.table(gettext("Payments, one by one"), "items", titles=COLUMNS, amounts=("amount",))
    signed.reference(gettext("Batch"), "batch", href=reverse("batch", args=[batch.pk]))
    signed.reference(gettext("Digest of the payments (SHA-256)"), "items_digest")


def _facts(batch: InterventionBatch) -> list[Fact]:
    """Return live facts for the reader, such as what is available in the budget. They are never
    signed."""
    budget = batch.budget
    progress = progress_of(batch)
    waits = batch.status == BatchStatus.PENDING
    left_out = progress.failed if waits else 0
    short = waits and budget.available < batch.amount
    facts = [
        status_fact(batch, "batch"),
        free(
            gettext("Free in {code}").format(code=budget.code), budget, tone="bad" if short else ""
        ),
    ]
    if not batch.policy.active:
        off = gettext("version {version} is not in force").format(version=batch.policy.version)
        facts.append(Fact(gettext("Policy"), off, tone="warn"))
    if left_out:
        facts.append(
            Fact(
                gettext("Left out"),
                gettext("{left_out:,} that cannot be paid").format(left_out=left_out),
                tone="warn",
            )
        )
    return facts


def _simulate(batch: InterventionBatch, user: User) -> Simulation:
    """Return the budget afterwards, payments that look like another one, and how the batch is
    executed."""
    budget, policy = batch.budget, batch.policy
    if BatchStatus(batch.status).terminal:
        return Simulation(
            outcome=gettext("Nothing happens. {why}").format(why=ended_already(batch.status)),
            tone="bad",
        )
    if not policy.active and not Policy.objects.filter(code=policy.code, active=True).exists():
        off = gettext("Every payment would fail: the policy {code} is switched off.").format(
            code=policy.code
        )
        return Simulation(outcome=off, tone="bad")
    left = budget.available - batch.amount
    warned = batches_warnings.batch_warn(batch, by=user, as_of=timezone.now())
    outcome = (
        gettext("Its payments are carried out one after the other, each for itself.")
        if left >= 0
        else gettext("The budget {code} does not cover all: the last payments would fail.").format(
            code=budget.code
        )
    )
    if warned.total:
        look = gettext("Look at {total:,} first that look like another payment.")
        outcome = f"{outcome} {look.format(total=warned.total)}"
    return Simulation(
        outcome=outcome,
        tone="bad" if left < 0 else "good" if policy.reversible and not warned.total else "warn",
        steps=(
            gettext("begin up to {batch_concurrency} payments at a time").format(
                batch_concurrency=settings.BATCH_CONCURRENCY
            ),
            gettext("for each: check the policy, reserve the amount, pay, book it"),
            gettext("a payment that fails is told with its reason; the others go on"),
        ),
        facts=(
            free(gettext("Free now"), budget),
            free_after(budget, batch.amount),
            *_warnings(warned, reverse("batch", args=[batch.pk])),
        ),
    )


def _warnings(warned: Warned, url: str) -> tuple[Fact, ...]:
    told = [Fact(one.place, one.detail, tone="warn") for one in warned.first[:_MOST_WARNINGS]]
    if warned.total > len(told):
        more = gettext("{total:,} like these, on the batch's page").format(
            total=warned.total - len(told)
        )
        told.append(Fact(gettext("And more"), more, tone="warn", href=url))
    return tuple(told)
