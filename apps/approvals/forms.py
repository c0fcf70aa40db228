"""Forms of the inbox and of a decision. They clean input; the rules are in `services`."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import ApprovalRequest, ApprovalRequestQuerySet
from apps.approvals.services import REASON_LIMIT

AGES = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7)}


def _kind_choices() -> list[tuple[str, str]]:
    return [("", "every kind"), *((kind.name, kind.title) for kind in kinds.registered())]


class InboxFilter(forms.Form):
    """The filters, as GET parameters, so that a filtered inbox is an address to share."""

    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "waiting"),
            *((s.value, s.value) for s in RequestStatus if s.settled),
        ],
    )
    kind = forms.ChoiceField(required=False, choices=_kind_choices)
    age = forms.ChoiceField(
        required=False,
        label="Older than",
        choices=[("", "any age"), ("1h", "an hour"), ("1d", "a day"), ("7d", "a week")],
    )
    least = forms.DecimalField(
        required=False, label="Amount from", min_value=0, max_digits=18, decimal_places=2
    )
    most = forms.DecimalField(
        required=False, label="Amount to", min_value=0, max_digits=18, decimal_places=2
    )
    mine = forms.BooleanField(required=False)

    def apply(
        self, queryset: ApprovalRequestQuerySet, *, as_of: datetime
    ) -> ApprovalRequestQuerySet:
        """Everything but `mine`. Filters that are not valid find nothing, rather than all."""
        if not self.is_valid():
            return queryset.none()
        values: dict[str, Any] = self.cleaned_data
        status = values["status"]
        queryset = queryset.filter(status=status) if status else queryset.open()
        if values["kind"]:
            queryset = queryset.filter(kind=values["kind"])
        if values["age"]:
            queryset = queryset.filter(created_at__lte=as_of - AGES[values["age"]])
        if values["least"] is not None:
            queryset = queryset.filter(amount__gte=values["least"])
        if values["most"] is not None:
            queryset = queryset.filter(amount__lte=values["most"])
        return queryset

    @property
    def wants_mine(self) -> bool:
        return bool(self.is_valid() and self.cleaned_data["mine"])


class DecideForm(forms.Form):
    """A verdict with its reason, on the payload that was on the page."""

    verdict = forms.ChoiceField(
        choices=[(Verdict.APPROVE.value, "Approve"), (Verdict.REJECT.value, "Reject")],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one: approve or reject."},
    )
    reason = forms.CharField(
        required=False,
        max_length=REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    payload_hash = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, approval: ApprovalRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = approval.reason_required
