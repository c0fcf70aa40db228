"""Claims: the directory's rules of section 2, as a table and what follows from its rows."""

import sqlite3
from dataclasses import dataclass
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import entries, listing, tasks
from apps.simulators.directory.refusals import Refused, forbidden, not_found
from apps.simulators.directory.store import DAY, Store, timestamp

RESOLUTION = 7 * DAY
COMPLETION = 14 * DAY
#: The claimer's last day to prove possession.
POSSESSION = 30 * DAY

KEY_TYPES = {"OWNERSHIP": ("PHONE",), "PORTABILITY": ("CPF", "CNPJ", "PHONE", "EMAIL")}


@dataclass(frozen=True)
class Rule:
    """In one of `states`, `role` may do `action` for one of `reasons`. `late`: reasons that count
    only after the end of `period`; without reasons the whole action is late."""

    type: str
    action: str
    role: str
    states: tuple[str, ...]
    to: str
    reasons: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    period: str = ""


_P, _O = "PORTABILITY", "OWNERSHIP"
_OPEN, _WAITING, _CONFIRMED = "OPEN", "WAITING_RESOLUTION", "CONFIRMED"
_BEFORE = (_OPEN, _WAITING)
_BY_CLAIMER = ("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD")
RULES = (
    Rule(_P, "acknowledge", "DONOR", (_OPEN,), _WAITING),
    Rule(_O, "acknowledge", "DONOR", (_OPEN,), _WAITING),
    Rule(
        *(_P, "confirm", "DONOR", (_WAITING,), _CONFIRMED),
        reasons=("USER_REQUESTED", "ACCOUNT_CLOSURE"),
    ),
    Rule(
        *(_O, "confirm", "DONOR", (_WAITING,), _CONFIRMED),
        reasons=("USER_REQUESTED",),
        late=("DEFAULT_OPERATION",),
        period="resolution",
    ),
    Rule(_P, "complete", "CLAIMER", (_CONFIRMED,), "COMPLETED"),
    Rule(_O, "complete", "CLAIMER", (_CONFIRMED,), "COMPLETED", period="completion"),
    Rule(
        *(_P, "cancel", "DONOR", _BEFORE, "CANCELLED"),
        reasons=("USER_REQUESTED", "FRAUD"),
        late=("DEFAULT_OPERATION",),
        period="resolution",
    ),
    Rule(
        *(_P, "cancel", "CLAIMER", (_OPEN,), "CANCELLED"),
        reasons=(*_BY_CLAIMER, "RFB_VALIDATION", "RECONCILIATION"),
    ),
    Rule(
        *(_P, "cancel", "CLAIMER", (_WAITING,), "CANCELLED"),
        reasons=(*_BY_CLAIMER, "RFB_VALIDATION"),
    ),
    Rule(
        *(_P, "cancel", "CLAIMER", (_CONFIRMED,), "CANCELLED"),
        reasons=("FRAUD", "RECONCILIATION", "RFB_VALIDATION"),
    ),
    Rule(_O, "cancel", "DONOR", (*_BEFORE, _CONFIRMED), "CANCELLED", reasons=("FRAUD",)),
    Rule(
        *(_O, "cancel", "CLAIMER", (*_BEFORE, _CONFIRMED), "CANCELLED"),
        reasons=_BY_CLAIMER,
        late=("DEFAULT_OPERATION",),
        period="possession",
    ),
)
_NOT_ENDED = {
    "resolution": "ClaimResolutionPeriodNotEnded",
    "completion": "ClaimCompletionPeriodNotEnded",
    "possession": "ClaimCompletionPeriodNotEnded",
}


# --- operations ----------------------------------------------------------------------------------
def create(store: Store, request: pb.CreateClaimRequest) -> pb.Claim:
    """Open a claim on a key that is there and nobody claims."""
    if request.type not in KEY_TYPES:
        raise Refused("ClaimInvalid", "There is no such type.", field="type", value=request.type)
    entries.check_account(request.claimer_account, "ClaimInvalid")
    entries.check_owner(request.claimer, "ClaimInvalid")
    entries.check_key(request.key_type, request.key, "ClaimInvalid")
    if request.key_type not in KEY_TYPES[request.type]:
        raise Refused(
            "ClaimInvalid", "Not for keys of this type.", field="key_type", value=request.key_type
        )
    if request.claimer_account.participant != request.participant:
        raise forbidden("The account is another participant's.")
    if store.db.execute(
        f"SELECT 1 FROM claims WHERE lookup = ? AND {entries.ACTIVE}",  # noqa: S608
        (entries.lookup(request.key),),
    ).fetchone():
        raise Refused("ClaimAlreadyExistsForKey", "Somebody claims it.")
    if (row := entries.find(store, request.key)) is None:
        raise Refused("ClaimKeyNotFound", "There is no such key.", status=404)
    same_owner = entries.lookup(row["tax_id"]) == entries.lookup(request.claimer.tax_id)
    if same_owner != (request.type == _P):
        raise Refused("ClaimTypeInconsistent", "Not with this owner.", field="type")
    if same_owner and row["participant"] == request.participant:
        raise Refused("ClaimResultingEntryAlreadyExists", "The key is there already.")
    now = store.stamp()
    claim = pb.Claim(
        id=str(uuid4()),
        type=request.type,
        key_type=request.key_type,
        key=row["key"],
        claimer_account=request.claimer_account,
        claimer=request.claimer,
        donor_participant=row["participant"],
        status=_OPEN,
        resolution_ends_at=timestamp(now + RESOLUTION),
        completion_ends_at=timestamp(now + COMPLETION) if request.type == _O else None,
        modified_at=timestamp(now),
    )
    store.db.execute(
        "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        (
            *(claim.id, row["lookup"], row["participant"], request.participant, _OPEN, now, now),
            claim.SerializeToString(),
        ),
    )
    tasks.claim_changed(store, claim)
    return claim


def get(store: Store, request: pb.GetClaimRequest) -> pb.Claim:
    """Read it as one of its sides."""
    return pb.Claim.FromString(_mine(store, request.id, request.participant)["body"])


def page(store: Store, request: pb.ListClaimsRequest) -> pb.ListClaimsResponse:
    """Those whose last change is in the window, the earliest first."""
    rows, more = listing.page(
        store, "claims", request, roles={"DONOR": "donor", "CLAIMER": "claimer"}
    )
    claims = [pb.Claim.FromString(row["body"]) for row in rows]
    return pb.ListClaimsResponse(claims=claims, has_more=more)


def acknowledge(store: Store, request: pb.AcknowledgeClaimRequest) -> pb.Claim:
    """The donor has seen it."""
    return _act(store, "acknowledge", request.id, request.participant, "")


def confirm(store: Store, request: pb.ConfirmClaimRequest) -> pb.Claim:
    """The donor gives the key."""
    return _act(store, "confirm", request.id, request.participant, request.reason)


def cancel(store: Store, request: pb.CancelClaimRequest) -> pb.Claim:
    """One side ends it."""
    return _act(store, "cancel", request.id, request.participant, request.reason)


def complete(store: Store, request: pb.CompleteClaimRequest) -> pb.CompleteClaimResponse:
    """The claimer takes the key, once for a request id."""
    request_id = entries.check_request_id(request.request_id)
    row = _mine(store, request.id, request.participant)
    claim = pb.Claim.FromString(row["body"])
    wanted = entries.row_of(
        pb.Entry(
            key_type=claim.key_type,
            key=claim.key,
            account=claim.claimer_account,
            owner=claim.claimer,
        ),
        request_id,
    )
    before = entries.repeat(store, request.participant, request_id, wanted["cid"])
    if before is not None:
        if claim.status != "COMPLETED":
            raise Refused("RequestIdAlreadyUsed", "It belongs to an entry.", field="request_id")
        return pb.CompleteClaimResponse.FromString(before)
    claim = _act(store, "complete", request.id, request.participant, "")
    now = store.stamp()
    entry = entries.added(
        store,
        wanted,
        created_at=now,
        owned_since=row["owned_since"] if claim.type == _P else now,
    )
    done = pb.CompleteClaimResponse(
        claim=claim, created_at=entry.created_at, owned_since=entry.owned_since
    )
    entries.remember(store, request.participant, request_id, wanted, done)
    return done


# --- the machine ---------------------------------------------------------------------------------
def _act(store: Store, action: str, id: str, participant: str, reason: str) -> pb.Claim:
    row = _mine(store, id, participant)
    claim = pb.Claim.FromString(row["body"])
    roles = [
        role
        for role, side in (("CLAIMER", row["claimer"]), ("DONOR", row["donor"]))
        if side == participant
    ]
    if _is_repeated(claim, action, roles, reason):
        return claim
    mine = [
        rule
        for rule in RULES
        if (rule.type, rule.action) == (claim.type, action) and rule.role in roles
    ]
    if not mine:
        raise forbidden("That is for the other side.")
    mine = [rule for rule in mine if claim.status in rule.states]
    if not mine:
        raise Refused("ClaimOperationInvalid", f"The claim is {claim.status}.")
    # With one participant on both sides either side's reasons count.
    rule = next((one for one in mine if reason in (*one.reasons, *one.late)), None)
    if rule is None:
        if any(one.reasons or one.late for one in mine):
            raise Refused("InvalidReason", "Not for this.", field="reason", value=reason)
        rule = mine[0]
    if rule.period and (reason in rule.late or not rule.reasons):
        _ended(store, row, claim, rule.period)
    _move(store, row, claim, rule, reason, roles)
    return claim


def _is_repeated(claim: pb.Claim, action: str, roles: list[str], reason: str) -> bool:
    """The same again, while it is what came of it."""
    if action == "acknowledge":
        return claim.status == _WAITING and "DONOR" in roles
    if action == "confirm":
        return claim.status == _CONFIRMED and "DONOR" in roles and claim.confirm_reason == reason
    if action == "cancel":
        same = (claim.status, claim.cancel_reason) == ("CANCELLED", reason)
        return same and claim.cancelled_by in roles
    return False


def _ended(store: Store, row: sqlite3.Row, claim: pb.Claim, period: str) -> None:
    ends = {
        "resolution": claim.resolution_ends_at,
        "completion": claim.completion_ends_at,
        "possession": timestamp(row["created_at"] + POSSESSION),
    }[period]
    if timestamp(store.now()).ToNanoseconds() < ends.ToNanoseconds():
        raise Refused(_NOT_ENDED[period], f"It ends at {ends.ToJsonString()}.")


def _move(
    store: Store, row: sqlite3.Row, claim: pb.Claim, rule: Rule, reason: str, roles: list[str]
) -> None:
    claim.status = rule.to
    owned_since = row["owned_since"]
    if rule.action == "confirm":
        claim.confirm_reason = reason
        if claim.type == _O and reason == "USER_REQUESTED":
            claim.completion_ends_at.CopyFrom(timestamp(store.now()))
        entry = entries.must(store, claim.key)
        owned_since = entry["owned_since"]
        entries.removed(store, entry)
    elif rule.action == "cancel":
        claim.cancel_reason = reason
        # The directory does not know which side it was when both are one.
        claim.cancelled_by = roles[0]
    now = store.stamp()
    claim.modified_at.CopyFrom(timestamp(now))
    store.db.execute(
        "UPDATE claims SET status = ?, modified_at = ?, owned_since = ?, body = ? WHERE id = ?",
        (claim.status, now, owned_since, claim.SerializeToString(), claim.id),
    )
    tasks.claim_changed(store, claim)


def _mine(store: Store, id: str, participant: str) -> sqlite3.Row:
    row: sqlite3.Row | None = store.db.execute(
        "SELECT * FROM claims WHERE id = ?", (id,)
    ).fetchone()
    if row is None:
        raise not_found("claim")
    if participant not in (row["donor"], row["claimer"]):
        raise forbidden("The claim is between others.")
    return row
