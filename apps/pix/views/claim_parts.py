"""What the pages of claims say about one: its key, its sides, its clock, and who has to act now."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals.contracts import RequestStatus
from apps.common.language import lazy as _
from apps.pix import keys
from apps.pix.contracts import ClaimStatus, ClaimType, KeyType, OwnerType
from apps.pix.contracts.claims import CLAIM_KIND
from apps.pix.models import Claim
from apps.pix.services.claim_rows import UNDECIDED, clock_of, completes_itself
from apps.web.pieces import Fact
from apps.web.tones import title_of, words_of

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequest

#: What the end of the running period does, in a row of a list and in a sentence.
_CLOCKS = {
    ClaimStatus.EXPIRED: _("expires"),
    ClaimStatus.CONFIRMED: _("counts as confirmed"),
    ClaimStatus.COMPLETED: _("will be completed"),
    ClaimStatus.CANCELLED: _("will be cancelled"),
}
_AFTER = {
    ClaimStatus.EXPIRED: _("The claim expires. The key stays where it is."),
    ClaimStatus.CONFIRMED: _("It counts as confirmed: the claimer may complete it."),
    ClaimStatus.COMPLETED: _("It is completed: the key is the claimer's."),
    ClaimStatus.CANCELLED: _("The claim is cancelled."),
}

_CARRIED = {
    "confirm": _("nobody: the confirmation is being carried out"),
    "cancel": _("nobody: the cancellation is being carried out"),
    "complete": _("nobody: the completion is being carried out"),
    "elapse": _("nobody: what the clock has decided is being carried out"),
}


def key_of(claim: Claim) -> str:
    """Return the key as pages show it: masked; the entry's id where nobody knows the key."""
    if claim.key:
        return keys.masked_key(claim.key_type, claim.key)
    return claim.entry_ref or gettext("not known here")


def title_of_claim(claim: Claim) -> str:
    """Return what it is about, for the head of its page and its card on the board."""
    about = {
        ClaimType.PORTABILITY: _("Portability of {key}"),
        ClaimType.OWNERSHIP: _("Ownership of {key}"),
    }[ClaimType(claim.claim_type)]
    return str(about).format(key=key_of(claim))


def sides_of(claim: Claim) -> str:
    """Return between whom it is."""
    donor = claim.donor_ispb or gettext("not known yet")
    return gettext("{donor} to {claimer}").format(donor=donor, claimer=claim.claimer_ispb)


def with_clocks(claims: Iterable[Any]) -> None:
    """Give each claim `due_at`, when its rulebook's clock acts next (None: not by itself), `late`,
    and `due_to`, the status that it has then; `due_words` say it."""
    now = timezone.now()
    for claim in claims:
        due, leads_to = clock_of(claim)
        claim.due_at = due.at if due else None
        claim.late = due is not None and due.at <= now
        claim.due_to = leads_to
        claim.due_words = str(_CLOCKS[leads_to]) if leads_to else ""


# --- now ------------------------------------------------------------------------------------------
def now_facts(claim: Claim, requests: "Iterable[ApprovalRequest]") -> list[Fact]:
    """Return for whom the claim waits, until when, and what happens then; nothing for one that has
    ended. The claim has its clock (`with_clocks`); `requests` are those that the reader may see."""
    if claim.has_ended:
        return []
    due_to: ClaimStatus | None = claim.due_to  # type: ignore[attr-defined]
    due_at: Any = claim.due_at  # type: ignore[attr-defined]
    until, then = due_at, str(_AFTER[due_to]) if due_to else ""
    if due_at is None and claim.status in UNDECIDED:
        until = claim.resolution_ends_at
        then = gettext("Its participant does what the rules say of silence.") if until else ""
    asked = next(
        (one for one in requests if one.kind == CLAIM_KIND and one.status == RequestStatus.OPEN),
        None,
    )
    facts = (
        Fact(
            gettext("Waits for"),
            _waits_for(claim),
            href=reverse("request", args=[asked.pk]) if asked and _by_us(claim) else "",
        ),
        Fact(gettext("Not before"), _not_before(claim), form="when"),
        Fact(gettext("Until"), until, form="when"),
        Fact(gettext("After that"), then),
    )
    return [fact for fact in facts if fact.value]


def _by_us(claim: Claim) -> bool:
    """Return whether a person here decides for the donor."""
    return claim.status in UNDECIDED and (claim.donor_ours or not claim.key)


def _not_before(claim: Claim) -> Any:
    ends_at = claim.completion_ends_at
    waits = claim.status == ClaimStatus.CONFIRMED and not completes_itself(claim)
    return ends_at if waits and ends_at and ends_at > timezone.now() else None


def _waits_for(claim: Claim) -> str:
    if claim.status == ClaimStatus.DECIDED:
        return str(_CARRIED[claim.decision])
    if claim.opened_at is None:
        return gettext("its workflow, which opens it")
    if claim.status == ClaimStatus.CONFIRMED:
        if completes_itself(claim):
            return gettext("nobody: it is being completed")
        if claim.claimer_ours:
            return gettext("the claimer, here: to complete it")
        return gettext("the claimer's participant, {ispb}").format(ispb=claim.claimer_ispb)
    if claim.told_at is None:
        return gettext("the directory, which is being told")
    if _by_us(claim):
        return gettext("the donor: a signature in the inbox")
    if claim.donor_ispb:
        return gettext("the donor's participant, {ispb}").format(ispb=claim.donor_ispb)
    return gettext("the donor's participant")


# --- what it is -----------------------------------------------------------------------------------
def facts_of(claim: Claim, request: HttpRequest) -> list[Fact]:
    """Return what was asked, and what became of it; key and tax id in full where the request was
    let read them (`request._full_claim`)."""
    full: Claim | None = getattr(request, "_full_claim", None)
    tax_id = claim.tax_id
    if tax_id and claim.owner_type == OwnerType.NATURAL_PERSON:
        tax_id = keys.masked_key(KeyType.CPF, tax_id)
    kind = title_of(claim.account_type) if claim.account_type else ""
    facts = (
        Fact(gettext("Key"), full.key if full and full.key else key_of(claim), form="code"),
        Fact(gettext("Type"), title_of(claim.claim_type)),
        Fact(gettext("Donor"), claim.donor_ispb, form="code", note=_ours(claim.donor_ours)),
        Fact(gettext("Claimer"), claim.claimer_ispb, form="code", note=_ours(claim.claimer_ours)),
        Fact(gettext("Branch"), claim.branch, form="code"),
        Fact(gettext("Account"), claim.account_number, form="code", note=kind),
        Fact(gettext("Owner"), claim.name),
        Fact(gettext("Trade name"), claim.trade_name),
        Fact(gettext("CPF or CNPJ"), full.tax_id if full else tax_id, form="code"),
        Fact(gettext("The donor decides until"), claim.resolution_ends_at, form="when"),
        Fact(gettext("To be completed from"), claim.completion_ends_at, form="when"),
        Fact(gettext("To be completed until"), claim.possession_ends_at, form="when"),
        Fact(gettext("Decided by"), words_of(claim.decided_by)),
        Fact(gettext("Reason"), words_of(claim.decision_reason)),
        # With a code the note at the top of the page says it.
        Fact(gettext("In words"), "" if claim.error_code else claim.error_detail, form="prose"),
        Fact(gettext("At the directory"), words_of(claim.directory_status)),
        Fact(gettext("Id of the claim"), claim.claim_id, form="code"),
        Fact(gettext("Id at the directory"), _other_id(claim), form="code"),
        Fact(
            gettext("Rulebook"),
            str(claim.rulebook),
            href=reverse("rulebook", args=[claim.rulebook_id]),
        ),
        Fact(gettext("Workflow"), claim.workflow_id, form="code"),
    )
    return [fact for fact in facts if fact.value]


def _other_id(claim: Claim) -> str:
    """Return the directory's id, unless it is the claim's own: that of a claim it has named."""
    return "" if claim.directory_id == claim.claim_id else claim.directory_id


def _ours(ours: bool) -> str:
    return gettext("ours") if ours else ""
