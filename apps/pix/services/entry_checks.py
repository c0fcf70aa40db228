"""What an entry may be: its input cleaned, and what the database says against it."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.common.errors import Conflict, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.pix.contracts import ChangeKind, ClaimStatus, KeyType, OwnerType
from apps.pix.contracts.entries import AccountGiven, CreateEntryRequest, OwnerGiven
from apps.pix.holders import (
    account_columns,
    clean_ispb,
    clean_name,
    clean_owner_type,
    clean_tax_id,
    clean_trade_name,
    key_limit,
)
from apps.pix.keys import clean_key_type, clean_new_key
from apps.pix.models import Claim, Entry
from apps.pix.rulebooks.machine import fitting_claim
from apps.pix.services.rulebooks import book_of, rulebook_active
from apps.pix.services.shared import is_ours

#: Reasons that the directory takes, by what is done.
REASONS: dict[str, tuple[str, ...]] = {
    ChangeKind.CREATE: ("USER_REQUESTED", "RECONCILIATION"),
    ChangeKind.UPDATE: ("USER_REQUESTED", "BRANCH_TRANSFER", "RECONCILIATION", "RFB_VALIDATION"),
    ChangeKind.DELETE: (
        *("USER_REQUESTED", "ACCOUNT_CLOSURE", "RECONCILIATION", "FRAUD", "RFB_VALIDATION"),
    ),
}
#: Types of keys that are the tax id of their owner.
_TAX_KEYS = {KeyType.CPF: OwnerType.NATURAL_PERSON, KeyType.CNPJ: OwnerType.LEGAL_PERSON}
ACCOUNT = ("branch", "account_number", "account_type")


# --- input ----------------------------------------------------------------------------------------
def cleaned(request: CreateEntryRequest) -> dict[str, Any]:
    """Return the columns of a new entry. Raises Invalid `key_type_invalid`, `key_invalid` (also if
    a CPF or CNPJ is not its owner's), and what the fields of account and owner raise."""
    key_type = clean_key_type(request.key_type)
    owner_type = clean_owner_type(request.owner.type)
    columns: dict[str, Any] = {
        "key_type": str(key_type),
        "key": clean_new_key(key_type, request.key),
        "participant": clean_ispb(request.account.participant, field="participant"),
        **account_columns(request.account.branch, request.account.number, request.account.type),
        "owner_type": str(owner_type),
        "tax_id": clean_tax_id(owner_type, request.owner.tax_id),
        "name": clean_name(request.owner.name),
        "trade_name": clean_trade_name(owner_type, request.owner.trade_name),
    }
    if key_type in _TAX_KEYS and columns["key"] != columns["tax_id"]:
        raise Invalid(
            _("A CPF or CNPJ can only be the key of the person or company that has it."),
            code="key_invalid",
            field="key",
        )
    return columns


def cleaned_reason(kind: ChangeKind, raw: object, *, key_type: str = "") -> str:
    """Return the directory's word for why. An EVP is never updated because its owner asks. Raises
    Invalid `reason_invalid` (extra reasons)."""
    allowed = REASONS[kind]
    if kind is ChangeKind.UPDATE and key_type == KeyType.EVP:
        allowed = tuple(word for word in allowed if word != "USER_REQUESTED")
    if raw not in allowed:
        raise Invalid(
            filled(_("The reason is one of {reasons}."), reasons=", ".join(allowed)),
            code="reason_invalid",
            reasons=list(allowed),
        )
    return str(raw)


def changed_values(
    entry: Entry, account: AccountGiven | None, owner: OwnerGiven | None
) -> dict[str, str]:
    """Return the columns that an update changes.

    Raises Invalid `participant_fixed` (extra suggested_claim): another participant gets a key by a
    claim only; `owner_fixed`; `entry_unchanged`; and what the fields raise.
    """
    values: dict[str, str] = {}
    if account is not None:
        if account.participant and clean_ispb(account.participant) != entry.participant:
            raise Invalid(
                _("A key goes to another participant by a claim, not by an update."),
                code="participant_fixed",
                suggested_claim=suggestion(
                    entry, same_owner=True, same_participant=False, donor=entry.participant
                ),
            )
        values |= account_columns(account.branch, account.number, account.type)
    if owner is not None:
        same_type = owner.type in ("", entry.owner_type)
        if not same_type or (
            owner.tax_id and clean_tax_id(entry.owner_type, owner.tax_id) != entry.tax_id
        ):
            raise Invalid(_("A key goes to another owner by a claim only."), code="owner_fixed")
        values["name"] = clean_name(owner.name or entry.name)
        values["trade_name"] = clean_trade_name(
            entry.owner_type,
            entry.trade_name if owner.trade_name is None else owner.trade_name,
        )
    values = {name: value for name, value in values.items() if value != getattr(entry, name)}
    if not values:
        raise Invalid(_("Nothing in this would change the key."), code="entry_unchanged")
    return values


# --- what the database says, under the locks of key and account -----------------------------------
def check_ours(participant: str) -> None:
    """Raise Conflict `participant_not_ours` for a participant that this installation does not act
    for."""
    if not is_ours(participant):
        raise Conflict(
            filled(_("This installation does not act for {ispb}."), ispb=participant),
            code="participant_not_ours",
        )


def check_free(columns: Mapping[str, Any]) -> None:
    """Raise Conflict if the key is taken here: `entry_locked_by_claim`; `entry_already_exists`
    (extra entry_id); `entry_owned_by_different_person`,
    `entry_in_custody_of_different_participant` (extra suggested_claim)."""
    if not columns["key"]:
        return
    check_unclaimed(columns["key_type"], columns["key"])
    named = {"key_type": columns["key_type"], "key": columns["key"]}
    if (entry := Entry.objects.live().filter(**named).first()) is not None:
        raise taken(entry, columns)


def check_unclaimed(key_type: str, key: str, *, entry_id: str = "") -> None:
    """Raise Conflict `entry_locked_by_claim` while a claim of the key is open."""
    if open_claims(key_type, key, entry_id=entry_id).exists():
        raise locked_by_claim()


def open_claims(key_type: str, key: str, *, entry_id: str = "") -> "QuerySet[Claim]":
    """Return the open claims of a key; of an entry without one, those of its id."""
    claims = Claim.objects.unsettled()
    if key:
        return claims.filter(key_type=key_type, key=key)
    return claims.filter(entry_ref=entry_id) if entry_id else claims.none()


def locked_by_claim() -> Conflict:
    """Return the refusal of a change whose key somebody claims."""
    return Conflict(
        _("Somebody claims this key: it is locked until the claim has ended."),
        code="entry_locked_by_claim",
    )


def account_while_claimed(claims: Iterable[Claim], values: Mapping[str, Any]) -> bool:
    """Return whether an update may be made although the key is claimed: the donor's account may
    change as long as the claim is not confirmed."""
    early = all(one.status in (ClaimStatus.OPEN, ClaimStatus.WAITING) for one in claims)
    return early and set(values) <= set(ACCOUNT)


def check_room(columns: Mapping[str, Any], *, leaving_out: UUID | None = None) -> None:
    """Raise Conflict `entry_limit_exceeded` (extra limit) if the account has as many keys as it
    may, whoever holds it. Needs the account's lock."""
    names = ("participant", *ACCOUNT)
    live = Entry.objects.live().filter(**{name: columns[name] for name in names})
    limit = key_limit(OwnerType(columns["owner_type"]))
    others = live.exclude(pk=leaving_out) if leaving_out else live
    if others.count() >= limit:
        raise Conflict(
            filled(_("The account has {limit} keys already, as many as it may."), limit=limit),
            code="entry_limit_exceeded",
            limit=limit,
        )


def taken(entry: Entry, columns: Mapping[str, Any]) -> Conflict:
    """Return the refusal of a key that this entry has: what to claim stands in it."""
    same_owner = (entry.owner_type, entry.tax_id) == (columns["owner_type"], columns["tax_id"])
    same_participant = entry.participant == columns["participant"]
    if same_owner and same_participant:
        return Conflict(
            _("This owner has the key already."),
            code="entry_already_exists",
            entry_id=entry.entry_id,
        )
    suggested = suggestion(
        entry, same_owner=same_owner, same_participant=same_participant, donor=entry.participant
    )
    if same_owner:
        return Conflict(
            _("This owner has the key at another participant."),
            code="entry_in_custody_of_different_participant",
            suggested_claim=suggested,
        )
    return Conflict(
        _("Somebody else has this key."),
        code="entry_owned_by_different_person",
        suggested_claim=suggested,
    )


def suggestion(
    entry: Entry, *, same_owner: bool, same_participant: bool, donor: str = ""
) -> dict[str, str] | None:
    """Return the claim by which the key could be had: `claim_type`, `key_type`, and `donor_ispb`
    where it is known; None if the rulebook of new claims allows none. Without the key, which would
    be kept with the refusal: whoever asked knows it."""
    fits = fitting_claim(
        book_of(rulebook_active().pk),
        key_type=KeyType(entry.key_type),
        same_owner=same_owner,
        same_participant=same_participant,
    )
    if fits is None:
        return None
    said = {"claim_type": str(fits), "key_type": entry.key_type}
    return said | {"donor_ispb": donor} if donor else said
