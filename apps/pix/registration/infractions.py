"""Where infractions appear in what all apps share."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.accounts.models import User
from apps.approvals import attention, subject
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import Fact, Reason, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.audit import subject_types
from apps.common.dates import moment_words
from apps.common.language import lazy as _
from apps.engine import process, timeline
from apps.notifications import kinds as notification_kinds
from apps.notifications.kinds import NotificationKind
from apps.pix import leader_tasks
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import (
    SIGNAL_CHANGED,
    SIGNAL_EVIDENCE,
    SIGNAL_KIND,
    FraudType,
)
from apps.pix.infraction_texts import ACTIONS, NEXT_STEPS, TONES, TRIED, WORDS
from apps.pix.keys import masked_key
from apps.pix.models import Infraction
from apps.pix.scopes import Scope
from apps.pix.services import infraction_hearing, infraction_home, polling
from apps.pix.services.infraction_attention import ATTENTION, infraction_closed
from apps.pix.services.infraction_opening import REPORT
from apps.pix.services.infraction_rows import PROCESS, restart
from apps.pix.services.infraction_signals import signal_settled
from apps.pix.services.infraction_signing import SIGNED
from apps.pix.services.infraction_telling import TOLD_KIND, is_undecided
from apps.pix.services.infraction_working import DECIDE, ESCALATED_TO
from apps.web import dashboard, demo, navigation, refusals, search, tones
from apps.web.dashboard import Domain
from apps.web.domain_cards import domain_card
from apps.web.navigation import Item
from apps.web.pieces import Link
from apps.web.search import BY_UUID, Found, Source, among, by_value
from apps.web.tones import words_of

VIEW = "pix.view_infraction"
OFFICER = "key officer"
TIERS = (TierRule(OFFICER),)
PLACE = Item("pix", _("Infractions"), "infractions", icon="alert", permission=VIEW, order=30)

REASONS = (
    Reason(FraudType.APPLICATION_FRAUD, _("Account opened by fraud"), Verdict.APPROVE),
    Reason(FraudType.MULE_ACCOUNT, _("Mule account"), Verdict.APPROVE),
    Reason(FraudType.SCAMMER_ACCOUNT, _("Account of a scammer"), Verdict.APPROVE),
    Reason(FraudType.OTHER, _("Another fraud"), Verdict.APPROVE, text_required=True),
)
DOMAIN = Domain(
    key="infractions",
    title=_("Infractions"),
    home=Link(_("All of them"), "infractions"),
    today=infraction_home.today,
    order=34,
    topics=("home", "infractions"),
    permission=VIEW,
)
DEMO = demo.DemoPart(
    "infractions", "apps.pix.services.demo_infractions.infractions_seed", order=48, bare=False
)


def _found(infraction: Infraction) -> Found:
    return Found(
        title=infraction.transaction_id or infraction.infraction_id,
        href=reverse("infraction", args=[infraction.pk]),
        key=infraction.infraction_id,
        state=infraction.status,
        at=infraction.created_at,
        amount=infraction.amount,
        currency=infraction.currency,
        workflow_id=infraction.workflow_id,
    )


SOURCE = Source(
    key="infractions",
    title=_("Infractions"),
    hint=_("id, id of the payment, or workflow id"),
    scope=Scope.PIX_READ,
    order=31,
    find=among(
        Infraction.objects.for_list,
        BY_UUID,
        by_value("infraction_id", like=r"\S+"),
        by_value("directory_id", like=r"\S+"),
        by_value("transaction_id", like=r"\S+"),
        by_value("workflow_id", like=r"\S+"),
        found=_found,
        seen=Infraction.objects.seen_by,
    ),
)
POLLED = polling.Resource(
    "infractions",
    infraction_hearing.infractions_listed,
    infraction_hearing.infraction_take,
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    process.register(PROCESS, closed=infraction_closed, restart=restart, view=VIEW)
    subject.register(
        SIGNED,
        title=_("Infraction"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        signal=SIGNAL_CHANGED,
        default_tiers=TIERS,
        always_signed=True,
        expires=False,
        reasons=REASONS,
    )
    attention.register(
        ATTENTION, title=_("Infraction needs attention"), facts=_facts, default_tiers=TIERS
    )
    subject.kind_register(
        PROCESS,
        SIGNAL_KIND,
        title=_("Signal about an infraction"),
        facts=_facts,
        words=_signal_words,
        default_tiers=TIERS,
        always_signed=True,
        expires=False,
        on_settled=signal_settled,
    )
    notification_kinds.register(
        NotificationKind(
            TOLD_KIND,
            _("An infraction was reported about one of our accounts"),
            email=True,
            permission=VIEW,
            relevant=is_undecided,
        )
    )
    polling.register(POLLED)
    leader_tasks.register_all()
    subject_types.register(INFRACTION)
    navigation.register(PLACE)
    search.register(SOURCE)
    dashboard.register(domain_card(DOMAIN))
    demo.register(DEMO)
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant(OFFICER, VIEW, REPORT, DECIDE)
    roles.grant(OFFICER, "approvals.decide_approvalrequest", "approvals.view_approvalrequest")
    roles.grant(ESCALATED_TO, VIEW)


def _facts(infraction: Infraction) -> list[Fact]:
    """Return live facts for the reader: they are never signed."""
    signals = infraction.signals.filter(name=SIGNAL_EVIDENCE, outcome="taken")
    evidence = [
        Fact(gettext("Evidence from outside"), " ".join(filter(None, (one.text, one.url))))
        for one in signals.order_by("id")[:20]
    ]
    return [
        status_fact(infraction, "infraction"),
        Fact(
            gettext("Status in the directory"),
            words_of(infraction.directory_status) or gettext("none"),
        ),
        *evidence,
    ]


def _words(signed: Wording, infraction: Infraction) -> None:
    signed.text(gettext("Payment"), "transaction_id")
    signed.amount(gettext("Amount"), "amount")
    for label, field in (
        (gettext("Reason"), "reason"),
        (gettext("What happened"), "situation"),
    ):
        code = getattr(infraction, field)
        signed.named(label, {field: code}, words_of(code))
    signed.prose(gettext("Details"), "details")
    signed.text(gettext("Reported by"), "reporter")
    signed.text(gettext("Reported"), "counterparty")
    key = masked_key(infraction.key_type, infraction.key)
    signed.named(gettext("Key"), {"key": key}, key or gettext("not said"))
    signed.text(gettext("Id of the infraction"), "infraction_id")
    due = infraction.due_at
    signed.named(gettext("Due"), {"due_at": due.isoformat()}, moment_words(due))
    signed.reference(
        gettext("Infraction"), "infraction", href=reverse("infraction", args=[infraction.pk])
    )


def _signal_words(signed: Wording, infraction: Infraction) -> None:
    signed.text(gettext("It says"), "decision")
    signed.text(gettext("Type of fraud"), "fraud_type")
    signed.prose(gettext("Notes"), "notes")
    signed.reference(
        gettext("Infraction"), "infraction", href=reverse("infraction", args=[infraction.pk])
    )


def _simulate(infraction: Infraction, user: User) -> Simulation:
    if infraction.directory_id:
        said = gettext("The directory is told that it was fraud, and marks whoever was reported.")
    else:
        said = gettext("It is closed as fraud here. The directory does not know it.")
    return Simulation(said, tone="warn")
