"""Pages of batches: the list, the request form, and the progress of one batch."""

from dataclasses import replace
from functools import partial
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.engine import runs
from apps.engine.timeline import timeline
from apps.interventions.batch_forms import BatchFilter, BatchForm
from apps.interventions.contracts import BATCH_SUBJECT, BatchItemStatus, BatchStatus
from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.services.batches import (
    batch_cancel,
    batch_pause,
    batch_request,
    batch_resume,
    batch_try,
)
from apps.interventions.services.batches_input import file_items
from apps.interventions.services.batches_rows import (
    FAILURE_COLUMNS,
    RELATED,
    RUN,
    batch_failures,
)
from apps.interventions.services.batches_warnings import batch_warn
from apps.interventions.services.requests import CANCEL_PERMISSION, REQUEST_PERMISSION
from apps.web.lists import ListPage
from apps.web.pages import FormPage
from apps.web.pieces import Head, Link
from apps.web.run_columns import ITEM_ENDED, ITEM_NUMBER, RUN_COLUMNS, item_why
from apps.web.runs import Counts, RunNow, RunPages, Tab, usual_verbs
from apps.web.tables import AGE, AMOUNT, ASKED_BY, ERROR, STATE, Column

CRUMBS = (Link(_("Interventions"), "interventions"), Link(_("Batches"), "batches"))


# --- the list ------------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    return InterventionBatch.objects.visible_to(user).select_related(*RELATED)


def _state(batch: InterventionBatch) -> str:
    return "awaiting_approval" if batch.status == BatchStatus.PENDING else batch.status


LIST_PAGE = ListPage(
    name="batches",
    title=_("Batches"),
    lead=_("Many payments under one signature."),
    noun="batch",
    none=_("No batch yet"),
    topic="intervention-batches",
    rows=_rows,
    to="batch",
    version=lambda batch: f"{batch.version}-{batch.bar.ended}",
    columns=(
        Column(head=_("Batch"), value=str, form="title"),
        Column(head=_("Policy"), value="policy.name", form="aside"),
        Column(head=_("Budget"), value="budget.code", text=_("budget {}")),
        *RUN_COLUMNS,
        ASKED_BY,
        AGE,
        AMOUNT,
        replace(STATE, value=_state),
        ERROR,
    ),
    filters=BatchFilter,
    crumbs=CRUMBS[:1],
    new=Link(_("Ask for a batch"), "batch_new", REQUEST_PERMISSION, main=True),
    first=_("Upload a list of payments as a file, or paste it."),
    complete=lambda batches: RUNS.complete(batches),
)


# --- the request form ----------------------------------------------------------------------------
def _request(*, body: bytes, **values: Any) -> tuple[InterventionBatch, bool]:
    return batch_request(items=file_items(body), **values)


def _try(*, body: bytes, title: str, idempotency_key: str, **values: Any) -> dict[str, Any]:
    trial = batch_try(items=file_items(body), **values)
    return {"trial": trial, "more": trial.total - trial.sound - len(trial.errors)}


FORM_PAGE = FormPage(
    name="batch_new",
    title=_("Ask for a batch"),
    lead=_(
        "It is signed once, on its total. A payment that cannot be made fails "
        "alone; the others are carried out."
    ),
    crumbs=CRUMBS,
    form=BatchForm,
    verb=_request,
    trial=_try,
    template="interventions/batch_new.html",
    to="batch",
    asked=_("Asked. This page shows who has to sign and how far it is."),
    draft="batch",
    permission=REQUEST_PERMISSION,
    action=f"{BATCH_SUBJECT}.request",
    subject_type=BATCH_SUBJECT,
)


# --- one batch -----------------------------------------------------------------------------------
def _now(batch: InterventionBatch, counts: Counts, user: User) -> RunNow:
    over = BatchStatus(batch.status).terminal
    moves = not over or counts[BatchItemStatus.RUNNING] > 0
    may = batch.requested_by_id == user.pk or user.has_perm(CANCEL_PERMISSION)
    amount = shown(batch.amount, batch.currency, blank=NO_BREAK)
    now = {BatchStatus.RUNNING: ["pause"], BatchStatus.PAUSED: ["resume"]}
    return RunNow(
        head=Head(
            str(batch),
            gettext("{amount} in all, asked by {requested_by}").format(
                amount=amount, requested_by=batch.requested_by
            ),
            at=batch.created_at,
            crumbs=CRUMBS,
            state=_state(batch),
        ),
        over=over,
        moves=moves,
        verbs=[*now.get(BatchStatus(batch.status), []), "cancel"] if may and not over else [],
        more={
            "requests": requests_about(BATCH_SUBJECT, batch.pk).visible_to(user)[:5],
            "running": counts[BatchItemStatus.RUNNING],
            # While items are running, the engine's events are left out: each update of the bar
            # would query them.
            "timeline": timeline(
                subjects=[(BATCH_SUBJECT, str(batch.pk))],
                workflow_ids=[] if moves else [batch.workflow_id],
            ),
        },
    )


def _item_page(item: BatchItem) -> str:
    known = item.intervention_id
    return reverse("intervention", args=[known]) if known else ""


def _unpaid(item: BatchItem) -> str:
    unsaid = item.amount is None and not item.error_code
    return gettext("cannot be paid") if unsaid else ""


ITEM_COLUMNS = (
    Column(
        head=_("Payment"),
        value="named_target",
        form="title",
        part="interventions/_batch_item.html",
    ),
    ITEM_NUMBER,
    Column(head=_("Region"), value="region", wide=True),
    item_why(_unpaid),
    Column(
        head=_("Amount"),
        value="amount",
        form="amount",
        currency="batch.currency",
        part="interventions/_batch_item_amount.html",
    ),
    ITEM_ENDED,
    STATE,
)

RUNS: RunPages[InterventionBatch] = RunPages(
    name="batch",
    topic=BATCH_SUBJECT,
    template="interventions/batch.html",
    rows=_rows,
    counts=partial(runs.counts_by_run, RUN),
    now=_now,
    verbs=usual_verbs(
        pause=batch_pause,
        resume=batch_resume,
        cancel=batch_cancel,
        button=_("Cancel the batch"),
        help=_(
            "May be empty. For good. What was paid stays paid, what is under way ends, the rest is "
            "never begun."
        ),
        said=_("Cancelled. What was paid stays paid; the rest is not begun."),
    ),
    tabs=[
        Tab("", _("All"), (), _("None now.")),
        *(
            Tab(status, title, (status,), none)
            for status, title, none in (
                (BatchItemStatus.WAITING, _("Waiting"), _("None are waiting now.")),
                (BatchItemStatus.RUNNING, _("Running"), _("None are running now.")),
                (BatchItemStatus.DONE, _("Done"), _("None are done now.")),
                (BatchItemStatus.FAILED, _("Failed"), _("None are failed now.")),
                (BatchItemStatus.CANCELLED, _("Cancelled"), _("None are cancelled now.")),
            )
        ),
    ],
    words={
        BatchItemStatus.DONE: _("executed"),
        BatchItemStatus.FAILED: _("failed"),
        BatchItemStatus.RUNNING: _("under way"),
        BatchItemStatus.WAITING: _("waiting"),
        BatchItemStatus.CANCELLED: _("cancelled"),
    },
    item_columns=ITEM_COLUMNS,
    items_title=_("Payments"),
    item_to=_item_page,
    columns=FAILURE_COLUMNS,
    failures=batch_failures,
    # Not live, because the warnings are about the request, and read all of its payments.
    once=lambda batch, user: {"warned": batch_warn(batch, by=user, as_of=timezone.now())},
)
