"""The request for a top-up: by a program, on a page, or by hand in the engine."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit.contracts import ENGINE
from apps.common.canonical_json import digest
from apps.common.errors import Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.common.validation import clean_amount, clean_workflow_id
from apps.engine import process
from apps.notifications.services import address_checked
from apps.wallets.contracts import TOPUP, TopUpFacts, TopUpRequest
from apps.wallets.models import TopUp, Wallet
from apps.wallets.services.accounts import clean_user_id, wallet_unknown
from apps.wallets.services.topup_rows import PROCESS, RELATED, facts_of, record

TOP_UP = "wallets.top_up"


def top_up_request(
    *,
    user_id: str,
    amount: Decimal,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[TopUp, bool]:
    """Ask for a top-up of the rider's wallet by `amount` (major units of its currency); return it,
    and whether it is new.

    Row, audit entry and the start of its workflow commit together; nothing is credited before the
    rider has paid. Repeating the key by the same person returns the same row, also for concurrent
    calls. Raises, each audited: NotAllowed `permission_denied`; NotFound `wallet_not_found`;
    Invalid `user_id_invalid`, `amount_invalid`, `top_up_above_limit`, `currency_unsupported`,
    `rider_email_missing`, `idempotency_key_invalid`; Conflict `idempotency_key_reused`.
    """
    with process.audited(PROCESS, "request", by=by, via=via):
        if not by.has_perm(TOP_UP):
            raise NotAllowed(_("You may not top up wallets."), code="permission_denied")
        body = _body(user_id, amount)

        def made(top_up: TopUp) -> None:
            record(top_up, f"{TOPUP}.requested", by=by, via=via, **body)
            failpoint("top_up_request.uncommitted")

        return process.ask_once(
            PROCESS,
            lambda: _columns(user_id, amount),
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest(body),
            related=("requested_by", *RELATED),
            as_of=as_of,
        )


def top_up_open(*, workflow_id: str, request: TopUpRequest, as_of: datetime) -> TopUpFacts:
    """Return the workflow's top-up; one that was started by hand gets its row now. The row wins
    over the request.

    Raises as `top_up_request`, but for the permission: whoever starts workflows may; and Invalid
    `workflow_id_invalid`.
    """
    with process.audited(PROCESS, "request", by=ENGINE, via="engine"), transaction.atomic():
        if known := _carried(workflow_id):
            return facts_of(known)
        clean_workflow_id(workflow_id)
        amount = _amount(request.amount)
        body = _body(request.userId, amount)
        columns = _columns(request.userId, amount)
        top_up = TopUp(
            **columns,
            id=new_id(),
            workflow_id=workflow_id,
            request_digest=digest(body),
            created_at=as_of,
        )
        # Two attempts at once: the second waits here and then reads the row of the first.
        try:
            with transaction.atomic():
                top_up.save(force_insert=True)
        except IntegrityError:
            return facts_of(TopUp.objects.get(workflow_id=workflow_id))
        record(top_up, f"{TOPUP}.requested", **body)
        process.tell(PROCESS, top_up, "status")
        return facts_of(top_up)


def top_up_of_workflow(workflow_id: str) -> str:
    """Return the id of the workflow's top-up. Raises NotFound."""
    known = _carried(workflow_id)
    if known is None:
        raise process.unknown(PROCESS)
    return str(known.pk)


# --- helpers --------------------------------------------------------------------------------------
def _carried(workflow_id: str) -> TopUp | None:
    rows = TopUp.objects.select_related(*RELATED)
    known = rows.filter(workflow_id=workflow_id).first()
    if known is None:
        # A run that started before a later one took its place: the row is still its own.
        pk = process.subjects_of(PROCESS, [workflow_id]).get(workflow_id)
        known = rows.filter(pk=pk).first() if pk else None
    return known


def _body(user_id: str, amount: Decimal) -> dict[str, Any]:
    """Return what is asked for, as it is kept and compared."""
    return {"user_id": clean_user_id(user_id), "amount": str(clean_amount(amount).normalize())}


def _columns(user_id: str, amount: Decimal) -> dict[str, Any]:
    wallet = Wallet.objects.select_related("rider").filter(rider__user_id=user_id).first()
    if wallet is None:
        raise wallet_unknown()
    currency = wallet.currency
    if currency not in settings.PAYSTACK_CURRENCIES:
        raise Invalid(
            filled(_("Paystack takes no {currency} for us."), currency=currency),
            code="currency_unsupported",
        )
    exactly = clean_amount(amount, currency)
    if exactly > settings.TOPUP_MAX:
        raise Invalid(
            filled(_("A top-up is at most {most}."), most=shown(settings.TOPUP_MAX, currency)),
            code="top_up_above_limit",
            limit=exact(settings.TOPUP_MAX, currency),
        )
    check_address(wallet.rider.email)
    return {"wallet": wallet, "amount": exactly, "currency": currency}


def check_address(email: str) -> None:
    """Raise Invalid `rider_email_missing` without an address that mail can be sent to: Paystack
    wants it, and so does the receipt."""
    try:
        address_checked(email)
    except Invalid:
        raise Invalid(
            _("The rider has no e-mail address that a receipt can be sent to."),
            code="rider_email_missing",
        ) from None


def _amount(raw: float | str) -> Decimal:
    """Return the amount of a start by hand as it was typed."""
    try:
        return Decimal(str(raw))
    except InvalidOperation:
        raise Invalid(_("This is no amount."), code="amount_invalid") from None
