"""Adjustments: corrections of a wallet's balance, made by the signature that approves them.

There is no workflow: an approval writes one journal, in the transaction of the decision. Lock
order: the adjustment, its request, then the wallet.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject, questions_close
from apps.audit.contracts import Actor
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, DomainError, NotAllowed
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.common.validation import LONGEST_REASON, clean_signed_amount, clean_text
from apps.engine import process
from apps.engine.process import SubjectRow
from apps.notifications.services import notify
from apps.wallets.contracts import (
    ADJUSTMENT_KIND,
    AccountKind,
    AdjustmentStatus,
    JournalKind,
)
from apps.wallets.models import WalletAdjustment
from apps.wallets.services.accounts import clean_user_id, system_account, wallet_account
from apps.wallets.services.ledger import post, refusal_of
from apps.wallets.services.riders import wallet_locked

REQUEST_ADJUSTMENT = "wallets.request_walletadjustment"
#: The subject's type in the audit trail, in links and in live topics.
SUBJECT = "wallet_adjustment"
#: Relations that are fetched with the row.
RELATED = ("wallet__rider", "requested_by")


def adjustment_request(
    *,
    user_id: str,
    amount: Decimal,
    reason: str,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[WalletAdjustment, bool]:
    """Ask for an adjustment of the rider's wallet by `amount` (major units of its currency; below
    zero takes money out); return the row, and whether it is new.

    Row, audit entry and the request for a signature commit together; nothing is moved yet.
    Repeating the key by the same person returns the same row, also for concurrent calls. Raises,
    each audited: NotAllowed `permission_denied`; Invalid `user_id_invalid`, `amount_invalid`,
    `reason_invalid`, `invisible_characters`, `idempotency_key_invalid`; NotFound
    `wallet_not_found`; Conflict `insufficient_funds` (extra available), `wallet_frozen`,
    `idempotency_key_reused`.
    """
    with process.audited(ADJUSTMENT, "request", by=by, via=via):
        if not by.has_perm(REQUEST_ADJUSTMENT):
            raise NotAllowed(_("You may not ask for adjustments."), code="permission_denied")
        body: dict[str, Any] = {
            "user_id": clean_user_id(user_id),
            "amount": clean_signed_amount(amount),
            "reason": clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True),
        }

        def columns() -> dict[str, Any]:
            wallet = wallet_locked(user_id)
            exactly = clean_signed_amount(amount, wallet.currency)
            if refusal := refusal_of(wallet, -exactly):
                raise refusal
            moved = {"amount": exactly, "currency": wallet.currency}
            return {"wallet": wallet, "reason": body["reason"], **moved}

        def made(adjustment: WalletAdjustment) -> None:
            _record(adjustment, "requested", by=by, via=via, **body)
            SIGNED.ask(adjustment, as_of=as_of)

        return process.ask_once(
            ADJUSTMENT,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest(body),
            related=RELATED,
            as_of=as_of,
        )


def adjustment_cancel(
    *, adjustment_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> WalletAdjustment:
    """Take back a waiting adjustment and close its request for a signature; only its requester may.

    Raises, each audited: NotFound (also for who did not ask); Conflict `already_settled` (extra
    status); Invalid `reason_invalid`, `invisible_characters`.
    """
    with process.acting(ADJUSTMENT, "cancel", adjustment_id, by=by, via=via, reason=reason) as (
        adjustment,
        given,
    ):
        process.check_unsettled(ADJUSTMENT, adjustment)
        why = given or for_record(filled(_("Taken back by {by}."), by=by))
        questions_close(ADJUSTMENT, adjustment, by=by, reason=why, as_of=as_of)
        _end(adjustment, Decided(by, via, as_of, AdjustmentStatus.CANCELLED, why))
    return adjustment


# --- what is signed ------------------------------------------------------------------------------
def adjustment_payload(adjustment: WalletAdjustment) -> dict[str, Any]:
    """Return the payload to sign: everything that decides what is moved."""
    payload: dict[str, Any] = plain(
        {
            "adjustment": adjustment.pk,
            "wallet": adjustment.user_id,
            "amount": exact(adjustment.amount, adjustment.currency),
            "currency": adjustment.currency,
            "reason": adjustment.reason,
            "requested_by": adjustment.requested_by.audit_id,
        }
    )
    return payload


def adjustment_title(adjustment: WalletAdjustment) -> str:
    """Return what it does, in a sentence."""
    said = (
        gettext("Take {moved} from the wallet of {name} ({user_id})")
        if adjustment.amount < 0
        else gettext("Add {moved} to the wallet of {name} ({user_id})")
    )
    return said.format(
        moved=shown(abs(adjustment.amount), adjustment.currency),
        name=adjustment.wallet.rider.name,
        user_id=adjustment.user_id,
    )[:200]


# --- the decision ---------------------------------------------------------------------------------
def _approved(adjustment: WalletAdjustment, decided: Decided) -> None:
    """Move the money. If the wallet does not allow it any more, or the row differs from what was
    signed, the decision stands, the adjustment fails, and the requester is notified."""
    try:
        if decided.request_id is None or (
            signed_payload(decided.request_id) != adjustment_payload(adjustment)
        ):
            raise Conflict(_("The row is not what was signed."), code="not_as_signed")
        _move(adjustment, as_of=decided.as_of)
    except DomainError as trouble:
        why = replace(decided, code=trouble.code, detail=trouble.recorded)
        _end(adjustment, why, AdjustmentStatus.FAILED)
        _tell_failed(adjustment)
        return
    _end(adjustment, decided, AdjustmentStatus.DONE)


def _move(adjustment: WalletAdjustment, *, as_of: datetime) -> None:
    amount, currency = adjustment.amount, adjustment.currency
    post(
        key=f"adjustment:{adjustment.pk}",
        kind=JournalKind.ADJUSTMENT,
        currency=currency,
        lines={
            system_account(AccountKind.ADJUSTMENT, currency): amount,
            wallet_account(adjustment.user_id): -amount,
        },
        subject_type=SUBJECT,
        subject_id=adjustment.pk,
        as_of=as_of,
    )


def _end(
    adjustment: WalletAdjustment, decided: Decided, status: AdjustmentStatus | None = None
) -> None:
    """End it for good, with `status` or the decision's code."""
    why = {"code": decided.code, "detail": decided.detail}
    end = status or AdjustmentStatus(decided.code)
    process.save(
        ADJUSTMENT, adjustment, *process.ended(adjustment, end, as_of=decided.as_of, **why)
    )
    _record(
        adjustment,
        adjustment.status,
        by=decided.by,
        via=decided.via,
        user_id=adjustment.user_id,
        amount=exact(adjustment.amount, adjustment.currency),
        currency=adjustment.currency,
        **(why if decided.code else {}),
    )


def _tell_failed(adjustment: WalletAdjustment) -> None:
    notify(
        key=f"adjustment:{adjustment.pk}:failed",
        recipients=[adjustment.requested_by],
        kind="wallet.adjustment_failed",
        title=gettext("Not moved: {title}").format(title=adjustment_title(adjustment)),
        text=gettext("It was approved, and nothing was moved. {error_detail}").format(
            error_detail=adjustment.error_detail
        ),
        url=reverse("adjustment", args=[adjustment.pk]),
    )


def _record(
    adjustment: WalletAdjustment, event: str, *, by: Actor, via: str, **body: object
) -> None:
    process.record(ADJUSTMENT, adjustment, f"wallet.adjustment_{event}", by=by, via=via, **body)


ADJUSTMENT = SubjectRow(
    subject=SUBJECT,
    title=_("Adjustment"),
    noun="adjustment",
    missing=_("There is no such adjustment."),
    opens=_("Open the adjustment"),
    model=WalletAdjustment,
    url_name="adjustment",
    topic="adjustment",
    list_topics=("adjustments",),
)

SIGNED: SignedSubject[WalletAdjustment, Waiting] = SignedSubject(
    row=ADJUSTMENT,
    kind=ADJUSTMENT_KIND,
    waits=frozenset({AdjustmentStatus.AWAITING_APPROVAL}),
    payload=adjustment_payload,
    # A rule may say more for one currency; no wallet has a rule of its own.
    title=adjustment_title,
    amount=lambda adjustment: abs(adjustment.amount),
    on_approved=_approved,
    on_rejected=_end,
    related=RELATED,
)

adjustment_approval = SIGNED.request_of
