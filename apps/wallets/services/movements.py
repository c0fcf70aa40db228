"""The movements of money that bookings make. Each joins the caller's transaction."""

from datetime import datetime
from decimal import Decimal

from apps.common.validation import clean_amount, clean_currency
from apps.wallets.contracts import AccountKind, JournalKind
from apps.wallets.services.accounts import system_account, wallet_account
from apps.wallets.services.ledger import post


def wallet_pay(
    *,
    user_id: str,
    amount: Decimal,
    currency: str,
    key: str,
    subject_type: str,
    subject_id: object,
    as_of: datetime,
) -> bool:
    """Move money from the rider's wallet to what is prepaid, once per `key`; return whether it is
    new.

    Raises Conflict `insufficient_funds` (extra available), `wallet_frozen`, `journal_differs`;
    NotFound `wallet_not_found`; Invalid `currency_differs`, `amount_invalid`, and as `post`.
    """
    about = (key, subject_type, subject_id, as_of)
    wallet, prepaid = wallet_account(user_id), _prepaid(currency)
    return _moved(JournalKind.PAYMENT, amount, currency, debit=wallet, credit=prepaid, about=about)


def wallet_refund(
    *,
    user_id: str,
    amount: Decimal,
    currency: str,
    key: str,
    subject_type: str,
    subject_id: object,
    as_of: datetime,
) -> bool:
    """Move prepaid money back to the rider's wallet, once per `key`; return whether it is new. A
    frozen wallet takes it.

    Raises Conflict `journal_differs`, `wallet_full`; NotFound `wallet_not_found`; Invalid
    `currency_differs`, `amount_invalid`, and as `post`.
    """
    about = (key, subject_type, subject_id, as_of)
    wallet, prepaid = wallet_account(user_id), _prepaid(currency)
    return _moved(JournalKind.REFUND, amount, currency, debit=prepaid, credit=wallet, about=about)


def card_charged(
    *,
    amount: Decimal,
    currency: str,
    key: str,
    subject_type: str,
    subject_id: object,
    as_of: datetime,
) -> bool:
    """Note that a card was charged for what is prepaid, once per `key`; return whether it is new.

    Raises Conflict `journal_differs`; Invalid `amount_invalid`, and as `post`.
    """
    about = (key, subject_type, subject_id, as_of)
    card, prepaid = system_account(AccountKind.CARD, currency), _prepaid(currency)
    return _moved(
        JournalKind.CARD_CHARGE, amount, currency, debit=card, credit=prepaid, about=about
    )


def card_refunded(
    *,
    amount: Decimal,
    currency: str,
    key: str,
    subject_type: str,
    subject_id: object,
    as_of: datetime,
) -> bool:
    """Note that prepaid money went back to a card, once per `key`; return whether it is new.

    Raises Conflict `journal_differs`; Invalid `amount_invalid`, and as `post`.
    """
    about = (key, subject_type, subject_id, as_of)
    card, prepaid = system_account(AccountKind.CARD, currency), _prepaid(currency)
    return _moved(
        JournalKind.CARD_REFUND, amount, currency, debit=prepaid, credit=card, about=about
    )


def revenue_recognised(
    *,
    amount: Decimal,
    currency: str,
    key: str,
    subject_type: str,
    subject_id: object,
    as_of: datetime,
) -> bool:
    """Turn prepaid money into revenue, once per `key`; return whether it is new.

    Raises Conflict `journal_differs`; Invalid `amount_invalid`, and as `post`.
    """
    about = (key, subject_type, subject_id, as_of)
    revenue, prepaid = system_account(AccountKind.REVENUE, currency), _prepaid(currency)
    return _moved(JournalKind.REVENUE, amount, currency, debit=prepaid, credit=revenue, about=about)


def revenue_returned(
    *,
    amount: Decimal,
    currency: str,
    key: str,
    subject_type: str,
    subject_id: object,
    as_of: datetime,
) -> bool:
    """Turn revenue back into prepaid money, which is then refunded; otherwise as
    `revenue_recognised`."""
    about = (key, subject_type, subject_id, as_of)
    revenue, prepaid = system_account(AccountKind.REVENUE, currency), _prepaid(currency)
    return _moved(JournalKind.REVENUE, amount, currency, debit=revenue, credit=prepaid, about=about)


def _prepaid(currency: str) -> str:
    return system_account(AccountKind.PREPAID, clean_currency(currency))


def _moved(
    kind: JournalKind,
    amount: Decimal,
    currency: str,
    *,
    debit: str,
    credit: str,
    about: tuple[str, str, object, datetime],
) -> bool:
    key, subject_type, subject_id, as_of = about
    exactly = clean_amount(amount, currency)
    return post(
        key=key,
        kind=kind,
        currency=currency,
        lines={debit: exactly, credit: -exactly},
        subject_type=subject_type,
        subject_id=subject_id,
        as_of=as_of,
    )
