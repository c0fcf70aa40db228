"""Registers keys with the shared parts of the site."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.approvals import attention
from apps.approvals.kinds import Fact, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.engine import process, timeline
from apps.live.topics import UUID_PATTERN, Topic
from apps.live.topics import register as topic_register
from apps.notifications import kinds as notification_kinds
from apps.notifications.kinds import NotificationKind
from apps.pix import home
from apps.pix.contracts import (
    ENTRY,
    ENTRY_CHANGE,
    AccountType,
    ChangeKind,
    EntryStatus,
    KeyType,
    OwnerType,
)
from apps.pix.contracts.entries import Step
from apps.pix.models import Entry, EntryChange
from apps.pix.scopes import Scope
from apps.pix.services.entries import CHANGE
from apps.pix.services.entry_attention import ATTENTION, change_closed
from apps.pix.services.entry_rows import PROCESS, shown
from apps.pix.services.key_reading import FULL, VIEW
from apps.pix.services.possession import code_relevant
from apps.pix.views.keys import title
from apps.web import dashboard, demo, failures, navigation, refusals, search, tones
from apps.web.dashboard import Domain
from apps.web.domain_cards import domain_card
from apps.web.failures import Failures
from apps.web.navigation import Item
from apps.web.pieces import Link
from apps.web.search import BY_UUID, Found, Source, among, by_value, everything

VIEW_CHANGES = "pix.view_entrychange"

PLACE = Item("pix", _("Keys"), "entries", icon="seal", permission=VIEW, order=10)

DOMAIN = Domain(
    key="keys",
    title=_("Pix keys"),
    home=Link(_("All of them"), "entries"),
    today=home.keys_today,
    order=42,
    permission=VIEW,
    topics=("home", "entries"),
)

FAILURES = Failures(
    key="entry_changes",
    title=_("Pix keys"),
    rows=home.failed_changes,
    listed=home.failed_keys,
    order=40,
)

DEMO = demo.DemoPart("pix_keys", "apps.pix.services.entry_demo.keys_seed", order=47)

#: By ids alone: the text of a search stands in an address, where no key belongs.
KEYS = Source(
    key="pix_keys",
    title=_("Pix keys"),
    hint=_("id of a key, never the key itself"),
    permission=VIEW,
    scope=Scope.PIX_READ,
    order=84,
    find=among(
        Entry.objects.all,
        BY_UUID,
        by_value("entry_id", like=r"[!-~]{1,100}"),
        found=lambda entry: Found(
            title=title(entry),
            href=reverse("entry", args=[entry.pk]),
            key=entry.entry_id,
            state=entry.status,
            notes=(entry.participant,),
            at=entry.created_at,
        ),
        seen=everything,
    ),
)

CHANGES = Source(
    key="pix_key_changes",
    title=_("Changes of Pix keys"),
    hint=_("id, or the id of its workflow"),
    permission=VIEW_CHANGES,
    scope=Scope.PIX_READ,
    order=71,
    find=among(
        EntryChange.objects.select_related("entry").all,
        BY_UUID,
        by_value("workflow_id", like=r"[!-~]{1,200}"),
        found=lambda change: Found(
            title=title(change.entry),
            href=reverse("entry", args=[change.entry_id]),
            key=str(change.pk),
            state=change.status,
            at=change.created_at,
            workflow_id=change.workflow_id,
        ),
        seen=EntryChange.objects.seen_by,
    ),
)

_CLAIM = _("Open a claim for it, if the owner has a right to it.")
NEXT_STEPS = {
    "key_invalid": _("Correct the key, then send it again."),
    "key_type_invalid": _("Choose one of the types."),
    "tax_id_invalid": _("Correct the CPF or CNPJ, then send it again."),
    "ispb_invalid": _("Type the eight digits of the participant."),
    "branch_invalid": _("Type the branch with its zeros."),
    "account_number_invalid": _("Type the number without its dash."),
    "owner_type_invalid": _("Choose a person or a company."),
    "account_type_invalid": _("Choose one of the types."),
    "reason_invalid": _("Choose one of the reasons that are offered."),
    "trade_name_invalid": _("Leave the trade name empty, or correct it."),
    "participant_not_ours": _("Choose a participant that this installation acts for."),
    "participant_fixed": _CLAIM,
    "owner_fixed": _CLAIM,
    "entry_unchanged": _("Change something, or leave it."),
    "entry_already_exists": _("Find the key in the list."),
    "entry_owned_by_different_person": _CLAIM,
    "entry_in_custody_of_different_participant": _CLAIM,
    "entry_limit_exceeded": _("Remove another key of the account first, or choose another one."),
    "entry_locked_by_claim": _("Wait until the claim has ended."),
    "entry_not_active": _("Only an active key can be changed."),
    "entry_change_running": _("Wait until it has ended."),
    "entry_removed": _("A claim took the key. Nothing is left to do."),
    "key_unknown": _("Check the key."),
    "possession_unavailable": _("Choose another key, or have whoever keeps the site look at it."),
    "possession_code_invalid": _("Type the newest code, or have another one sent."),
    "possession_code_expired": _("Create the key again: another code is sent."),
    "possession_code_fresh": _("Look for it, also among what is taken for spam."),
    "possession_not_waiting": _("This page shows how far the key is."),
    "directory_unavailable": _("Nothing was lost. It is tried again by itself."),
    "directory_not_found": _("The directory does not have the key. The next sync repairs it here."),
    "directory_answer_invalid": _("Have whoever keeps the site look at it."),
}

TONES: dict[str, str] = {
    EntryStatus.POSSESSION: "warn",
    EntryStatus.REMOVED: "",
}

WORDS: dict[str, str] = {
    ENTRY: _("Pix key"),
    ENTRY_CHANGE: _("change of a Pix key"),
    EntryStatus.POSSESSION: _("waits for the code"),
    EntryStatus.REMOVED: _("removed"),
    KeyType.CPF: _("CPF"),
    KeyType.CNPJ: _("CNPJ"),
    KeyType.EVP: _("EVP"),
    KeyType.PHONE: _("phone"),
    KeyType.EMAIL: _("e-mail address"),
    OwnerType.NATURAL_PERSON: _("a person"),
    OwnerType.LEGAL_PERSON: _("a company"),
    AccountType.CACC: _("checking account"),
    AccountType.TRAN: _("payment account"),
    AccountType.SLRY: _("salary account"),
    AccountType.SVGS: _("savings account"),
    AccountType.OTHR: _("other account"),
    Step.DIRECTORY: _("ask the directory"),
    Step.ENTRY: _("write down what it answered"),
    "USER_REQUESTED": _("the owner asks for it"),
    "ACCOUNT_CLOSURE": _("the account is closed"),
    "BRANCH_TRANSFER": _("the account has moved to another branch"),
    "RECONCILIATION": _("correction of what we wrote wrongly"),
    "RFB_VALIDATION": _("the tax authority's data differ"),
    "FRAUD": _("fraud"),
    # Why a change came to nothing.
    "entry_removed": _("the key went to somebody else meanwhile"),
    "possession_code_expired": _("nobody typed the code in time"),
    "possession_code_invalid": _("the code was wrong five times"),
    "entry_already_exists": _("the owner has the key already"),
    "entry_owned_by_different_person": _("somebody else has the key"),
    "entry_in_custody_of_different_participant": _("the key is at another participant"),
    "entry_limit_exceeded": _("too many keys of the account"),
    "entry_locked_by_claim": _("somebody claims the key"),
    "directory_bad_request": _("the directory does not take what it was sent"),
    "directory_forbidden": _("the directory does not allow it"),
    "directory_operation_gone": _("the directory does not do this any more"),
    "directory_refused": _("the directory refuses it"),
    "directory_signature_invalid": _("the directory does not take our signature"),
    "directory_not_found": _("unknown to the directory"),
    "directory_unavailable": _("the directory was away"),
    "directory_answer_invalid": _("the directory's answer cannot be kept"),
}

ACTIONS = {
    "entry_change.create_requested": _("Asked for the key"),
    "entry_change.update_requested": _("Asked for a change of the key"),
    "entry_change.delete_requested": _("Asked for the removal of the key"),
    "entry_change.code_sent": _("A code was sent to the phone or mailbox"),
    "entry_change.possession_proved": _("Proved to have the phone or mailbox"),
    "entry_change.created": _("The key is active"),
    "entry_change.updated": _("The key was changed"),
    "entry_change.deleted": _("The key was removed"),
    "entry_change.failed": _("It came to nothing"),
    "entry_change.cancelled": _("It was given up"),
    "entry_change.restarted": _("Started its workflow again"),
    "entry_change.attention": _("Asked a person"),
    "entry_change.carried_on": _("Had the directory asked again"),
    "entry_change.given_up": _("Left it as it is"),
    "entry.full_key_read": _("Read the key in full"),
    "entry.looked_up": _("Looked a key up"),
    "entry.claimed": _("Removed: a claim took the key"),
    "entry.ownership_changed": _("The key went to its claimer"),
}

TRIED = {
    "entry_change.create": _("Tried to create a key"),
    "entry_change.update": _("Tried to change a key"),
    "entry_change.delete": _("Tried to remove a key"),
    "entry_change.possession": _("Tried a code"),
    "entry_change.code": _("Tried to have another code sent"),
    "entry_change.send": _("The directory was asked"),
    "entry_change.apply": _("Tried to write down the directory's answer"),
    "entry.lookup": _("Tried to look a key up"),
    "entry.find": _("Tried to find a key"),
    "entry.read_full_key": _("Tried to read a key in full"),
}


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    process.register(PROCESS, closed=change_closed, view=VIEW_CHANGES)
    topic_register(Topic("entry", pattern=UUID_PATTERN, permission=VIEW))
    attention.register(
        ATTENTION,
        title=_("Change of a key needs attention"),
        facts=_facts,
        words=_words,
        default_tiers=(TierRule("key officer"),),
        related=("entry",),
    )
    subject_types.register(ENTRY, ENTRY_CHANGE)
    notification_kinds.register(
        NotificationKind(
            "entry_change.code",
            _("A code that proves who has a phone or mailbox"),
            mutable=False,
            relevant=code_relevant,
            in_settings=False,
        )
    )
    navigation.register(PLACE)
    dashboard.register(domain_card(DOMAIN))
    failures.register(FAILURES)
    search.register(KEYS, CHANGES)
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    demo.register(DEMO)
    _grant()


def _grant() -> None:
    # Of changes that the directory did not answer.
    signs = ("approvals.decide_approvalrequest", "approvals.view_approvalrequest")
    roles.grant("key officer", CHANGE, FULL, *signs)
    for role in ("key officer", "operator"):
        roles.grant(role, "pix.view_*")


def _facts(change: EntryChange) -> list[Fact]:
    return [
        status_fact(change, ENTRY_CHANGE),
        Fact(gettext("Key"), shown(change.entry), href=reverse("entry", args=[change.entry_id])),
        Fact(gettext("What is done"), str(_KINDS[ChangeKind(change.kind)])),
        Fact(gettext("Participant"), change.entry.participant),
    ]


_KINDS = {
    ChangeKind.CREATE: _("create"),
    ChangeKind.UPDATE: _("change"),
    ChangeKind.DELETE: _("remove"),
}


def _words(signed: Wording, change: EntryChange) -> None:
    signed.text(gettext("Key"), "key")
