"""Registers edits of quarantined events with approvals and live pages."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import subject
from apps.approvals.kinds import Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.common.language import lazy as _
from apps.engine import process
from apps.payments.contracts import QuarantineState
from apps.payments.models import QuarantineEdit
from apps.payments.services.edits import EDIT_ROW, SIGNED
from apps.payments.services.trials import event_try
from apps.web.tones import title_of, words_of

VIEW = "payments.view_quarantinedevent"
COLUMNS = {"path": _("Field"), "before": _("As it came"), "after": _("Now")}


def register() -> None:
    """Register edits. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title=_("Edit of a quarantined event"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        default_tiers=(TierRule("quarantine releaser"),),
        # No rule can allow one without a signature: whoever edits never signs.
        always_signed=True,
    )
    process.topics_register(EDIT_ROW, view=VIEW)


def _words(signed: Wording, edit: QuarantineEdit) -> None:
    signed.table(gettext("What changes"), "changes", titles={k: str(v) for k, v in COLUMNS.items()})
    signed.named(
        gettext("Kind of change"),
        {"class": edit.field_class},
        title_of(edit.field_class),
        tone="warn" if edit.field_class != "free" else "",
    )
    signed.prose(gettext("Why"), "reason")
    signed.person(gettext("Edited by"), "edited_by", edit.requested_by)
    signed.reference(
        gettext("Event"), "event", href=reverse("quarantined_event", args=[edit.event_id])
    )
    signed.reference(gettext("Event id"), "event_id")
    signed.text(gettext("Version"), "version")
    signed.reference(gettext("Digest as it came"), "original_digest")
    signed.reference(gettext("Digest of this version"), "edited_digest")


def _facts(edit: QuarantineEdit) -> list[Fact]:
    """Return live facts for the reader. They are never signed."""
    event = edit.event
    facts = [
        status_fact(edit, "quarantine_edit", gettext("The version")),
        Fact(
            gettext("The event"),
            words_of(event.state),
            href=reverse("quarantined_event", args=[event.pk]),
            tone="" if event.state == QuarantineState.OPEN else "warn",
        ),
        Fact(gettext("Failed with"), words_of(event.code)),
    ]
    if edit.error_detail:
        facts.append(Fact(gettext("Why it ended so"), edit.error_detail))
    return facts


def _simulate(edit: QuarantineEdit, user: User) -> Simulation:
    """Return what a replay of this version would do now: its dry run."""
    trial = event_try(edit.event, text=bytes(edit.raw).decode("utf-8", "replace"))
    if not trial.code:
        return Simulation(
            outcome=gettext("Nothing moves yet. A replay of this version would be kept."),
            tone="good",
        )
    return Simulation(
        outcome=gettext("Nothing moves yet. A replay of this version would fail: {why}").format(
            why=trial.detail or words_of(trial.code)
        ),
        tone="warn",
    )
