"""Pages of the quarantine: groups of events that failed alike, the events, and one event."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.payments.contracts import EDIT, QUARANTINED, QuarantineState
from apps.payments.forms import GroupFilter, QuarantineFilter, RetargetForm
from apps.payments.layout import content_of, place_of
from apps.payments.models import QuarantinedEvent, QuarantineGroup, QuarantineHour
from apps.payments.services import desk, reviews
from apps.payments.services.desk import DISCARD, REPLAY
from apps.payments.services.edits import EDIT_PERMISSION
from apps.payments.services.imports import IMPORT_PERMISSION, line_of, versions_attach
from apps.payments.services.payloads import as_it_came
from apps.payments.services.trials import event_try
from apps.streams.selectors import messages_of
from apps.web.denied import row_of
from apps.web.fragments import let_in, person
from apps.web.lists import JsonLines, ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import AGE, Column
from apps.web.tones import words_of
from apps.web.verbs import ReasonForm

if TYPE_CHECKING:
    from apps.streams.models import OutgoingMessage

VIEW = "payments.view_quarantinedevent"
PAYLOAD = "payments.read_payload"
CRUMBS = (Link(_("Quarantine"), "quarantine"), Link(_("Events"), "quarantined_events"))
#: The trend of a group: so many hours, the last of them is not over.
TREND_HOURS = 24
TREND_HEIGHT = 20
#: Versions and attempts that a page lists.
MOST_LISTED = 50


# --- groups ---------------------------------------------------------------------------------------
def _trends(groups: Sequence[QuarantineGroup]) -> None:
    """Set `trend` on each group: a bar for each of the last hours, left to right. One query."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    first = now - timedelta(hours=TREND_HOURS - 1)
    counts: dict[int, dict[int, int]] = {}
    rows = QuarantineHour.objects.filter(group__in=[group.pk for group in groups], hour__gte=first)
    for group_id, hour, count in rows.order_by().values_list("group_id", "hour", "count"):
        place = int((hour - first).total_seconds() // 3600)
        counts.setdefault(group_id, {})[place] = count
    for group in groups:
        own = counts.get(group.pk, {})
        most = max(own.values(), default=0)
        group.trend = [  # type: ignore[attr-defined]
            (place * 5, TREND_HEIGHT - high, high)
            for place, count in sorted(own.items())
            for high in [max(2, round(count * TREND_HEIGHT / most))]
            if count
        ]
        group.last_day = sum(own.values())  # type: ignore[attr-defined]


GROUPS_PAGE = ListPage(
    name="quarantine",
    title=_("Quarantine"),
    lead=_("Events that failed, grouped by stage, code and field. Each waits for a person."),
    noun="group",
    topic="quarantine",
    rows=lambda user: QuarantineGroup.objects.all(),
    to="quarantine_group",
    version=lambda group: f"{group.open}-{group.replaying}-{group.last_at.timestamp()}",
    order="failed",
    permission=VIEW,
    filters=GroupFilter,
    columns=(
        Column(head=_("What is wrong"), value="code", form="title", part="payments/_group.html"),
        Column(head=_("Stage"), value="stage", form="words"),
        Column(head=_("Field"), value="field", form="name", part="payments/_field.html", wide=True),
        Column(head=_("Open"), value="open", form="count", text=_("{} open")),
        Column(
            head=_("On its way"),
            value=lambda group: group.replaying or None,
            form="count",
            text=_("{} on their way"),
            file="replaying",
            wide=True,
        ),
        Column(
            head=_("Settled"),
            value=lambda group: group.replayed + group.discarded + group.superseded,
            form="count",
            text=_("{} settled"),
            wide=True,
        ),
        Column(
            head=_("24 hours"),
            value="last_day",
            form="text",
            part="payments/_trend.html",
            file="last_24_hours",
        ),
        Column(
            head=_("First"),
            value="first_at",
            form="age",
            text=_("first {}"),
            wide=True,
            file="first_at",
        ),
        Column(head=_("Last"), value="last_at", form="age", text=_("last {}"), file="last_at"),
    ),
    links=(
        Link(_("All events"), "quarantined_events", VIEW),
        Link(_("Replays"), "replays", VIEW),
    ),
    none=_("Nothing has failed"),
    first=_("Events that cannot be kept come here by themselves."),
    empty=_("Events that cannot be kept come here by themselves."),
    complete=_trends,
    arrivals=False,
)


# --- events ---------------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    return QuarantinedEvent.objects.defer("raw", "key", "headers", "search_text")


def _whole_rows(user: User) -> Any:
    """Return the rows with their contents; larger ones than an event may be have none."""
    return QuarantinedEvent.objects.defer("key", "headers", "search_text", "raw").annotate(
        content=Case(When(size__lte=settings.PAYMENT_EVENT_MAX_BYTES, then="raw"))
    )


EVENTS_PAGE = ListPage(
    name="quarantined_events",
    title=_("Quarantined events"),
    lead=_("Each as it came, with what is wrong and what became of it."),
    noun="quarantined event",
    topic="quarantine",
    rows=_rows,
    to="quarantined_event",
    permission=VIEW,
    filters=QuarantineFilter,
    columns=(
        Column(head=_("Event"), value=str, form="title", file="event_id"),
        Column(
            head=_("What is wrong"),
            value="code",
            form="long",
            part="payments/_code.html",
            file="code",
        ),
        Column(head=_("Field"), value="field", form="name", part="payments/_field.html", wide=True),
        Column(head=_("Stage"), value="stage", form="words", wide=True),
        Column(head=_("Attempt"), value="attempt", form="count", text=_("attempt {}"), wide=True),
        AGE,
        Column(head=_("State"), value="state", form="state"),
    ),
    crumbs=CRUMBS[:1],
    links=(Link(_("Import"), "quarantine_import", IMPORT_PERMISSION),),
    onward=(Link(_("Replay these"), "replay_new", REPLAY, main=True),),
    lines=JsonLines(
        rows=_whole_rows,
        line=line_of,
        permission=PAYLOAD,
        complete=versions_attach,
    ),
    none=_("Nothing has failed"),
    first=_("Events that cannot be kept come here by themselves."),
    empty=_("Events that cannot be kept come here by themselves."),
)


def group(request: HttpRequest, group_id: int) -> HttpResponse:
    """Lead to the events of a group: its open ones."""
    let_in(request, VIEW)
    found = row_of(QuarantineGroup.objects.all(), pk=group_id)
    state = QuarantineState.OPEN if found.open else ""
    return redirect(f"{reverse('quarantined_events')}?group={found.pk}&state={state}")


# --- one event ------------------------------------------------------------------------------------
def _by_key(service: Any, key: UUID, **given: Any) -> Any:
    return service(row_id=key, **given)


def _verb(name: str, service: Any, permission: str, **texts: Any) -> RowVerb:
    action = f"{QUARANTINED}.{name}"
    return RowVerb(call=partial(_by_key, service), permission=permission, action=action, **texts)


VERBS = RowVerbs(
    name="quarantined_event",
    rows=_rows,
    subject_type=QUARANTINED,
    verbs={
        "replay": _verb(
            "replay",
            desk.event_replay,
            REPLAY,
            title=_("Replay"),
            button=_("Replay the event"),
            help=_("May be empty. The newest signed version is carried on, under its own id."),
            said=_("On its way. This page shows what becomes of it."),
            applies=lambda row: row.state == QuarantineState.OPEN,
            form=ReasonForm,
            plain=True,
        ),
        "retarget": _verb(
            "retarget",
            desk.event_retarget,
            REPLAY,
            title=_("Send to another topic"),
            button=_("Send the event"),
            help=_("The message goes there as it came, and ends here: another program has it."),
            said=_("It is sent. This page shows when the broker has it."),
            applies=lambda row: row.state == QuarantineState.OPEN and settings.REPLAY_TOPICS,
            form=RetargetForm,
            choice="topic",
        ),
        "discard": _verb(
            "discard",
            desk.event_discard,
            DISCARD,
            title=_("Discard"),
            button=_("Discard the event"),
            help=_("Nobody will carry it on. It stays here, and can be restored."),
            said=_("Discarded."),
            applies=lambda row: row.state == QuarantineState.OPEN,
        ),
        "restore": _verb(
            "restore",
            desk.event_restore,
            DISCARD,
            title=_("Restore"),
            button=_("Restore the event"),
            help=_("May be empty. It waits for a person again."),
            said=_("Restored: it waits for a person again."),
            applies=lambda row: row.state == QuarantineState.DISCARDED,
            form=ReasonForm,
            plain=True,
        ),
    },
)


def _context(request: HttpRequest, row: QuarantinedEvent) -> dict[str, Any]:
    user = person(request)
    sees = user.has_perm(PAYLOAD)
    edits = list(row.edits.select_related("requested_by").order_by("-number")[:MOST_LISTED])
    is_open = row.state == QuarantineState.OPEN
    waits = any(not edit.has_ended for edit in edits)
    return {
        "topics": f"{QUARANTINED}:{row.pk}",
        "head": _head(row),
        "row": row,
        "sees": sees,
        "content": content_of(as_it_came(row).raw) if sees else None,
        "download": reverse("quarantined_event_raw", args=[row.pk]) if row.size else "",
        "edits": edits,
        "may_edit": is_open and not waits and user.has_perm(EDIT_PERMISSION),
        "attempts": row.attempts.order_by("-number")[:MOST_LISTED],
        "came": _came(row),
        "verbs": VERBS.shown(row, user),
        "trial_url": f"{reverse('quarantined_event', args=[row.pk])}?try=1" if is_open else "",
        "timeline": timeline(
            subjects=[
                (QUARANTINED, str(row.pk)),
                *((EDIT, str(edit.pk)) for edit in edits[:5]),
            ],
            workflow_ids=[row.event_id] if row.event_id and row.intake_id else [],
            older=request.GET.get("older", ""),
        ),
    }


def _whole(request: HttpRequest, row: QuarantinedEvent) -> dict[str, Any]:
    asked = request.GET.get("try") and row.state == QuarantineState.OPEN
    return {"trial": event_try(row) if asked else None}


def _head(row: QuarantinedEvent) -> Head:
    links = [
        Link(gettext("Alike"), f"{reverse('quarantined_events')}?group={row.group_id}&state=open")
    ]
    if row.intake_id:
        links.append(
            Link(gettext("The event's story"), reverse("payment_event", args=[row.intake_id]))
        )
    note = None
    if row.state == QuarantineState.REPLAYING:
        note = Note(
            gettext("It is on its way."),
            gettext("It is kept, or it fails again and waits here as before."),
            tone="info",
        )
    return Head(
        str(row),
        words_of(row.code).capitalize(),
        at=row.created_at,
        crumbs=CRUMBS,
        state=row.state,
        links=links,
        note=note,
    )


def _came(row: QuarantinedEvent) -> list[Fact]:
    found = [
        Fact(gettext("Source"), words_of(row.source), note=place_of(row)),
        Fact(gettext("Failed at"), words_of(row.stage)),
        Fact(gettext("Attempt"), row.attempt),
        Fact(gettext("Came"), row.created_at, form="when"),
        Fact(gettext("Digest"), row.digest[:16], form="code"),
    ]
    if row.review_at is not None:
        found.append(
            Fact(gettext("Review in the engine"), reviews.workflow_id_of(row.pk), form="code")
        )
    if row.state == QuarantineState.RETARGETED:
        found += [_sent(message) for message in messages_of(QUARANTINED, row.pk)[:1]]
    if row.seen > 1:
        found.append(Fact(gettext("Came again"), row.seen - 1))
    for name, value in row.headers[:20]:
        found.append(Fact(gettext("Header"), name, note="" if value is None else value[:80]))
    return found


def _sent(message: "OutgoingMessage") -> Fact:
    """Return where the event went: the place in its topic, or why it is not there yet."""
    if message.sent_at is None:
        waits = message.error or gettext("waits for the broker")
        return Fact(gettext("Goes to"), message.topic, note=waits)
    return Fact(gettext("Sent to"), message.topic, note=message.place)


DETAIL_PAGE = DetailPage(
    name="quarantined_event",
    rows=lambda user: QuarantinedEvent.objects.defer("search_text"),
    context=_context,
    whole=_whole,
    permission=VIEW,
    template="payments/quarantined_event.html",
    main=(
        "payments/_what_failed.html",
        "payments/_payload.html",
        "payments/_versions.html",
        "payments/_attempts.html",
    ),
    side=("web/_row_verbs.html", "payments/_event_came.html"),
    after=("console/_timeline.html",),
)


def raw(request: HttpRequest, key: UUID) -> HttpResponse:
    """Send the bytes as they came."""
    let_in(request, PAYLOAD, action=f"{QUARANTINED}.download", subject_type=QUARANTINED)
    row = row_of(QuarantinedEvent.objects.only("raw"), pk=key)
    response = HttpResponse(bytes(row.raw or b""), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="event-{key}.bin"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response
