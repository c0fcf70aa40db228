"""What the directory's answers are here. Words of the directory are texts as it wrote them, also
unknown ones; times are aware and in UTC; what it leaves out is an empty text or None."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from apps.pix.bridge import directory_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

#: Longer texts are none of the directory's: its own end at 2000.
MOST_TEXT = 4000


@dataclass(frozen=True)
class DirectoryAccount:
    """An account at a participant. All of it is text: leading zeros count."""

    participant: str
    number: str
    type: str
    branch: str = ""
    opened_at: datetime | None = None


@dataclass(frozen=True)
class DirectoryOwner:
    """Who holds a key."""

    type: str
    tax_id: str
    name: str
    trade_name: str = ""


@dataclass(frozen=True)
class DirectoryEntry:
    """A key, its account and its owner."""

    key_type: str
    key: str
    account: DirectoryAccount
    owner: DirectoryOwner
    created_at: datetime | None
    #: By this owner, across accounts and participants.
    owned_since: datetime | None
    #: None without an open claim.
    claimed_at: datetime | None


@dataclass(frozen=True)
class DirectoryClaim:
    """A claim as the directory sees it. With one participant on both sides its `cancelled_by` is
    always CLAIMER."""

    id: str
    type: str
    key_type: str
    key: str
    claimer_account: DirectoryAccount
    claimer: DirectoryOwner
    donor_participant: str
    status: str
    resolution_ends_at: datetime | None
    completion_ends_at: datetime | None
    modified_at: datetime
    confirm_reason: str
    cancel_reason: str
    cancelled_by: str

    @property
    def claimer_participant(self) -> str:
        """ISPB."""
        return self.claimer_account.participant


@dataclass(frozen=True)
class CompletedClaim:
    """The claim, and the dates of the entry that came of it."""

    claim: DirectoryClaim
    created_at: datetime | None
    owned_since: datetime | None


@dataclass(frozen=True)
class DirectoryInfraction:
    """An infraction report. `amount`: in reais."""

    id: str
    transaction_id: str
    reason: str
    situation_type: str
    details: str
    contact_email: str
    contact_phone: str
    status: str
    reporter_participant: str
    counterparty_participant: str
    funds_recovery_id: str
    fraud_marker_id: str
    analysis_result: str
    analysis_details: str
    fraud_type: str
    amount: Decimal | None
    created_at: datetime | None
    modified_at: datetime


@dataclass(frozen=True)
class ClaimsPage:
    """Claims in ascending order of `modified_at`; whether the window holds more after them."""

    claims: tuple[DirectoryClaim, ...]
    has_more: bool


@dataclass(frozen=True)
class InfractionsPage:
    """As ClaimsPage."""

    infractions: tuple[DirectoryInfraction, ...]
    has_more: bool


@dataclass(frozen=True)
class SyncVerification:
    """Whether the verifier was the directory's."""

    id: str
    ok: bool
    verified_at: datetime | None


@dataclass(frozen=True)
class CidEvent:
    """A CID came (`ADDED`) or went (`REMOVED`)."""

    type: str
    cid: str
    at: datetime


@dataclass(frozen=True)
class CidEventsPage:
    """Events in ascending order of time; the verifiers after the first and after the last."""

    events: tuple[CidEvent, ...]
    has_more: bool
    verifier_start: str
    verifier_end: str


@dataclass(frozen=True)
class SyncFile:
    """A file of all CIDs of a participant and type. `size`: in bytes."""

    id: str
    key_type: str
    status: str
    requested_at: datetime | None
    made_at: datetime | None
    size: int
    sha256: str


@dataclass(frozen=True)
class SyncChunk:
    """Bytes of a file, from this offset on."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class CidEntry:
    """The entry of a CID, and the request id that is in it."""

    cid: str
    request_id: str
    entry: DirectoryEntry


# --- from the wire; each raises ValueError for what no directory says ----------------------------
def entry_of(message: pb.Entry) -> DirectoryEntry:
    """An entry with a key, an account and an owner."""
    return DirectoryEntry(
        key_type=_must(message.key_type),
        key=_must(message.key),
        account=_account(message.account),
        owner=_owner(message.owner),
        created_at=_time(message, "created_at"),
        owned_since=_time(message, "owned_since"),
        claimed_at=_time(message, "claimed_at"),
    )


def claim_of(message: pb.Claim) -> DirectoryClaim:
    """A claim with an id, a status and a time."""
    return DirectoryClaim(
        id=_must(message.id),
        type=_must(message.type),
        key_type=_text(message.key_type),
        key=_must(message.key),
        claimer_account=_account(message.claimer_account),
        claimer=_owner(message.claimer),
        donor_participant=_text(message.donor_participant),
        status=_must(message.status),
        resolution_ends_at=_time(message, "resolution_ends_at"),
        completion_ends_at=_time(message, "completion_ends_at"),
        modified_at=_must_time(message, "modified_at"),
        confirm_reason=_text(message.confirm_reason),
        cancel_reason=_text(message.cancel_reason),
        cancelled_by=_text(message.cancelled_by),
    )


def completed_of(message: pb.CompleteClaimResponse) -> CompletedClaim:
    """A completed claim."""
    return CompletedClaim(
        claim_of(message.claim), _time(message, "created_at"), _time(message, "owned_since")
    )


def infraction_of(message: pb.Infraction) -> DirectoryInfraction:
    """A report with an id, a status and a time."""
    return DirectoryInfraction(
        id=_must(message.id),
        transaction_id=_must(message.transaction_id),
        reason=_text(message.reason),
        situation_type=_text(message.situation_type),
        details=_text(message.details),
        contact_email=_text(message.contact_email),
        contact_phone=_text(message.contact_phone),
        status=_must(message.status),
        reporter_participant=_text(message.reporter_participant),
        counterparty_participant=_text(message.counterparty_participant),
        funds_recovery_id=_text(message.funds_recovery_id),
        fraud_marker_id=_text(message.fraud_marker_id),
        analysis_result=_text(message.analysis_result),
        analysis_details=_text(message.analysis_details),
        fraud_type=_text(message.fraud_type),
        amount=_amount(message.amount),
        created_at=_time(message, "created_at"),
        modified_at=_must_time(message, "modified_at"),
    )


def claims_of(message: pb.ListClaimsResponse) -> ClaimsPage:
    """A page of claims."""
    return ClaimsPage(tuple(map(claim_of, message.claims)), message.has_more)


def infractions_of(message: pb.ListInfractionsResponse) -> InfractionsPage:
    """A page of reports."""
    return InfractionsPage(tuple(map(infraction_of, message.infractions)), message.has_more)


def verification_of(message: pb.Verification) -> SyncVerification:
    """A verdict."""
    return SyncVerification(
        _must(message.id),
        _one_of(message.result, "OK", "NOK") == "OK",
        _time(message, "verified_at"),
    )


def events_of(message: pb.ListEventsResponse) -> CidEventsPage:
    """A page of events."""
    events = tuple(
        CidEvent(_one_of(one.type, "ADDED", "REMOVED"), _digits(one.cid), _must_time(one, "at"))
        for one in message.events
    )
    start, end = message.verifier_start, message.verifier_end
    return CidEventsPage(events, message.has_more, start and _digits(start), end and _digits(end))


def file_of(message: pb.CidFile) -> SyncFile:
    """A file, made or not."""
    if message.bytes < 0:
        raise ValueError("a file of fewer than no bytes")
    return SyncFile(
        id=_must(message.id),
        key_type=_text(message.key_type),
        status=_must(message.status),
        requested_at=_time(message, "requested_at"),
        made_at=_time(message, "made_at"),
        size=message.bytes,
        sha256=message.sha256 and _digits(message.sha256),
    )


def cid_entry_of(message: pb.CidEntry) -> CidEntry:
    """The entry of a CID."""
    return CidEntry(_digits(message.cid), _must(message.request_id), entry_of(message.entry))


def _account(message: pb.Account) -> DirectoryAccount:
    return DirectoryAccount(
        participant=_must(message.participant),
        number=_must(message.number),
        type=_text(message.type),
        branch=_text(message.branch),
        opened_at=_time(message, "opened_at"),
    )


def _owner(message: pb.Owner) -> DirectoryOwner:
    return DirectoryOwner(
        type=_text(message.type),
        tax_id=_text(message.tax_id),
        name=_text(message.name),
        trade_name=_text(message.trade_name),
    )


def _text(value: str) -> str:
    if "\0" in value or len(value) > MOST_TEXT:
        raise ValueError("a text that cannot be kept")
    return value


def _must(value: str) -> str:
    if not value:
        raise ValueError("a text is missing")
    return _text(value)


def _one_of(value: str, *known: str) -> str:
    if value not in known:
        raise ValueError("neither one thing nor the other")
    return value


def _digits(value: str) -> str:
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError("not 64 digits")
    return value


def _time(message: "Message", field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    # Out of its range it raises ValueError, or OverflowError on the way.
    try:
        return value.ToDatetime(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("a time beyond all times") from error


def _must_time(message: "Message", field: str) -> datetime:
    if (value := _time(message, field)) is None:
        raise ValueError("a time is missing")
    return value


def _amount(value: str) -> Decimal | None:
    if not value:
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise ValueError("not an amount") from error
    if not amount.is_finite() or not 0 <= amount < 10**15:
        raise ValueError("not an amount")
    return amount


# --- onto the wire -------------------------------------------------------------------------------
def account_message(account: DirectoryAccount) -> pb.Account:
    """The account as it is: neither padded nor trimmed, since its CID is of exactly this."""
    return pb.Account(
        participant=account.participant,
        branch=account.branch,
        number=account.number,
        type=account.type,
        opened_at=account.opened_at,
    )


def owner_message(owner: DirectoryOwner) -> pb.Owner:
    """The owner as he is."""
    return pb.Owner(
        type=owner.type, tax_id=owner.tax_id, name=owner.name, trade_name=owner.trade_name
    )


def statuses_message(statuses: Sequence[str]) -> list[str]:
    """The statuses, in an order of their own."""
    return sorted(set(statuses))
