"""Pages of transfers between budgets."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.engine.timeline import timeline
from apps.interventions.budget_forms import TransferFilter, TransferForm
from apps.interventions.contracts import TransferStatus
from apps.interventions.models import Budget, BudgetTransfer
from apps.interventions.services import transfers
from apps.interventions.services.transfers import REQUEST_TRANSFER, SUBJECT
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage, PageVerb
from apps.web.pieces import Fact, Head, Link, Note, amount_of, asked_head
from apps.web.tables import ASKED, Column

CRUMBS = (Link(_("Budgets"), "budgets"), Link(_("Transfers"), "transfers"))


def _rows(user: User) -> Any:
    return BudgetTransfer.objects.visible_to(user).for_list()


LIST_PAGE = ListPage(
    name="transfers",
    title=_("Transfers"),
    lead=_("A transfer moves money from one budget to another as soon as it is signed."),
    noun="transfer",
    none=_("No transfer yet"),
    topic="transfers",
    rows=_rows,
    to="transfer",
    columns=(
        Column(head=_("From"), value="source.name", form="title"),
        Column(head=_("To"), value="destination.name", form="terms", text=_("to {}")),
        *ASKED,
    ),
    filters=TransferFilter,
    crumbs=CRUMBS[:1],
    new=Link(_("Move money"), "transfer_new", REQUEST_TRANSFER, main=True),
)

FORM_PAGE = FormPage(
    name="transfer_new",
    title=_("Move money"),
    lead=_(
        "Nothing is moved or held before somebody else has signed it. You never "
        "sign what you ask for yourself."
    ),
    crumbs=CRUMBS,
    form=TransferForm,
    initial={"source": "from", "destination": "to"},
    verb=transfers.transfer_request,
    to="transfer",
    asked=_("Asked. Nothing is moved before it is signed."),
    draft="transfer",
    permission=REQUEST_TRANSFER,
    action="budget.transfer_request",
    subject_type=SUBJECT,
)


def _context(request: HttpRequest, transfer: BudgetTransfer) -> dict[str, Any]:
    user = person(request)
    waits = not TransferStatus(transfer.status).terminal
    return {
        "topics": f"transfer:{transfer.pk} inbox",
        "head": _head(transfer),
        "facts": _facts(transfer, sees_budgets=user.has_perm("interventions.view_budget")),
        "may_call": waits and transfer.requested_by_id == user.pk,
        "timeline": timeline(
            subjects=[(SUBJECT, str(transfer.pk))],
            workflow_ids=[],
            older=request.GET.get("older", ""),
        ),
    }


def _head(transfer: BudgetTransfer) -> Head:
    # Requesters see their own requests, signers see all.
    approval = transfers.transfer_approval(transfer)
    request_url = reverse("request", args=[approval.pk]) if approval else ""
    note = Note(
        gettext("It was signed, and nothing was moved."),
        transfer.error_detail,
        gettext("If it is still wanted, it has to be asked for again."),
        tone="bad",
    )
    return asked_head(
        transfer,
        gettext("{amount} from {source} to {destination}").format(
            amount=amount_of(transfer),
            source=transfer.source.name,
            destination=transfer.destination.name,
        ),
        crumbs=CRUMBS,
        links=(Link(gettext("Its request"), request_url),) if approval else (),
        note=note if transfer.status == TransferStatus.FAILED else None,
    )


def _facts(transfer: BudgetTransfer, *, sees_budgets: bool) -> list[Fact]:
    def side(name: str, budget: Budget) -> Fact:
        if not sees_budgets:
            return Fact(name, budget.name)
        free = shown(budget.available, transfer.currency, blank=NO_BREAK)
        href = reverse("budget", args=[budget.code])
        return Fact(name, budget.name, href=href, note=gettext("{free} free now").format(free=free))

    ended = Fact(gettext("Ended"), transfer.settled_at, note=transfer.error_detail, form="when")
    return [
        side(gettext("From"), transfer.source),
        side(gettext("To"), transfer.destination),
        Fact(gettext("Why"), transfer.reason, form="prose"),
        *([ended] if transfer.settled_at else []),
    ]


DETAIL_PAGE = DetailPage(
    name="transfer",
    rows=_rows,
    context=_context,
    main=("web/_facts_panel.html",),
    side=("web/_page_verb.html",),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=transfers.transfer_cancel,
        row_id="transfer_id",
        not_done=_("Not taken back."),
        said=_("Taken back. Its request is closed; nothing was moved."),
        title=_("Take it back"),
        label=_("Reason (optional)"),
        help=_("Possible until it is signed. Its request is closed with it."),
    ),
)
