"""The account and the owner that a key belongs to, as the directory takes them. All of it is text:
leading zeros count, and the sync compares what was sent."""

import re

from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.validation import clean_text
from apps.pix.contracts import AccountType, KeyType, OwnerType
from apps.pix.keys import clean_key

LONGEST_NAME = 150
LONGEST_TRADE_NAME = 100
_ISPB = re.compile(r"[0-9A-Z]{8}")
_BRANCH = re.compile(r"[0-9]{1,4}")
_ACCOUNT_NUMBER = re.compile(r"[A-Za-z0-9]{1,20}")


_KEY_LIMITS = {OwnerType.NATURAL_PERSON: 5, OwnerType.LEGAL_PERSON: 20}
_TAX_IDS = {OwnerType.NATURAL_PERSON: KeyType.CPF, OwnerType.LEGAL_PERSON: KeyType.CNPJ}


def key_limit(owner_type: OwnerType) -> int:
    """Return how many keys an account of such an owner can have, however many hold it."""
    return _KEY_LIMITS[owner_type]


def clean_owner_type(raw: object, *, field: str = "owner_type") -> OwnerType:
    """Return the type of owner. Raises Invalid `owner_type_invalid` (extra field)."""
    try:
        return OwnerType(raw)  # type: ignore[arg-type]
    except ValueError:
        raise Invalid(
            _("An owner is a NATURAL_PERSON or a LEGAL_PERSON."),
            code="owner_type_invalid",
            field=field,
        ) from None


def clean_account_type(raw: object, *, field: str = "account_type") -> AccountType:
    """Return the type of account. Raises Invalid `account_type_invalid` (extra field)."""
    try:
        return AccountType(raw)  # type: ignore[arg-type]
    except ValueError:
        raise Invalid(
            _("The type of an account is CACC, TRAN, SLRY, SVGS or OTHR."),
            code="account_type_invalid",
            field=field,
        ) from None


def clean_tax_id(owner_type: OwnerType | str, raw: object, *, field: str = "tax_id") -> str:
    """Return the CPF of a person or the CNPJ of a company, as `clean_key` does. Raises Invalid
    `owner_type_invalid`; `tax_id_invalid` (extra field)."""
    key_type = _TAX_IDS[clean_owner_type(owner_type)]
    try:
        return clean_key(key_type, raw)
    except Invalid as refusal:
        # The text itself, not what it says in the language of now.
        raise Invalid(refusal.args[0], code="tax_id_invalid", field=field) from None


def clean_ispb(raw: object, *, field: str = "ispb") -> str:
    """Return the participant's eight digits or capitals. Raises Invalid `ispb_invalid`."""
    ispb = raw.strip(" ").upper() if isinstance(raw, str) and raw.isascii() else ""
    if not _ISPB.fullmatch(ispb):
        raise Invalid(
            _("An ISPB is a text of 8 digits or letters, such as 00000000."),
            code="ispb_invalid",
            field=field,
        )
    return ispb


def clean_branch(raw: object, *, field: str = "branch") -> str:
    """Return the branch as it is written, since 1 and 0001 are two; empty for none. Raises Invalid
    `branch_invalid` (extra field), also for a number, which has lost its zeros."""
    branch = raw.strip(" ") if isinstance(raw, str) else raw
    if branch is None or branch == "":
        return ""
    if not isinstance(branch, str) or not _BRANCH.fullmatch(branch):
        raise Invalid(
            _("A branch is a text of 1 to 4 digits, such as 0001."),
            code="branch_invalid",
            field=field,
        )
    return branch


def clean_account_number(raw: object, *, field: str = "account_number") -> str:
    """Return the number of the account as it is written. Raises Invalid `account_number_invalid`
    (extra field)."""
    number = raw.strip(" ") if isinstance(raw, str) else ""
    if not _ACCOUNT_NUMBER.fullmatch(number):
        raise Invalid(
            _("The number of an account is a text of 1 to 20 digits and letters, without dashes."),
            code="account_number_invalid",
            field=field,
        )
    return number


def account_columns(branch: object, number: object, type: object) -> dict[str, str]:
    """Return the columns of an account, but for its participant. Raises what each of them raises,
    in this order."""
    return {
        "branch": clean_branch(branch),
        "account_number": clean_account_number(number),
        "account_type": clean_account_type(type).value,
    }


def clean_name(raw: object) -> str:
    """Return the owner's name, without blanks around it and otherwise as it is: what the directory
    does not take, such as an apostrophe, it says itself. Raises Invalid `name_invalid`,
    `invisible_characters`."""
    return clean_text(_text(raw), field="name", limit=LONGEST_NAME)


def clean_trade_name(owner_type: OwnerType | str, raw: object) -> str:
    """Return the trade name of a company as `clean_name` does; empty for none. Raises Invalid
    `trade_name_invalid`, also when a person has one, `invisible_characters`."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return ""
    if clean_owner_type(owner_type) is not OwnerType.LEGAL_PERSON:
        raise Invalid(
            _("Only a company has a trade name."), code="trade_name_invalid", field="trade_name"
        )
    return clean_text(_text(raw), field="trade_name", limit=LONGEST_TRADE_NAME)


def _text(raw: object) -> str:
    """Return the text; an empty one, which is refused, for anything else."""
    return raw if isinstance(raw, str) else ""
