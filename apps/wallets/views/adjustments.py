"""Pages of adjustments of wallets."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.engine.timeline import timeline
from apps.wallets.contracts import AdjustmentStatus
from apps.wallets.forms import AdjustmentFilter, AdjustmentForm
from apps.wallets.models import WalletAdjustment
from apps.wallets.services import adjustments
from apps.wallets.services.adjustments import REQUEST_ADJUSTMENT, SUBJECT
from apps.wallets.views.wallets import VIEW, said_of_wallet
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage, PageVerb
from apps.web.pieces import Fact, Head, Link, Note, asked_head
from apps.web.tables import ASKED, Column

CRUMBS = (Link(_("Adjustments"), "adjustments"),)


def _rows(user: User) -> Any:
    return WalletAdjustment.objects.visible_to(user).for_list()


LIST_PAGE = ListPage(
    name="adjustments",
    title=_("Adjustments"),
    lead=_("An adjustment corrects a wallet's balance as soon as it is signed."),
    noun="adjustment",
    none=_("No adjustment yet"),
    topic="adjustments",
    rows=_rows,
    to="adjustment",
    columns=(
        Column(head=_("Rider"), value="wallet.rider.name", form="title"),
        Column(head=_("Rider's id"), value="user_id", form="name", file="user_id"),
        *ASKED,
    ),
    filters=AdjustmentFilter,
    new=Link(_("Adjust a wallet"), "adjustment_new", REQUEST_ADJUSTMENT, main=True),
)

FORM_PAGE = FormPage(
    name="adjustment_new",
    title=_("Adjust a wallet"),
    lead=_(
        "Nothing is moved before somebody else has signed it. You never sign what you ask for "
        "yourself."
    ),
    crumbs=CRUMBS,
    form=AdjustmentForm,
    known=said_of_wallet,
    initial={"user_id": "wallet"},
    verb=adjustments.adjustment_request,
    to="adjustment",
    asked=_("Asked. Nothing is moved before it is signed."),
    draft="adjustment",
    permission=REQUEST_ADJUSTMENT,
    action="wallet_adjustment.request",
    subject_type=SUBJECT,
)


def _context(request: HttpRequest, adjustment: WalletAdjustment) -> dict[str, Any]:
    user = person(request)
    waits = not AdjustmentStatus(adjustment.status).terminal
    return {
        "topics": f"adjustment:{adjustment.pk} inbox",
        "head": _head(adjustment),
        "facts": _facts(adjustment, sees_wallet=user.has_perm(VIEW)),
        "may_call": waits and adjustment.requested_by_id == user.pk,
        "timeline": timeline(
            subjects=[(SUBJECT, str(adjustment.pk))],
            workflow_ids=[],
            older=request.GET.get("older", ""),
        ),
    }


def _head(adjustment: WalletAdjustment) -> Head:
    approval = adjustments.adjustment_approval(adjustment)
    request_url = reverse("request", args=[approval.pk]) if approval else ""
    note = Note(
        gettext("It was signed, and nothing was moved."),
        adjustment.error_detail,
        gettext("If it is still wanted, it has to be asked for again."),
        tone="bad",
    )
    return asked_head(
        adjustment,
        adjustments.adjustment_title(adjustment),
        crumbs=CRUMBS,
        links=(Link(gettext("Its request"), request_url),) if approval else (),
        note=note if adjustment.status == AdjustmentStatus.FAILED else None,
    )


def _facts(adjustment: WalletAdjustment, *, sees_wallet: bool) -> list[Fact]:
    wallet, name = adjustment.wallet, adjustment.wallet.rider.name
    if sees_wallet:
        balance = shown(wallet.balance, wallet.currency, blank=NO_BREAK)
        rider = Fact(
            gettext("Wallet"),
            name,
            href=reverse("wallet", args=[wallet.user_id]),
            note=gettext("{balance} in it now").format(balance=balance),
        )
    else:
        rider = Fact(gettext("Wallet"), name)
    ended = Fact(gettext("Ended"), adjustment.settled_at, note=adjustment.error_detail, form="when")
    return [
        rider,
        Fact(gettext("Why"), adjustment.reason, form="prose"),
        *([ended] if adjustment.settled_at else []),
    ]


DETAIL_PAGE = DetailPage(
    name="adjustment",
    rows=_rows,
    context=_context,
    main=("web/_facts_panel.html",),
    side=("web/_page_verb.html",),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=adjustments.adjustment_cancel,
        row_id="adjustment_id",
        not_done=_("Not taken back."),
        said=_("Taken back. Its request is closed; nothing was moved."),
        title=_("Take it back"),
        label=_("Reason (optional)"),
        help=_("Possible until it is signed. Its request is closed with it."),
    ),
)
