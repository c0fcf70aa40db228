"""Claims are opened: by somebody here, by a workflow that others started, or by the directory.

A `claim_id` is one claim, whoever starts it and however often.
"""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.approvals.subject import waiting_of
from apps.audit.contracts import ENGINE, Actor
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.validation import clean_workflow_id
from apps.engine import process
from apps.pix import holders, keys
from apps.pix.contracts import ClaimType, KeyType, Origin
from apps.pix.contracts.claims import ClaimFacts, ClaimOpening, ClaimRequest
from apps.pix.models import Claim
from apps.pix.rulebooks import machine
from apps.pix.services.claim_rows import (
    PROCESS,
    UNDECIDED,
    claim_event,
    claim_lock,
    claim_of,
    clean_claim_type,
    facts_of,
    record,
    save,
    status_of,
)
from apps.pix.services.claim_wanted import (
    Wanted,
    account_columns,
    check_same,
    clean_claim_id,
    entry_of,
    owner_columns,
    wanted_of,
)
from apps.pix.services.entry_rows import key_lock
from apps.pix.services.rulebooks import book_of
from apps.pix.services.shared import is_ours

OPEN_PERMISSION = "pix.open_claim"
#: Workflows that may wait for one claim besides its own.
MOST_JOINED = 20


def claim_open(
    *,
    claim_type: str,
    key_type: str,
    key: str,
    claimer_account: Any,
    claimer: Any,
    donor_ispb: str = "",
    claim_id: str = "",
    rulebook: str = "",
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[Claim, bool]:
    """Claim a key for an account of one of our participants; return the claim, and whether it is
    new. `claimer_account`: participant, branch?, number, type; `claimer`: type, tax_id, name,
    trade_name?. Without `donor_ispb` the directory says who has the key.

    Raises, each audited: NotAllowed `permission_denied`; Invalid `key_invalid`,
    `claim_type_invalid`, `claim_type_inconsistent` (extra suggested_claim), `claim_id_invalid`,
    `participant_not_ours`, `account_invalid`, `owner_invalid`, `rulebook_unknown` and what
    `apps.pix.holders` refuses; Conflict `claim_already_exists_for_key`, `claim_id_taken`,
    `entry_already_exists`, `idempotency_key_reused`.
    """
    with process.audited(PROCESS, "open", claim_id, by=by, via=via):
        if not by.has_perm(OPEN_PERMISSION):
            raise NotAllowed(_("You may not open claims."), code="permission_denied")
        wanted = Wanted(
            claim_id=clean_claim_id(claim_id) if claim_id else "",
            claim_type=clean_claim_type(claim_type),
            key_type=keys.clean_key_type(key_type),
            key=keys.clean_key(key_type, key),
            donor_ispb=holders.clean_ispb(donor_ispb, field="donor_ispb") if donor_ispb else "",
            rulebook=rulebook,
            **account_columns(claimer_account, required=True),
            **owner_columns(claimer, required=True),
        )
        if not is_ours(wanted.claimer_ispb):
            raise Invalid(
                _("The claimer's account is not at one of our participants."),
                code="participant_not_ours",
                field="claimer_account",
            )

        def columns() -> dict[str, Any]:
            # Whoever creates, deletes or claims the key at the same moment waits here.
            key_lock(wanted.key_type, wanted.key)
            own_id = wanted.claim_id or str(new_id())
            if wanted.claim_id and claim_of(own_id) is not None:
                raise Conflict(
                    _("A claim has this id. Ask for it, or leave the id out."),
                    code="claim_id_taken",
                )
            row = wanted.columns(own_id, Origin.HERE)
            check_begins(row, as_of=as_of)
            return {**row, "workflow_id": f"claim-{own_id}"}

        try:
            return process.ask_once(
                PROCESS,
                columns,
                made=lambda claim: claim_recorded(claim, by=by, via=via),
                by=by,
                key=idempotency_key,
                digest=digest(wanted.asked()),
                related=("rulebook",),
                as_of=as_of,
            )
        except IntegrityError as error:
            raise taken() from error


def claim_adopt(opening: ClaimOpening) -> ClaimFacts:
    """Open the claim of a workflow: its row begins now, or is made now if somebody started the
    workflow by hand. Another workflow than the claim's own joins it. Repeating only reads.

    Raises, each audited: NotFound for a claim that has no row and is not described; Invalid as
    `claim_open`, `workflow_id_invalid`; Conflict `claim_differs`, `claim_already_exists_for_key`,
    `too_many_workflows`.
    """
    with process.audited(PROCESS, "open", opening.request.claim_id, by=ENGINE, via="engine"):
        request = opening.request
        with transaction.atomic(durable=True):
            claim = claim_of(request.claim_id) or _described(opening)
            claim = claim_lock(claim.pk)
            check_same(claim, request)
            joins = claim.workflow_id != opening.workflow_id
            if joins and not claim.has_ended:
                _join(claim, opening.workflow_id)
            if not joins and claim.opened_at is None and not claim.has_ended:
                claim_begin(claim, as_of=opening.as_of)
            return facts_of(
                claim, waiting_of(claim, waits=UNDECIDED), as_of=opening.as_of, joins=joins
            )


def claim_demo(
    request: ClaimRequest, *, requested_by: User, by: Actor, as_of: datetime
) -> Claim | None:
    """Open a claim of the demo for somebody, by its `claim_id`; None if it is there."""
    if claim_of(request.claim_id) is not None:
        return None
    wanted = wanted_of(request)
    with transaction.atomic(durable=True):
        claim = Claim(
            **wanted.columns(wanted.claim_id, Origin.HERE),
            id=new_id(),
            workflow_id=f"claim-{wanted.claim_id}",
            requested_by=requested_by,
            request_digest=digest(wanted.asked()),
            created_at=as_of,
        )
        claim.save(force_insert=True)
        claim_recorded(claim, by=by, via="command")
        process.start(PROCESS, claim)
    return claim


def claim_begin(claim: Claim, *, as_of: datetime) -> None:
    """Begin the periods of a locked claim. Joins the caller's transaction."""
    started = machine.begin(
        book_of(claim.rulebook_id),
        claim_type=ClaimType(claim.claim_type),
        key_type=KeyType(claim.key_type) if claim.key_type else None,
        opened_at=as_of,
    )
    claim.status = status_of(started.status)
    claim.opened_at = as_of
    # What the directory has said before counts.
    dates = started.dates
    claim.resolution_ends_at = claim.resolution_ends_at or dates.resolution_ends_at
    claim.completion_ends_at = claim.completion_ends_at or dates.completion_ends_at
    claim.possession_ends_at = claim.possession_ends_at or dates.possession_ends_at
    save(
        claim,
        *("status", "opened_at", "resolution_ends_at", "completion_ends_at", "possession_ends_at"),
    )
    claim_event(claim, "created", as_of=as_of)


# --- what is claimed ------------------------------------------------------------------------------
def check_begins(columns: dict[str, Any], *, as_of: datetime) -> None:
    """Raise Invalid `claim_type_inconsistent` (extra suggested_claim) unless the rulebook lets a
    claim with these columns begin; Conflict `entry_already_exists` if the claimer has the key."""
    entry = entry_of(columns["key_type"], columns["key"], "")
    same_owner = same_participant = None
    if entry is not None and columns.get("tax_id"):
        same_owner = entry.tax_id == columns["tax_id"]
        same_participant = entry.participant == columns["claimer_ispb"]
        if same_owner and same_participant:
            raise Conflict(_("The claimer has this key."), code="entry_already_exists")
    machine.begin(
        book_of(columns["rulebook"].pk),
        claim_type=ClaimType(columns["claim_type"]),
        key_type=KeyType(columns["key_type"]) if columns["key_type"] else None,
        opened_at=as_of,
        same_owner=same_owner,
        same_participant=same_participant,
    )


def taken() -> Conflict:
    """Return the error for a key, or an entry, that has an open claim."""
    return Conflict(_("There is an open claim for this key."), code="claim_already_exists_for_key")


# --- helpers --------------------------------------------------------------------------------------
def _described(opening: ClaimOpening) -> Claim:
    """Make the row of a claim that somebody started by hand."""
    request = opening.request
    wanted = wanted_of(request)
    if wanted.key:
        key_lock(wanted.key_type, wanted.key)
    columns = wanted.columns(wanted.claim_id, Origin.ENGINE)
    check_begins(columns, as_of=opening.as_of)
    claim = Claim(
        **columns,
        id=new_id(),
        workflow_id=clean_workflow_id(opening.workflow_id),
        request_digest=digest(wanted.asked()),
        created_at=opening.as_of,
    )
    try:
        with transaction.atomic():
            claim.save(force_insert=True)
    except IntegrityError as error:
        # Two attempts at once: the second waits for the first and then reads its row.
        if (known := claim_of(request.claim_id)) is not None:
            return known
        raise taken() from error
    claim_recorded(claim, by=ENGINE, via="engine", asked_by=request.requested_by)
    process.tell(PROCESS, claim, "status")
    return claim


def claim_recorded(claim: Claim, *, by: Actor, via: str, **more: Any) -> None:
    """Audit a new claim. Joins the caller's transaction."""
    record(
        claim,
        "claim.opened",
        by=by,
        via=via,
        claim_id=claim.claim_id,
        claim_type=claim.claim_type,
        claimer_ispb=claim.claimer_ispb,
        donor_ispb=claim.donor_ispb,
        key=keys.masked_key(claim.key_type, claim.key) if claim.key else "",
        rulebook=str(claim.rulebook),
        **more,
    )


def _join(claim: Claim, workflow_id: str) -> None:
    if workflow_id in claim.joined:
        return
    if len(claim.joined) >= MOST_JOINED:
        raise Conflict(_("Too many workflows wait for this claim."), code="too_many_workflows")
    claim.joined = [*claim.joined, clean_workflow_id(workflow_id)]
    save(claim, "joined")


def open_claim_of(key_type: str, key: str) -> Claim | None:
    """Return the open claim of a key, or None."""
    rows = Claim.objects.unsettled()
    return rows.filter(key_type=key_type, key=key).first() if key else None


def claim_ids_of(row_id: str) -> dict[str, str]:
    """Return `claim_id` and `entry_id` of a row, as others know them; nothing for no row."""
    rows = Claim.objects.filter(pk=process.id_of(PROCESS, row_id))
    found = rows.values_list("claim_id", "entry_ref").first()
    return {"claim_id": found[0], "entry_id": found[1]} if found else {}


def claim_validate(opening: ClaimOpening) -> None:
    """Check a claim that somebody started by hand, before it has a row. Raises as `claim_adopt`;
    no-op for a claim that has its row."""
    with process.audited(PROCESS, "open", opening.request.claim_id, by=ENGINE, via="engine"):
        claim = claim_of(opening.request.claim_id)
        if claim is not None:
            check_same(claim, opening.request)
            return
        columns = wanted_of(opening.request).columns(opening.request.claim_id, Origin.ENGINE)
        clean_workflow_id(opening.workflow_id)
        if open_claim_of(columns["key_type"], columns["key"]) is not None:
            raise taken()
        check_begins(columns, as_of=opening.as_of)
