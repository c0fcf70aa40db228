"""Forms of the pages of payment events and the quarantine. They clean input; the services have the
rules."""

from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Q, QuerySet

from apps.accounts.models import User
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.payments.contracts import (
    EditStatus,
    PaymentStatus,
    QuarantineState,
    ReplayStatus,
    Stage,
)
from apps.payments.models import QuarantinedEvent, QuarantineGroup
from apps.payments.reading import LONGEST_ID
from apps.payments.services.imports import MOST_BYTES, MOST_LINES
from apps.payments.services.replays import FASTEST, RATE, STOP_SHARE
from apps.web.fields import IdField, KeyField, MineField, ProseField, StatusField
from apps.web.filters import FilterForm, asked_by_me
from apps.web.table_form import TableForm
from apps.web.verbs import RequiredReasonForm

#: Groups of one code or stage that a filter looks into, those of the latest failures.
MOST_GROUPS = 5000
#: What a trigram index can find.
LONGEST_QUERY = 200


class NumberField(forms.IntegerField):
    """The id of a row, for a filter."""

    api_type = int

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "min_value": 1, "max_value": 2**63 - 1, **options})


def _by_words(rows: Any, value: str, user: User) -> Any:
    # UPPER(search_text) LIKE UPPER(…) is the expression of the trigram indexes: one has the open
    # rows, the other the rest. Without their conditions no row could be found by them.
    found = Q(search_text__icontains=value)
    is_open = Q(state=QuarantineState.OPEN)
    return rows.filter((is_open & found) | (~is_open & found))


def _by_groups(column: str) -> Any:
    """Return the lookup of a column that all events of a group have in common. The groups are few,
    and their events have an index; a rare code would be looked for in all events."""

    def lookup(rows: Any, value: str, user: User) -> Any:
        groups = QuarantineGroup.objects.filter(**{column: value}).order_by("-last_at")
        return rows.filter(group__in=list(groups.values_list("pk", flat=True)[:MOST_GROUPS]))

    return lookup


class EventFilter(FilterForm):
    """Filters of the list of payment events."""

    lookups = {
        "status": "status",
        "event_id": "event_id",
        "customer": "customer_id",
        "currency": "currency",
        "risk": "risk_level",
    }
    more = ("currency", "risk")

    status = StatusField(PaymentStatus, label=_("Status"))
    event_id = forms.CharField(required=False, max_length=LONGEST_ID, label=_("Event id"))
    customer = forms.CharField(required=False, max_length=100, label=_("Customer"))
    currency = forms.CharField(required=False, max_length=3, label=_("Currency"))
    risk = forms.CharField(required=False, max_length=20, label=_("Risk"))


class GroupFilter(FilterForm):
    """Filters of the list of groups."""

    lookups = {
        "stage": "stage",
        "code": "code",
        "open": lambda rows, value, user: rows.filter(open__gt=0),
    }

    stage = StatusField(Stage, label=_("Stage"), every=_("every stage"))
    code = forms.CharField(required=False, max_length=60, label=_("Code"))
    open = forms.BooleanField(required=False, label=_("With open events only"))


class QuarantineFilter(FilterForm):
    """Filters of the list of quarantined events."""

    lookups = {
        "q": _by_words,
        "state": "state",
        "group": "group",
        "stage": _by_groups("stage"),
        "code": _by_groups("code"),
        "event_id": "event_id",
    }
    more = ("stage", "code", "event_id")
    aside = ("group",)

    q = forms.CharField(required=False, max_length=LONGEST_QUERY, label=_("Search"))
    state = StatusField(QuarantineState, label=_("State"), every=_("every state"))
    stage = StatusField(Stage, label=_("Stage"), every=_("every stage"))
    code = forms.CharField(required=False, max_length=60, label=_("Code"))
    event_id = forms.CharField(required=False, max_length=LONGEST_ID, label=_("Event id"))
    group = NumberField(label=_("Group"))

    def chosen(self, user: User) -> "QuerySet[QuarantinedEvent]":
        """Return the open events that match: those that a replay can have."""
        rows: QuerySet[QuarantinedEvent] = self.matching(
            QuarantinedEvent.objects.filter(state=QuarantineState.OPEN), user=user
        )
        return rows

    def said(self) -> dict[str, Any]:
        """Return the filters that are used, for the row of a replay."""
        return {
            name: value
            for name in self.lookups
            if name != "state" and (value := self.cleaned_data.get(name)) not in (None, "")
        }


class ReplayFilter(FilterForm):
    """Filters of the list of replays."""

    lookups = {"status": "status", "mine": asked_by_me}

    status = StatusField(ReplayStatus, label=_("Status"))
    mine = MineField()


class EditFilter(FilterForm):
    """Filters of the list of edits; `event`: those of that event."""

    lookups = {"status": "status", "event": "event", "mine": asked_by_me}

    status = StatusField(EditStatus, label=_("Status"))
    event = IdField(required=False, label=_("Event"))
    mine = MineField()


class EditForm(forms.Form):
    """A new version of a quarantined event."""

    text = forms.CharField(
        strip=False,
        label=_("The event"),
        help_text=_("The whole event as JSON. Numbers stay as you type them."),
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "class": "mono"}),
    )
    reason = ProseField(rows=3, label=_("Why"), help_text=_("The signer reads this first."))
    idempotency_key = KeyField()


class ImportForm(TableForm):
    """Corrected events as JSON lines, and why they were corrected."""

    reason = ProseField(
        rows=2,
        label=_("Why"),
        help_text=_("Of lines that have no reason of their own. The signer reads it first."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["file"].widget.attrs["accept"] = ".jsonl,.ndjson,.txt,application/x-ndjson"
        self.fields["file"].help_text = filled(
            _(
                "A file of JSON lines, as this list gives it: each with id and event. At most "
                "{lines} lines and {size} MB."
            ),
            lines=MOST_LINES,
            size=MOST_BYTES // 2**20,
        )

    def most_bytes(self) -> int:
        return MOST_BYTES


def _topics() -> list[tuple[str, str]]:
    return [(topic, topic) for topic in settings.REPLAY_TOPICS]


class RetargetForm(RequiredReasonForm):
    """The topic that an event is sent to, and why."""

    topic = forms.ChoiceField(choices=_topics, label=_("Topic"))


class ReplayForm(forms.Form):
    """A replay of what a filter matches."""

    rate = forms.IntegerField(
        min_value=1,
        max_value=FASTEST,
        initial=RATE,
        label=_("Events a second"),
        help_text=_("After a ramp of 1, 5 and 20, each of which has to end first."),
    )
    stop_share = forms.FloatField(
        min_value=0,
        max_value=1,
        initial=STOP_SHARE,
        label=_("Pause above this share of failures"),
        help_text=_("Counted from the fifth outcome on; 0.2 is one in five."),
    )
    reason = ProseField(rows=2, required=False, label=_("Why (optional)"))
    idempotency_key = KeyField()
