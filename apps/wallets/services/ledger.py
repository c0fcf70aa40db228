"""Writes a journal, its lines and the wallet's guarded balance in one statement.

The unique key of the journal makes it happen once. The balance comes last, so that the contended
row is locked only until the commit, and a balance that would be negative or too large is not
written: then nothing is.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.common.errors import Conflict, DomainError, Invalid
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.common.validation import (
    clean_code,
    clean_currency,
    clean_signed_amount,
    clean_text,
)
from apps.live.broadcast import broadcast
from apps.wallets.contracts import AccountKind, WalletStatus
from apps.wallets.models import Account, Journal, JournalLine, Wallet
from apps.wallets.services.accounts import accounts_of, wallet_unknown

#: The columns of a balance have 16 digits before the point.
FULL = Decimal(10) ** 16
LONGEST_KEY = 160

POST = """
WITH journal AS (
    INSERT INTO wallets_journal
        (id, key, kind, currency, size, subject_type, subject_id, note, created_at)
    VALUES (%(id)s, %(key)s, %(kind)s, %(currency)s, %(size)s, %(subject_type)s, %(subject_id)s,
        %(note)s, %(at)s)
    ON CONFLICT DO NOTHING
    RETURNING id
),
line AS (
    INSERT INTO wallets_journalline (journal_id, account_id, amount)
    SELECT journal.id, given.account_id, given.amount
      FROM journal, unnest(%(accounts)s::bigint[], %(amounts)s::numeric[])
           AS given (account_id, amount)
    RETURNING account_id, amount
),
moved AS (
    UPDATE wallets_wallet AS wallet
       SET balance = wallet.balance - line.amount, version = wallet.version + 1
      FROM line
     WHERE wallet.account_id = line.account_id
       AND wallet.currency = %(currency)s
       AND wallet.balance - line.amount >= 0
       AND wallet.balance - line.amount < %(full)s
       AND (line.amount < 0 OR wallet.status = %(active)s)
    RETURNING wallet.id, wallet.version
)
SELECT EXISTS (SELECT FROM journal), moved.id, moved.version
  FROM (SELECT) AS always LEFT JOIN moved ON TRUE
"""


def post(
    *,
    key: str,
    kind: str,
    currency: str,
    lines: Mapping[str, Decimal],
    subject_type: str,
    subject_id: object,
    as_of: datetime,
    note: str = "",
) -> bool:
    """Write a journal, and move the balance of the wallet in it; return whether it is new.

    `lines`: account code → amount in major units, a debit positive, a credit negative; they sum to
    zero and name at most one wallet. Joins the caller's transaction, which may go on after a
    refusal: nothing of the journal is left then. The same key again writes nothing, also for
    concurrent calls. Raises Conflict `journal_differs` when the key has another journal,
    `insufficient_funds` (extra available), `wallet_frozen` (it takes, and gives nothing),
    `wallet_full`; NotFound `wallet_not_found`; Invalid `currency_differs`, `account_invalid`,
    `lines_invalid`, `amount_invalid`, `currency_invalid`, `key_invalid`, `code_invalid`,
    `subject_invalid`, `note_invalid`, `invisible_characters`.
    """
    currency = clean_currency(currency)
    amounts = {code: clean_signed_amount(amount, currency) for code, amount in lines.items()}
    fields: dict[str, Any] = {
        "key": clean_text(key, field="key", limit=LONGEST_KEY),
        "kind": clean_code(kind),
        "currency": currency,
        "size": len(amounts),
        "subject_type": clean_text(subject_type, field="subject", limit=60),
        "subject_id": clean_text(str(subject_id), field="subject", limit=80),
        "note": clean_text(note, field="note", limit=200) if note else "",
    }
    with transaction.atomic():
        accounts = accounts_of(amounts, currency)
        wallets = [one for one in accounts.values() if one.kind == AccountKind.WALLET]
        if len(amounts) < 2 or len(wallets) > 1 or sum(amounts.values()) != 0:
            raise Invalid(
                _("The lines of a journal sum to zero, and name at most one wallet."),
                code="lines_invalid",
            )
        return _write(fields, amounts, accounts, wallets[0] if wallets else None, as_of)


def _write(
    fields: dict[str, Any],
    amounts: Mapping[str, Decimal],
    accounts: Mapping[str, Account],
    wallet: Account | None,
    as_of: datetime,
) -> bool:
    journal = new_id()
    given: dict[str, Any] = {
        "id": journal,
        "at": as_of,
        "accounts": [accounts[code].pk for code in amounts],
        "amounts": list(amounts.values()),
        "full": FULL,
        "active": WalletStatus.ACTIVE,
    }
    with connection.cursor() as cursor:
        cursor.execute(POST, {**fields, **given})
        written, wallet_id, version = cursor.fetchone()
    if not written:
        _check_same(fields, amounts)
        return False
    if wallet is not None:
        if version is None:
            raise _not_moved(wallet, amounts[wallet.code])
        user_id = wallet.code.partition(":")[2]
        broadcast("wallets", id=user_id, version=version)
        broadcast(f"wallet:{wallet_id}", id=user_id, version=version)
    broadcast("ledger", id=str(journal), version=1)
    return True


def _check_same(fields: Mapping[str, Any], amounts: Mapping[str, Decimal]) -> None:
    """Raise Conflict unless the journal of this key moves the same money for the same reason."""
    known = Journal.objects.get(key=fields["key"])
    same = ("kind", "currency", "size", "subject_type", "subject_id")
    lines = JournalLine.objects.filter(journal=known).values_list("account__code", "amount")
    if any(getattr(known, name) != fields[name] for name in same) or dict(lines) != dict(amounts):
        raise Conflict(_("The key belongs to another journal."), code="journal_differs")


def _not_moved(account: Account, debit: Decimal) -> DomainError:
    """Return why the wallet's balance was not moved."""
    wallet = Wallet.objects.filter(account=account).first()
    if wallet is None:
        return wallet_unknown()
    if wallet.currency != account.currency:
        return Invalid(_("The wallet has another currency."), code="currency_differs")
    return refusal_of(wallet, debit) or Conflict(
        _("The wallet cannot hold so much."), code="wallet_full"
    )


def refusal_of(wallet: Wallet, debit: Decimal) -> Conflict | None:
    """Return why the wallet does not give that much; None if it does, or is given money."""
    if debit <= 0:
        return None
    if wallet.status == WalletStatus.FROZEN:
        return Conflict(
            _("The wallet is frozen: it takes money and gives none."), code="wallet_frozen"
        )
    if wallet.balance < debit:
        return Conflict(
            filled(_("The wallet has {shown} left."), shown=shown(wallet.balance, wallet.currency)),
            code="insufficient_funds",
            available=exact(wallet.balance, wallet.currency),
        )
    return None
