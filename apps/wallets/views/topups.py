"""Pages of top-ups: what a rider pays in, how far it is, and where it is paid."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.engine.timeline import timeline
from apps.wallets.contracts import TIMEOUT, TOPUP, Step, TopUpStatus
from apps.wallets.forms import TopUpFilter, TopUpForm
from apps.wallets.models import Invoice, TopUp
from apps.wallets.services.topup_requesting import TOP_UP, top_up_request
from apps.wallets.views.wallets import VIEW, said_of_wallet
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.steps import step_lines
from apps.web.tables import AGE, ERROR, STATE, Column
from apps.web.tones import sentence_of

VIEW_INVOICES = "wallets.view_invoice"
FORWARDS = tuple(Step)[:4]
UNDOING = (Step.CANCEL_PAYMENT,)
LIST = Link(_("Top-ups"), "topups")


def _rows(user: User) -> Any:
    return TopUp.objects.visible_to(user).select_related("requested_by", "wallet__rider")


LIST_PAGE = ListPage(
    name="topups",
    title=_("Top-ups"),
    lead=_("Money that riders pay into their wallets, from the request to the receipt."),
    noun="topup",
    none=_("No top-up yet"),
    topic="topups",
    rows=_rows,
    to="topup",
    columns=(
        Column(head=_("Rider"), value="wallet.rider.name", form="title"),
        Column(head=_("Rider's id"), value="user_id", form="name", file="user_id"),
        Column(head=_("Amount"), value="amount", form="amount"),
        AGE,
        STATE,
        ERROR,
    ),
    filters=TopUpFilter,
    new=Link(_("Top up a wallet"), "topup_new", TOP_UP, main=True),
)

FORM_PAGE = FormPage(
    name="topup_new",
    title=_("Top up a wallet"),
    lead=_("The wallet is credited as soon as the rider has paid at Paystack."),
    crumbs=(LIST,),
    form=TopUpForm,
    known=said_of_wallet,
    initial={"user_id": "wallet"},
    verb=top_up_request,
    to="topup",
    asked=_("Asked. The link to pay appears on this page."),
    draft="topup",
    permission=TOP_UP,
    action=f"{TOPUP}.request",
    subject_type=TOPUP,
)


def _context(request: HttpRequest, top_up: TopUp) -> dict[str, Any]:
    user = person(request)
    return {
        "topics": f"{TOPUP}:{top_up.pk} inbox",
        "head": _head(top_up, user),
        "facts": _facts(top_up, user),
        "steps": step_lines(top_up.steps.all(), FORWARDS, undoing=UNDOING, over=top_up.has_ended),
        "requests": requests_about(TOPUP, top_up.pk).visible_to(user).order_by("created_at")[:20],
        "unsigned": True,
        "timeline": timeline(
            subjects=[(TOPUP, str(top_up.pk))],
            workflow_ids=[top_up.workflow_id],
            older=request.GET.get("older", ""),
        ),
    }


def top_up_title(top_up: TopUp) -> str:
    """Return how much it is, and for whom."""
    return gettext("{amount} for {name}").format(
        amount=shown(top_up.amount, top_up.currency, blank=NO_BREAK),
        name=top_up.wallet.rider.name,
    )


def _head(top_up: TopUp, user: User) -> Head:
    note = None
    if top_up.status == TopUpStatus.FAILED:
        note = Note(
            sentence_of(top_up.error_code),
            "" if top_up.error_code == TIMEOUT else top_up.error_detail,
            gettext("Nothing was credited. Whatever is paid later, a person looks at first."),
            tone="bad",
        )
    url = temporal_url_for(user, top_up.workflow_id)
    return Head(
        top_up_title(top_up),
        gettext("asked"),
        at=top_up.created_at,
        crumbs=(LIST,),
        state=top_up.status,
        links=(Link(gettext("Temporal UI"), url, outside=True),) if url else (),
        note=note,
    )


def _facts(top_up: TopUp, user: User) -> list[Fact]:
    reference = top_up.references.order_by("-number").first()
    waits = top_up.status == TopUpStatus.AWAITING_PAYMENT
    to_pay = reference.authorization_url if reference and waits else ""
    rider = reverse("wallet", args=[top_up.user_id]) if user.has_perm(VIEW) else ""
    rows = Invoice.objects.filter(payment__top_up=top_up).select_related("payment")
    invoice = rows.order_by("pk").first()
    number = invoice.number if invoice else ""
    download = (
        reverse("api-1:invoice_read", args=[number])
        if number and user.has_perm(VIEW_INVOICES)
        else ""
    )
    facts = (
        Fact(gettext("Wallet"), top_up.user_id, href=rider),
        Fact(gettext("Reference"), reference.reference if reference else "", form="code"),
        Fact(gettext("Link to pay"), to_pay, href=to_pay),
        Fact(gettext("Waits until"), top_up.pay_until if waits else None, form="when"),
        Fact(gettext("Transaction"), invoice.payment.provider_id if invoice else "", form="code"),
        Fact(gettext("Invoice"), number, href=download),
        Fact(gettext("Workflow"), top_up.workflow_id, form="code"),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="topup",
    rows=_rows,
    context=_context,
    main=("web/_steps.html",),
    side=("web/_asked.html",),
    after=("console/_timeline.html",),
)
