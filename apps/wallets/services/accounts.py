"""Codes of accounts, and the accounts themselves, made when they are first needed."""

import re
from collections.abc import Iterable

from apps.common.errors import Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.wallets.contracts import USER_ID, AccountKind
from apps.wallets.models import Account

_USER_ID = re.compile(USER_ID, re.ASCII)
#: Segments of a path that browsers and clients take for the folder and the one above it.
_FOLDERS = frozenset({".", ".."})


def clean_user_id(user_id: str) -> str:
    """Return the rider's id. Raises Invalid `user_id_invalid`: it stands in addresses."""
    if not isinstance(user_id, str) or not _USER_ID.fullmatch(user_id) or user_id in _FOLDERS:
        raise Invalid(
            _("A rider's id has 1 to 80 letters, digits and . _ @ -."), code="user_id_invalid"
        )
    return user_id


def wallet_account(user_id: str) -> str:
    """Return the code of the rider's account. Raises Invalid `user_id_invalid`."""
    return f"{AccountKind.WALLET}:{clean_user_id(user_id)}"


def system_account(kind: AccountKind, currency: str) -> str:
    """Return the code of the currency's account of that kind."""
    return f"{kind}:{currency}"


def accounts_of(codes: Iterable[str], currency: str) -> dict[str, Account]:
    """Return the accounts by code; those that are no wallets are made if they are missing, also by
    concurrent calls.

    Raises NotFound `wallet_not_found`; Invalid `account_invalid`, `currency_differs` for an account
    of another currency.
    """
    wanted = sorted(codes)
    found = _found(wanted)
    if missing := [_made(code, currency) for code in wanted if code not in found]:
        # In the order of their codes, so that two at once do not wait for each other.
        Account.objects.bulk_create(missing, ignore_conflicts=True)
        found |= _found(account.code for account in missing)
    for account in found.values():
        if account.currency != currency:
            raise Invalid(
                filled(
                    _("The account {code} is in {own}, not in {currency}."),
                    code=account.code,
                    own=account.currency,
                    currency=currency,
                ),
                code="currency_differs",
            )
    return found


def wallet_unknown() -> NotFound:
    """Return the error for a wallet that does not exist."""
    return NotFound(_("There is no such wallet."), code="wallet_not_found")


def _found(codes: Iterable[str]) -> dict[str, Account]:
    return {account.code: account for account in Account.objects.filter(code__in=list(codes))}


def _made(code: str, currency: str) -> Account:
    kind = code.partition(":")[0]
    if kind == AccountKind.WALLET:
        raise wallet_unknown()
    if kind not in set(AccountKind) or code != f"{kind}:{currency}":
        raise Invalid(filled(_("There is no account {code}."), code=code), code="account_invalid")
    return Account(code=code, kind=kind, currency=currency)
