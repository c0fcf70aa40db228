"""Registers the pages of payments: navigation, home, search, roles."""

from django.db.models import Q
from django.urls import reverse

from apps.accounts import roles
from apps.common.language import lazy as _
from apps.payments import home
from apps.payments.contracts import TASK_QUEUE, QuarantineState
from apps.payments.models import PaymentEvent, QuarantinedEvent, ReplayRun
from apps.payments.scopes import Scope
from apps.payments.services.rules import CHANGE
from apps.web import dashboard, navigation, search
from apps.web.dashboard import Domain, Series
from apps.web.domain_cards import domain_card
from apps.web.navigation import Item, Section
from apps.web.pieces import Link
from apps.web.search import BY_UUID, Found, Source, among, by_text, by_value, everything
from apps.web.tones import words_of

VIEW, VIEW_QUARANTINE = "payments.view_paymentevent", "payments.view_quarantinedevent"
SECTION = Section("payments", _("Payments"), 25)

PLACES = (
    Item("payments", _("Overview"), "payments", icon="outcomes", permission=VIEW, order=10),
    Item("payments", _("Events"), "payment_events", icon="ledger", permission=VIEW, order=20),
    Item(
        "payments",
        _("Quarantine"),
        "quarantine",
        icon="adjustments",
        permission=VIEW_QUARANTINE,
        count=home.waiting,
        order=30,
    ),
    Item(
        "payments",
        _("Quarantined"),
        "quarantined_events",
        icon="interventions",
        permission=VIEW_QUARANTINE,
        parent="quarantine",
        order=35,
    ),
    Item(
        "payments",
        _("Replays"),
        "replays",
        icon="refunds",
        permission=VIEW_QUARANTINE,
        order=40,
    ),
)

DOMAIN = Domain(
    key="payments",
    title=_("Payments"),
    home=Link(_("All of them"), "payments"),
    today=home.today,
    order=35,
    series=Series(
        rows=lambda user: QuarantinedEvent.objects.all(),
        marked=Q(state=QuarantineState.OPEN),
        marked_title=_("Still open"),
        tone="bad",
        sentence=_("Events quarantined in the last 24 hours: {count}; still open: {marked}."),
        none=_("Nothing was quarantined in the last 24 hours."),
    ),
    topics=("home", "quarantine", "payments"),
    permission=VIEW_QUARANTINE,
)

EVENTS = Source(
    key="payment_events",
    title=_("Payment events"),
    hint=_("event id, or a customer's id"),
    permission=VIEW,
    scope=Scope.PAYMENTS_READ,
    order=50,
    find=among(
        lambda: PaymentEvent.objects.all(),
        by_value("event_id", like=r"[!-~]{3,150}"),
        by_value("customer_id", like=r"[!-~]{2,100}"),
        found=lambda event: Found(
            title=event.event_id,
            href=reverse("payment_event", args=[event.intake_id]),
            key=event.event_id,
            notes=(event.status, event.customer_id),
            at=event.ingested_at,
        ),
        seen=everything,
    ),
)
_OPEN = Q(state=QuarantineState.OPEN)
QUARANTINE = Source(
    key="quarantine",
    title=_("Quarantine"),
    hint=_("id, or a part of what is wrong"),
    permission=VIEW_QUARANTINE,
    scope=Scope.PAYMENTS_READ,
    order=51,
    find=among(
        lambda: QuarantinedEvent.objects.defer("raw", "key", "headers", "errors"),
        BY_UUID,
        by_value("event_id", like=r"[!-~]{3,150}"),
        by_text("search_text", where=_OPEN, order=("-created_at", "-pk")),
        by_text("search_text", where=~_OPEN, order=("-created_at", "-pk")),
        found=lambda row: Found(
            title=str(row),
            href=reverse("quarantined_event", args=[row.pk]),
            key=str(row.pk),
            state=row.state,
            notes=(words_of(row.code),),
            at=row.created_at,
        ),
        seen=everything,
    ),
)
REPLAYS = Source(
    key="replays",
    title=_("Replays"),
    hint=_("id or workflow id"),
    permission=VIEW_QUARANTINE,
    scope=Scope.PAYMENTS_READ,
    order=52,
    find=among(
        lambda: ReplayRun.objects.all(),
        BY_UUID,
        found=lambda run: Found(
            title=str(run),
            href=reverse("replay", args=[run.pk]),
            key=str(run.pk),
            state=run.status,
            at=run.created_at,
            workflow_id=run.workflow_id,
        ),
        seen=everything,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    navigation.register_sections(SECTION)
    navigation.register(*PLACES)
    dashboard.register(domain_card(DOMAIN))
    dashboard.watch_queue(TASK_QUEUE)
    search.register(EVENTS, QUARANTINE, REPLAYS)
    _grant()


def _grant() -> None:
    roles.grant(
        "quarantine operator",
        "payments.send_paymentevent",
        "payments.edit_quarantinedevent",
        "payments.replay_quarantinedevent",
        "payments.discard_quarantinedevent",
        "payments.import_quarantinedevent",
        "payments.read_payload",
    )
    roles.grant(
        "quarantine releaser",
        "payments.replay_quarantinedevent",
        "payments.read_payload",
        # Edits are signed in the inbox, like everything else.
        "approvals.decide_approvalrequest",
        "approvals.view_approvalrequest",
    )
    for role in ("quarantine operator", "quarantine releaser", "operator"):
        roles.grant(role, "payments.view_*")
    # Who keeps the rules decides on no quarantined event: nobody makes a rule fit an event.
    roles.grant("operator", CHANGE)
