"""Pages of wallets and their entries."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.timeline import timeline
from apps.wallets.contracts import WalletStatus
from apps.wallets.forms import WalletFilter
from apps.wallets.models import JournalLine, Wallet
from apps.wallets.services.adjustments import REQUEST_ADJUSTMENT
from apps.wallets.services.riders import (
    FREEZE,
    RIDER_SUBJECT,
    WALLET_SUBJECT,
    rider_known,
    wallet_freeze,
    wallet_unfreeze,
)
from apps.web.fragments import person
from apps.web.lists import ListPage, numbered
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note, seen_by
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import Column, Table, table
from apps.web.tones import title_of, words_of

VIEW = "wallets.view_wallet"
VIEW_JOURNALS = "wallets.view_journal"
VIEW_ADJUSTMENTS = "wallets.view_walletadjustment"
LIST = Link(_("Wallets"), "wallets")


def _rows(user: User) -> Any:
    return Wallet.objects.select_related("rider")


LIST_PAGE = ListPage(
    name="wallets",
    title=_("Wallets"),
    lead=_("What each rider has paid in and not yet spent."),
    noun="wallet",
    none=_("No wallet yet"),
    topic="wallets",
    rows=_rows,
    to="wallet",
    by="user_id",
    columns=(
        Column(head=_("Rider"), value="rider.name", form="title"),
        Column(head=_("Rider's id"), value="user_id", form="code", file="user_id"),
        Column(head=_("Balance"), value="balance", form="amount"),
        Column(
            head=_("Age"),
            value="created_at",
            form="age",
            sort=("newest", "oldest"),
            file="created_at",
            wide=True,
        ),
        Column(head=_("State"), value="status", form="state"),
    ),
    arrivals=False,
    filters=WalletFilter,
    permission=VIEW,
    links=(
        Link(_("Adjustments"), "adjustments"),
        Link(_("Adjust a wallet"), "adjustment_new", REQUEST_ADJUSTMENT, main=True),
    ),
    empty=_("A rider has a wallet as soon as a program makes the rider known."),
    first=_("A rider has a wallet as soon as a program makes the rider known."),
)


def said_of_wallet(user: User, form: forms.Form) -> str:
    """Return whose wallet a form is about, and what is in it; nothing for who may not see it."""
    known = rider_known(form["user_id"].value() or "") if user.has_perm(VIEW) else None
    if known is None:
        return ""
    said = gettext("{rider} has {balance} in the wallet.")
    return said.format(rider=known.name, balance=shown(known.balance, known.currency))


def _verb(verb: str, service: Any, **own: Any) -> RowVerb:
    return RowVerb(
        call=lambda key, **given: service(user_id=key, **given),
        permission=FREEZE,
        action=f"wallet.{verb}",
        **own,
    )


VERBS = RowVerbs(
    name="wallet",
    rows=_rows,
    subject_type=WALLET_SUBJECT,
    column="rider__user_id",
    verbs={
        "freeze": _verb(
            "freeze",
            wallet_freeze,
            title=_("Freeze"),
            button=_("Freeze the wallet"),
            help=_("It still takes money, and gives none until somebody unfreezes it."),
            said=_("Frozen. Money still comes in; none goes out."),
            applies=lambda wallet: wallet.status == WalletStatus.ACTIVE,
        ),
        "unfreeze": _verb(
            "unfreeze",
            wallet_unfreeze,
            title=_("Unfreeze"),
            button=_("Unfreeze the wallet"),
            help=_("The rider can pay with it again at once."),
            said=_("The rider can pay with it again."),
            applies=lambda wallet: wallet.status == WalletStatus.FROZEN,
            plain=True,
        ),
    },
)


def _context(request: HttpRequest, wallet: Wallet) -> dict[str, Any]:
    user = person(request)
    lines = JournalLine.objects.filter(account_id=wallet.account_id).select_related("journal")
    found = numbered(request, lines, parameter="before", order="-pk", digits=18)
    about = (WALLET_SUBJECT, RIDER_SUBJECT)
    return {
        "topics": f"wallet:{wallet.pk}",
        "head": _head(wallet, user),
        "facts": _facts(wallet),
        "facts_title": gettext("The rider"),
        "table": _entries(request, found["items"], wallet, user),
        "next_before": found["next"],
        "later_page": found["later_page"],
        "wallet": wallet,
        "verbs": VERBS.shown(wallet, user),
        "timeline": timeline(
            subjects=[(subject, wallet.user_id) for subject in about],
            workflow_ids=[],
            older=request.GET.get("older", ""),
        ),
    }


def _head(wallet: Wallet, user: User) -> Head:
    links = (
        Link(
            gettext("Top up"),
            f"{reverse('topup_new')}?wallet={wallet.user_id}",
            "wallets.top_up",
        ),
        Link(gettext("Its top-ups"), f"{reverse('topups')}?user={wallet.user_id}"),
        Link(
            gettext("Adjust"),
            f"{reverse('adjustment_new')}?wallet={wallet.user_id}",
            REQUEST_ADJUSTMENT,
            main=True,
        ),
        Link(gettext("Its adjustments"), f"{reverse('adjustments')}?user={wallet.user_id}"),
    )
    note = Note(
        gettext("The wallet is frozen."),
        gettext("It takes money and gives none. The history below says who froze it, and why."),
    )
    return Head(
        wallet.rider.name,
        wallet.user_id,
        crumbs=(LIST,),
        state=wallet.status,
        links=seen_by(links, user),
        note=note if wallet.status == WalletStatus.FROZEN else None,
    )


def _facts(wallet: Wallet) -> list[Fact]:
    rider = wallet.rider
    return [
        Fact(gettext("E-mail"), rider.email or gettext("none: receipts cannot be sent")),
        Fact(gettext("Known since"), wallet.created_at, form="when"),
    ]


def _entries(request: HttpRequest, lines: list[JournalLine], wallet: Wallet, user: User) -> Table:
    sees = user.has_perm(VIEW_JOURNALS)
    return table(
        request,
        lines,
        (
            Column(head=_("For"), value=lambda line: title_of(line.journal.kind), form="title"),
            Column(head=_("When"), value="journal.created_at", form="when"),
            Column(head=_("About"), value=lambda line: words_of(line.journal.subject_type)),
            Column(
                head=_("Amount"),
                # A debit is money that the rider has no more.
                value=lambda line: -line.amount,
                form="amount",
                currency=lambda line: wallet.currency,
            ),
        ),
        id="wallet-entries",
        caption=gettext("Entries"),
        order="",
        default="",
        address="",
        to=lambda line: reverse("journal", args=[line.journal_id]) if sees else "",
        # A line never changes.
        version="pk",
    )


DETAIL_PAGE = DetailPage(
    name="wallet",
    rows=_rows,
    column="rider__user_id",
    context=_context,
    permission=VIEW,
    main=("wallets/_balance.html", "wallets/_entries.html", "web/_facts_panel.html"),
    side=("web/_row_verbs.html",),
    after=("console/_timeline.html",),
)
