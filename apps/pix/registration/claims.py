"""Registers claims and their rulebooks with the shared parts of the site."""

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts import roles
from apps.accounts.models import User
from apps.approvals import attention, subject
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import Fact, Reason, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.approvals.subject import kind_register
from apps.audit import subject_types
from apps.common.dates import moment_words
from apps.common.language import lazy as _
from apps.engine import process, timeline
from apps.notifications import kinds as notifications
from apps.notifications.kinds import NotificationKind
from apps.pix import keys
from apps.pix.contracts import CLAIM, RULEBOOK, ClaimStatus
from apps.pix.contracts.claims import CLAIM_ENDED, CLAIM_SIGNAL_KIND, SIGNAL_CHANGED
from apps.pix.models import Claim, ClaimRulebook
from apps.pix.scopes import Scope
from apps.pix.services import polling, rulebooks
from apps.pix.services.claim_attention import ATTENTION, claim_closed, claim_undeliverable
from apps.pix.services.claim_deciding import DECIDE_PERMISSION, SIGNED
from apps.pix.services.claim_hearing import POLLED
from apps.pix.services.claim_rows import PROCESS
from apps.pix.services.claim_signals import signal_settled
from apps.pix.services.claims import OPEN_PERMISSION
from apps.web import demo, navigation, refusals, search, tones
from apps.web.navigation import Item
from apps.web.search import BY_UUID, Found, Source, among, by_value
from apps.web.tones import words_of

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun

VIEW = "pix.view_claim"
OFFICERS = (TierRule("key officer"),)

REASONS = (
    Reason("USER_REQUESTED", _("The owner asks for it"), Verdict.APPROVE),
    Reason("ACCOUNT_CLOSURE", _("The account is closed"), Verdict.APPROVE),
    Reason("USER_REQUESTED", _("The owner does not want it"), Verdict.REJECT),
    Reason("FRAUD", _("The owner has proved that the key is theirs"), Verdict.REJECT),
)

NEXT_STEPS = {
    "claim_already_exists_for_key": _("Wait for the end of that claim, or cancel it."),
    "claim_differs": _("Ask for the claim that has this id, or choose another id."),
    "claim_id_taken": _("Ask for the claim that has this id, or leave the id out."),
    "claim_type_inconsistent": _("Open the type of claim that is named."),
    "claim_operation_invalid": _("Load the page again: the claim has moved on."),
    "claim_party_invalid": _("Leave it to the participant of that side."),
    "claim_resolution_period_not_ended": _("Wait for the end of the donor's period."),
    "claim_completion_period_not_ended": _("Wait for the end of the completion period."),
    "claim_possession_period_not_ended": _("Wait for the end of the claimer's period."),
    "signature_needed": _("Sign the request in the inbox."),
    "rulebook_waits": _("Sign the version that waits, or take it back."),
    "rulebook_invalid": _("Mend the document at the place that is named."),
}

TONES = {
    ClaimStatus.DECIDED: "info",
    "replaced": "",
}

WORDS = {
    CLAIM: _("key claim"),
    RULEBOOK: _("rulebook of claims"),
    "PORTABILITY": _("portability"),
    "OWNERSHIP": _("ownership"),
    "DONOR": _("the donor"),
    "CLAIMER": _("the claimer"),
    "DEFAULT_OPERATION": _("nobody has acted in time"),
    "decided": _("being carried out"),
    "replaced": _("replaced"),
    # Statuses at the directory.
    "OPEN": _("open"),
    "WAITING_RESOLUTION": _("waiting for the donor"),
    "CONFIRMED": _("confirmed"),
    "COMPLETED": _("completed"),
    "CANCELLED": _("cancelled"),
    "workflow_unreachable": _("workflow not reachable"),
    # Codes that a claim keeps of what the directory has refused.
    "claim_already_exists_for_key": _("another claim of the key is open"),
    "claim_operation_invalid": _("not possible in this state"),
    "claim_party_invalid": _("not for this side"),
    "claim_type_inconsistent": _("the other type of claim fits"),
}

DEMO = demo.DemoPart("claims", "apps.pix.services.claim_demo.claims_seed", order=49, bare=False)
PLACE = Item("pix", _("Claims"), "claims", icon="transfers", order=20)

ACTIONS = {
    "claim.opened": _("Opened the claim"),
    "claim.confirm": _("Confirmed the claim"),
    "claim.cancel": _("Cancelled the claim"),
    "claim.complete": _("Completed the claim"),
    "claim.elapse": _("Decided what nobody had decided in time"),
    "claim.confirmed": _("The donor's confirmation stands"),
    "claim.completed": _("The key is the claimer's"),
    "claim.cancelled": _("The claim is cancelled"),
    "claim.expired": _("The claim has expired"),
    "claim.refused_by_directory": _("The directory refused the claim"),
    "claim.signal_received": _("Received a signal, for a person to look at"),
    "claim.signal_refused": _("Received a signal that changes nothing"),
    "claim.restarted": _("Started its workflow again"),
    "claim.full_key_read": _("Read the key in full"),
    "claim.attention": _("Asked a person"),
    "claim.carried_on": _("Had it carried on"),
    "claim.given_up": _("Gave up"),
    "claim_rulebook.written": _("Wrote version {number}"),
    "claim_rulebook.active": _("Put version {number} into force"),
    "claim_rulebook.rejected": _("Rejected the version"),
}

TRIED = {
    "claim.open": _("Tried to open a claim"),
    "claim.confirm": _("Tried to confirm the claim"),
    "claim.cancel": _("Tried to cancel the claim"),
    "claim.complete": _("Tried to complete the claim"),
    "claim.read_full_key": _("Tried to read a key in full"),
    "claim_rulebook.change": _("Tried to write a rulebook"),
    "claim_rulebook.withdraw": _("Tried to take a version back"),
}


def _found(claim: Claim) -> Found:
    return Found(
        title=claim.claim_id,
        href=reverse("claim", args=[claim.pk]),
        key=claim.claim_id,
        state=claim.status,
        at=claim.created_at,
        workflow_id=claim.workflow_id,
    )


SOURCE = Source(
    key="claims",
    title=_("Key claims"),
    hint=_("id of the claim, or workflow id"),
    scope=Scope.PIX_READ,
    order=83,
    find=among(
        Claim.objects.for_list,
        BY_UUID,
        by_value("claim_id", like=r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"),
        by_value("workflow_id", like=r"\S{1,200}"),
        found=_found,
        seen=Claim.objects.seen_by,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title=_("Key claim"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        signal=SIGNAL_CHANGED,
        # A decision starts the workflow again if it has ended.
        restarts=True,
        default_tiers=OFFICERS,
        # No rule can give a key away without a signature.
        always_signed=True,
        reasons=REASONS,
        reasons_required=False,
        carried_out_by=lambda claim: (claim.workflow_id,),
    )
    attention.register(
        ATTENTION,
        title=_("Key claim needs attention"),
        facts=_facts,
        default_tiers=OFFICERS,
        related=("rulebook",),
    )
    kind_register(
        PROCESS,
        CLAIM_SIGNAL_KIND,
        title=_("Signal to a key claim"),
        facts=_facts,
        related=("rulebook",),
        words=_signal_words,
        on_settled=signal_settled,
        default_tiers=OFFICERS,
        always_signed=True,
    )
    subject.register(
        rulebooks.SIGNED,
        title=_("Rulebook of claims"),
        facts=lambda row: [status_fact(row, "rulebook")],
        words=_rulebook_words,
        default_tiers=OFFICERS,
        always_signed=True,
        payload_bytes=1024 * 1024,
    )
    process.register(PROCESS, on_closed=_closed, on_undeliverable=_undeliverable, view=VIEW)
    process.topics_register(rulebooks.RULEBOOK, view="pix.view_claimrulebook")
    subject_types.register(CLAIM, RULEBOOK)
    notifications.register(NotificationKind(CLAIM_ENDED, _("The end of a claim I asked for")))
    for resource in POLLED:
        polling.register(resource)
    search.register(SOURCE)
    navigation.register(PLACE)
    demo.register(DEMO)
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant("key officer", OPEN_PERMISSION, DECIDE_PERMISSION, rulebooks.CHANGE_PERMISSION)
    for role in ("key officer", "operator"):
        roles.grant(role, "pix.view_*")
    roles.grant("requester", OPEN_PERMISSION)


def _closed(identifier: str, run: "WorkflowRun") -> None:
    claim_closed(identifier, run, as_of=timezone.now())


def _undeliverable(command: "EngineCommand") -> None:
    claim_undeliverable(command, as_of=timezone.now())


def _key_of(claim: Claim) -> str:
    return keys.masked_key(claim.key_type, claim.key) if claim.key else ""


def _facts(claim: Claim) -> list[Fact]:
    """Return live facts for the reader: they are never signed."""
    ends = claim.resolution_ends_at
    facts = (
        status_fact(claim, "claim", gettext("Claim")),
        Fact(gettext("Key"), _key_of(claim)),
        Fact(gettext("Rulebook"), str(claim.rulebook)),
        Fact(gettext("The donor decides until"), moment_words(ends) if ends else ""),
        Fact(gettext("At the directory"), words_of(claim.directory_status)),
    )
    return [fact for fact in facts if fact.value]


def _words(signed: Wording, claim: Claim) -> None:
    types = {
        "PORTABILITY": gettext("portability: the same owner, another participant"),
        "OWNERSHIP": gettext("ownership: another owner"),
    }
    signed.reference(gettext("Claim"), "claim", href=reverse("claim", args=[claim.pk]))
    signed.named(gettext("Type"), {"type": claim.claim_type}, types[claim.claim_type])
    signed.named(gettext("Key"), {"key": _key_of(claim)}, _key_of(claim) or gettext("not known"))
    signed.text(gettext("Type of key"), "key_type")
    signed.text(gettext("Entry"), "entry")
    signed.text(gettext("Claimer's participant"), "claimer_ispb")
    signed.text(gettext("Donor's participant"), "donor_ispb")
    signed.text(gettext("Claimer"), "claimer")
    signed.text(gettext("Rulebook"), "rulebook")


def _signal_words(signed: Wording, claim: Claim) -> None:
    signed.reference(gettext("Claim"), "claim", href=reverse("claim", args=[claim.pk]))
    signed.text(gettext("Signal"), "signal")
    signed.text(gettext("Run of the workflow"), "run")


def _rulebook_words(signed: Wording, row: ClaimRulebook) -> None:
    signed.text(gettext("Rulebook"), "rulebook")
    signed.text(gettext("Version"), "number")
    signed.prose(gettext("Why"), "reason")


def _simulate(claim: Claim, user: User) -> Simulation:
    said = (
        gettext("The key goes to {claimer} at once.")
        if claim.rulebook.code == "source"
        else gettext("The donor's entry is removed, and {claimer} completes the claim.")
    )
    return Simulation(said.format(claimer=claim.claimer_ispb), tone="good")
