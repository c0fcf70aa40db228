"""Riders, and their wallets: made known, changed, frozen."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from apps.accounts.models import User
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import lazy as _
from apps.common.validation import LONGEST_REASON, clean_currency, clean_text
from apps.live.broadcast import broadcast
from apps.wallets.contracts import AccountKind, AdjustmentStatus, RiderFacts, WalletStatus
from apps.wallets.models import (
    Account,
    JournalLine,
    Rider,
    TopUp,
    Wallet,
    WalletAdjustment,
)
from apps.wallets.services.accounts import clean_user_id, wallet_account, wallet_unknown

PUT_RIDER = "wallets.put_rider"
FREEZE = "wallets.freeze_wallet"
#: Subjects in the audit trail; both have the rider's id.
RIDER_SUBJECT, WALLET_SUBJECT = "rider", "wallet"


def rider_put(
    *,
    user_id: str,
    name: str,
    email: str,
    currency: str,
    by: Actor,
    via: str,
    as_of: datetime,
) -> tuple[Rider, bool]:
    """Make the rider known, with one wallet, or change what is known; return the rider, and whether
    it is new.

    The same again changes nothing, also for concurrent calls. Raises, each audited: Conflict
    `currency_fixed` for another currency once the wallet has an entry or an adjustment waits;
    Invalid `user_id_invalid`, `name_invalid`, `email_invalid`, `currency_invalid`,
    `invisible_characters`.
    """
    with _audited("rider.put", RIDER_SUBJECT, user_id, by=by, via=via):
        user_id = clean_user_id(user_id)
        fields = {
            "name": clean_text(name, field="name", limit=160),
            "email": _clean_email(email),
            "currency": clean_currency(currency),
        }
        with transaction.atomic(durable=True):
            rider, created = Rider.objects.get_or_create(
                user_id=user_id, defaults={**fields, "created_at": as_of}
            )
            changed = fields
            if created:
                account = Account.objects.create(
                    code=wallet_account(user_id), kind=AccountKind.WALLET, currency=currency
                )
                wallet = Wallet.objects.create(
                    rider=rider, account=account, currency=currency, created_at=as_of
                )
            else:
                rider, wallet, changed = _change(rider, fields)
            if changed:
                entry_record(
                    action="rider.put",
                    subject_type=RIDER_SUBJECT,
                    subject_id=user_id,
                    by=by,
                    via=via,
                    body=changed,
                )
                _announce(wallet, user_id)
        return rider, created


def rider_known(user_id: str) -> RiderFacts | None:
    """Return the rider and the wallet as they are now; None for an unknown rider."""
    try:
        known = Wallet.objects.select_related("rider").filter(rider__user_id=clean_user_id(user_id))
    except Invalid:
        return None
    if (wallet := known.first()) is None:
        return None
    return RiderFacts(
        user_id=wallet.rider.user_id,
        name=wallet.rider.name,
        email=wallet.rider.email,
        currency=wallet.currency,
        status=WalletStatus(wallet.status),
        balance=wallet.balance,
    )


def rider_names(user_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of those riders that are known, by their ids. One query."""
    known = Rider.objects.filter(user_id__in=set(user_ids))
    return dict(known.values_list("user_id", "name"))


def wallet_freeze(*, user_id: str, reason: str, by: User, via: str) -> Wallet:
    """Freeze the wallet: it takes money and gives none. A frozen one stays as it is.

    Raises, each audited: NotAllowed `permission_denied`; NotFound `wallet_not_found`; Invalid
    `reason_invalid`, `invisible_characters`.
    """
    return _status_put("freeze", WalletStatus.FROZEN, user_id, reason, by=by, via=via)


def wallet_unfreeze(*, user_id: str, reason: str, by: User, via: str) -> Wallet:
    """Let a frozen wallet give money again. One that is not frozen stays as it is. Raises as
    `wallet_freeze`."""
    return _status_put("unfreeze", WalletStatus.ACTIVE, user_id, reason, by=by, via=via)


def wallet_locked(user_id: str) -> Wallet:
    """Lock the rider's wallet until the end of the transaction. Raises NotFound
    `wallet_not_found`, Invalid `user_id_invalid`."""
    wallets = Wallet.objects.select_related("rider", "account")
    locked = wallets.select_for_update(of=("self",), no_key=True)
    wallet = locked.filter(rider__user_id=clean_user_id(user_id)).first()
    if wallet is None:
        raise wallet_unknown()
    return wallet


# --- helpers --------------------------------------------------------------------------------------
def _audited(action: str, subject_type: str, user_id: object, *, by: Actor, via: str) -> Any:
    subject_id = ascii(str(user_id)[:80])[1:-1][:80]
    return refusals(action=action, subject_type=subject_type, subject_id=subject_id, by=by, via=via)


def _change(rider: Rider, fields: dict[str, str]) -> tuple[Rider, Wallet, dict[str, str]]:
    """Write what differs; return the rider, the wallet and the changed fields."""
    wallet = wallet_locked(rider.user_id)
    # Read again under the lock.
    rider = Rider.objects.select_for_update(no_key=True).get(pk=rider.pk)
    changed = {name: value for name, value in fields.items() if getattr(rider, name) != value}
    if not changed:
        return rider, wallet, changed
    if "currency" in changed:
        _currency_put(wallet, changed["currency"])
    for name, value in changed.items():
        setattr(rider, name, value)
    rider.version += 1
    rider.save(update_fields=["version", *changed])
    wallet.version += 1
    wallet.save(update_fields=["version"])
    return rider, wallet, changed


def _currency_put(wallet: Wallet, currency: str) -> None:
    waiting = WalletAdjustment.objects.filter(
        wallet=wallet, status=AdjustmentStatus.AWAITING_APPROVAL
    )
    if (
        waiting.exists()
        or TopUp.objects.unsettled().filter(wallet=wallet).exists()
        or JournalLine.objects.filter(account_id=wallet.account_id).exists()
    ):
        raise Conflict(
            _("The wallet has entries, or something waits for it: its currency stays."),
            code="currency_fixed",
        )
    wallet.currency = wallet.account.currency = currency
    wallet.account.save(update_fields=["currency"])
    wallet.save(update_fields=["currency"])


def _status_put(
    verb: str, status: WalletStatus, user_id: str, reason: str, *, by: User, via: str
) -> Wallet:
    with _audited(f"wallet.{verb}", WALLET_SUBJECT, user_id, by=by, via=via):
        if not by.has_perm(FREEZE):
            raise NotAllowed(_("You may not freeze or unfreeze wallets."), code="permission_denied")
        reason = clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)
        with transaction.atomic(durable=True):
            wallet = wallet_locked(user_id)
            if wallet.status != status:
                wallet.status = status
                wallet.version += 1
                wallet.save(update_fields=["status", "version"])
                entry_record(
                    action=f"wallet.{verb}",
                    subject_type=WALLET_SUBJECT,
                    subject_id=user_id,
                    by=by,
                    via=via,
                    body={"reason": reason},
                )
                _announce(wallet, user_id)
        return wallet


def _clean_email(email: str) -> str:
    """Return the address; empty for none. Raises Invalid `email_invalid`."""
    if not email:
        return ""
    cleaned = clean_text(email, field="email", limit=254)
    try:
        validate_email(cleaned)
    except ValidationError:
        raise Invalid(_("This is no e-mail address."), code="email_invalid") from None
    return cleaned


def _announce(wallet: Wallet, user_id: str) -> None:
    for topic in ("wallets", f"wallet:{wallet.pk}"):
        broadcast(topic, id=user_id, version=wallet.version)
