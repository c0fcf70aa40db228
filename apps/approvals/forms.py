"""Forms of the inbox and of decisions. They clean input; `services` has the rules."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.contracts import BulkStatus, RequestStatus, Verdict
from apps.approvals.models import ApprovalRequest, ApprovalRequestQuerySet, ApprovalRule
from apps.approvals.reason_forms import CodedForm
from apps.approvals.rules import MOST_TIERS
from apps.approvals.selectors.comment_permissions import only_reads, reading_refusal
from apps.approvals.services import REASON_LIMIT
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.web.fields import AmountField, StatusField
from apps.web.filters import FilterForm
from apps.web.saved_filters import FilteredPage
from apps.web.tones import words_of

AGES = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7)}
#: "Due soon" means within a day.
SOON = timedelta(days=1)
#: The trigram index needs three letters or digits in a row; it ignores other characters.
SHORTEST_SEARCH = 3
_FINDABLE = re.compile(r"[^\W_]{3}")
MOST_CHOICES = 200


def _kind_choices() -> list[tuple[str, str]]:
    return [("", gettext("every kind")), *((kind.name, kind.title) for kind in kinds.registered())]


def _group_choices() -> list[tuple[str, str]]:
    names = Group.objects.order_by("name").values_list("name", flat=True)[:MOST_CHOICES]
    return [("", gettext("any group")), *((name, name) for name in names)]


def _currency_choices() -> list[tuple[str, str]]:
    # Read from the rules, because they are few and requests may be a million.
    codes = ApprovalRule.objects.exclude(currency="").order_by("currency")
    found = codes.values_list("currency", flat=True).distinct()[:MOST_CHOICES]
    return [("", gettext("any")), *((code, code) for code in found)]


class InboxFilter(FilterForm):
    """The inbox's filters as GET parameters, so that a filtered inbox has a URL to share."""

    more = ("group", "due", "claim", "age", "currency", "least", "most")
    aside = ("mine",)
    #: Filters that only open requests can match, with the error for settled ones.
    _waiting_only: ClassVar[dict[str, str]] = {
        "mine": _("Only what waits can be for you to sign."),
        "due": _("Only what waits is due."),
        "claim": _("Only what waits is held by somebody."),
    }

    q = forms.CharField(
        required=False,
        label=_("Search"),
        min_length=SHORTEST_SEARCH,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
        error_messages={
            "min_length": filled(
                _("At least {shortest_search} characters."), shortest_search=SHORTEST_SEARCH
            )
        },
    )
    status = forms.ChoiceField(
        required=False,
        choices=lambda: [
            ("", gettext("waiting")),
            *((s.value, words_of(s)) for s in RequestStatus if s.settled),
        ],
        label=_("Status"),
    )
    kind = forms.ChoiceField(required=False, choices=_kind_choices, label=_("Kind"))
    sort = forms.ChoiceField(
        required=False,
        label=_("Order"),
        choices=[
            ("", _("newest first")),
            ("oldest", _("oldest first")),
            ("due", _("due first")),
            ("largest", _("largest amount first")),
            ("smallest", _("smallest amount first")),
        ],
    )
    group = forms.ChoiceField(required=False, label=_("Signs now"), choices=_group_choices)
    due = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("whenever")),
            ("over", _("overdue")),
            ("soon", _("within a day or overdue")),
        ],
        label=_("Due"),
    )
    claim = forms.ChoiceField(
        required=False,
        label=_("Held by"),
        choices=[
            ("", _("anybody or nobody")),
            ("me", _("me")),
            ("free", _("nobody")),
            ("taken", _("somebody")),
        ],
    )
    age = forms.ChoiceField(
        required=False,
        label=_("Older than"),
        choices=[("", _("any age")), ("1h", _("an hour")), ("1d", _("a day")), ("7d", _("a week"))],
    )
    currency = forms.ChoiceField(required=False, choices=_currency_choices, label=_("Currency"))
    least = AmountField(
        required=False,
        label=_("Amount from"),
    )
    most = AmountField(
        required=False,
        label=_("Amount to"),
    )
    mine = forms.BooleanField(required=False, label=_("Mine"))

    def clean(self) -> dict[str, Any]:
        """Add errors for filters that contradict each other."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.get("q") and not _FINDABLE.search(values["q"]):
            self.add_error(
                "q", ValidationError(gettext("At least three letters or digits in a row."))
            )
        if values.get("status"):
            for name, words in self._waiting_only.items():
                if values.get(name):
                    self.add_error(name if name != "mine" else "status", ValidationError(words))
            if values.get("sort") == "due":
                self.add_error("sort", ValidationError(gettext("Only what waits is due.")))
        least, most = values.get("least"), values.get("most")
        if least is not None and most is not None and least > most:
            self.add_error("most", ValidationError(gettext("Less than the amount it begins with.")))
        return values

    def apply(
        self, queryset: ApprovalRequestQuerySet, *, user: User, as_of: datetime
    ) -> ApprovalRequestQuerySet:
        """Return the matching rows; none while the form is invalid."""
        base = self.apply_bar(queryset, as_of=as_of)
        return self.narrow(base, user=user, as_of=as_of, **self.place) if self.is_valid() else base

    def apply_bar(
        self, queryset: ApprovalRequestQuerySet, *, as_of: datetime, waiting: bool = True
    ) -> ApprovalRequestQuerySet:
        """Apply all filters but `mine`, `due` and `claim`, which the tabs above the list choose.

        `waiting`: without a status only open requests, as in the inbox; otherwise any status.
        """
        if not self.is_valid():
            return queryset.none()
        values: dict[str, Any] = self.cleaned_data
        if values["status"]:
            queryset = queryset.filter(status=values["status"])
        elif waiting:
            queryset = queryset.open()
        if values["kind"]:
            queryset = queryset.filter(kind=values["kind"])
        if values["group"]:
            queryset = queryset.waiting_for(values["group"])
        if values["age"]:
            queryset = queryset.filter(created_at__lte=as_of - AGES[values["age"]])
        if values["currency"]:
            queryset = queryset.filter(currency=values["currency"])
        if values["least"] is not None:
            queryset = queryset.filter(amount__gte=values["least"])
        if values["most"] is not None:
            queryset = queryset.filter(amount__lte=values["most"])
        if values["q"]:
            # UPPER(search_text) LIKE UPPER(…) is the expression of the trigram index.
            queryset = queryset.filter(search_text__icontains=values["q"])
        return queryset

    def narrow(
        self,
        queryset: ApprovalRequestQuerySet,
        *,
        user: User,
        as_of: datetime,
        mine: bool = False,
        due: str = "",
        claim: str = "",
    ) -> ApprovalRequestQuerySet:
        """Narrow to requests that the user could sign, that are due, or that are claimed."""
        if mine:
            group = self.cleaned_data["group"] if self.is_valid() else ""
            queryset = queryset.mine(user, as_of=as_of, group=group)
        if due:
            queryset = queryset.filter(due_at__lte=as_of if due == "over" else as_of + SOON)
        if claim == "me":
            queryset = queryset.filter(claimed_by=user.pk, claimed_until__gt=as_of)
        elif claim == "free":
            queryset = queryset.filter(Q(claimed_by=None) | Q(claimed_until__lte=as_of))
        elif claim == "taken":
            queryset = queryset.filter(claimed_by__isnull=False, claimed_until__gt=as_of)
        return queryset

    @property
    def place(self) -> dict[str, Any]:
        """Return `mine`, `due` and `claim` as arguments of `narrow`; none while the form is
        invalid."""
        if not self.is_valid():
            return {}
        return {name: self.cleaned_data[name] for name in ("mine", "due", "claim")}

    @property
    def order(self) -> str:
        """Return one of pagination.ORDERS."""
        return (self.cleaned_data["sort"] if self.is_valid() else "") or "newest"

    @property
    def searches(self) -> bool:
        """Return whether there is a search text."""
        return bool(self.is_valid() and self.cleaned_data["q"])

    @property
    def wants_mine(self) -> bool:
        return bool(self.is_valid() and self.cleaned_data["mine"])


def inbox_matching(*, user: User, query: str, as_of: datetime) -> ApprovalRequestQuerySet:
    """Return what the inbox lists for the user at this query string, unordered."""
    form = InboxFilter(QueryDict(query))
    visible = ApprovalRequest.objects.visible_to(user)
    return form.apply(visible, user=user, as_of=as_of).order_by()


class DecideForm(CodedForm):
    """A verdict and its reason, bound to the payload and the tier that the page showed."""

    verdict = forms.ChoiceField(
        choices=[(Verdict.APPROVE.value, _("Approve")), (Verdict.REJECT.value, _("Reject"))],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one: approve or reject.")},
        label=_("Verdict"),
    )
    reason = forms.CharField(
        required=False,
        max_length=REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 4}),
        label=_("Reason"),
    )
    payload_hash = forms.CharField(max_length=64, widget=forms.HiddenInput)
    tier = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_TIERS, widget=forms.HiddenInput
    )

    def __init__(self, *args: Any, approval: ApprovalRequest, **kwargs: Any) -> None:
        super().__init__(*args, names=[approval.kind], **kwargs)
        self._text_required = approval.reason_required

    def clean(self) -> None:
        """Require a reason, in words or coded, as the decision does."""
        self.codes_clean(
            names=[kind.name for kind in self.kinds],
            text_required=self._text_required,
            why=gettext("This field is required."),
        )

    @property
    def reason_code(self) -> str:
        """Return the coded reason chosen for the chosen verdict."""
        return next(iter(self.codes.values()), "")


class BulkForm(CodedForm):
    """One verdict for many requests, with a coded reason for each kind. `key` makes a repeated
    submission count once; `ids` are all requests of the preview, to show it again; `picked` are the
    kinds of the selected requests."""

    verdict = forms.ChoiceField(
        choices=[(Verdict.APPROVE.value, _("Approve")), (Verdict.REJECT.value, _("Reject"))],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one: approve or reject.")},
        label=_("Verdict"),
    )
    reason = forms.CharField(
        required=False,
        max_length=REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=_("Reason"),
    )
    key = forms.UUIDField(widget=forms.HiddenInput)
    ids = forms.CharField(required=False, max_length=40_000, widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, names: Iterable[str], picked: Iterable[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, names=names, **kwargs)
        self._picked = set(picked)

    def clean(self) -> None:
        """Require a reason, in words or coded, for each picked kind."""
        self.codes_clean(
            names=self._picked,
            text_required=True,
            why=gettext("Say in a sentence why: it is kept with each of them."),
        )


class BulkFilter(FilterForm):
    """Filters of the list of bulk decisions, as GET parameters."""

    lookups = {"status": "status"}

    status = StatusField(BulkStatus, label=_("Status"))


#: Its filters can be saved, but by nobody who only reads.
FILTERED = FilteredPage(
    name="inbox",
    title=_("Inbox"),
    form=InboxFilter,
    refusal=lambda user: reading_refusal() if only_reads(user) else None,
)
