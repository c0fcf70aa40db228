"""Pages of the ledger: its journals, and the lines of one."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.wallets.contracts import AccountKind
from apps.wallets.forms import LedgerFilter
from apps.wallets.models import Journal, JournalLine
from apps.wallets.views.wallets import VIEW, VIEW_JOURNALS
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, amount_of
from apps.web.tables import AGE, AMOUNT, Column, Table, table
from apps.web.tones import title_of, words_of

LIST = Link(_("Ledger"), "ledger")


def _rows(user: User) -> Any:
    return Journal.objects.all()


def _amounts(journals: list[Journal]) -> None:
    """Set on each journal the amount that it moves; one query for all of them."""
    debits = JournalLine.objects.filter(journal__in=journals, amount__gt=0)
    found = dict(debits.values_list("journal").annotate(Sum("amount")).order_by())
    for journal in journals:
        journal.amount = found.get(journal.pk, Decimal(0))  # type: ignore[attr-defined]


LIST_PAGE = ListPage(
    name="ledger",
    title=_("Ledger"),
    lead=_("Every movement of money. The lines of each sum to zero, and none is ever changed."),
    noun="journal",
    none=_("No money was moved yet"),
    first=_("The first payment or adjustment appears here."),
    empty=_("The first payment or adjustment appears here."),
    topic="ledger",
    rows=_rows,
    complete=_amounts,
    to="journal",
    version="pk",
    columns=(
        Column(
            head=_("Movement"),
            value="kind",
            form="title",
            part="wallets/_movement.html",
            file="kind",
        ),
        Column(head=_("About"), value="subject_type", form="words", file="subject_type"),
        Column(head=_("Key"), value="key", form="code", wide=True, file="key"),
        AGE,
        AMOUNT,
    ),
    filters=LedgerFilter,
    permission=VIEW_JOURNALS,
)


def _context(request: HttpRequest, journal: Journal) -> dict[str, Any]:
    lines = list(journal.lines.select_related("account").order_by("pk"))
    _amounts([journal])
    return {
        # A journal never changes.
        "topics": "",
        "head": Head(
            title_of(journal.kind),
            gettext("{amount} moved").format(amount=amount_of(journal)),
            at=journal.created_at,
            crumbs=(LIST,),
        ),
        "facts": [
            Fact(gettext("Key"), journal.key, form="code"),
            Fact(
                gettext("About"),
                words_of(journal.subject_type),
                # The search knows the pages of every domain; the ledger stands below them.
                href=f"{reverse('search')}?{urlencode({'q': journal.subject_id})}",
                note=journal.subject_id,
            ),
            *([Fact(gettext("Note"), journal.note, form="prose")] if journal.note else []),
        ],
        "facts_title": gettext("What it is for"),
        "table": _lines(request, lines, journal, person(request)),
    }


def _lines(request: HttpRequest, lines: list[JournalLine], journal: Journal, user: User) -> Table:
    sees = user.has_perm(VIEW)

    def to(line: JournalLine) -> str:
        kind, _colon, user_id = line.account.code.partition(":")
        return reverse("wallet", args=[user_id]) if sees and kind == AccountKind.WALLET else ""

    def amount(head: str, text: str, sign: int) -> Column:
        return Column(
            head=head,
            value=lambda line: sign * line.amount if sign * line.amount > 0 else None,
            form="amount",
            text=text,
            currency=lambda line: journal.currency,
        )

    return table(
        request,
        lines,
        (
            Column(head=_("Account"), value="account.code", form="title"),
            amount(_("Debit"), _("{} debit"), 1),
            amount(_("Credit"), _("{} credit"), -1),
        ),
        id="journal-lines",
        caption=gettext("Lines"),
        order="",
        default="",
        address="",
        to=to,
        version="pk",
    )


DETAIL_PAGE = DetailPage(
    name="journal",
    rows=_rows,
    context=_context,
    permission=VIEW_JOURNALS,
    main=("wallets/_journal_lines.html",),
    side=("web/_facts_panel.html",),
)
