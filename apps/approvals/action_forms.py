"""Forms of the actions on a request other than deciding it, and the form of delegations."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import kinds, selectors
from apps.approvals.kinds import ApprovalKind, EditableField
from apps.approvals.models import DECIDE_PERMISSION, ApprovalRequest
from apps.approvals.selectors.signing import PERMISSIONS_BACKEND
from apps.approvals.services import REASON_LIMIT
from apps.common.language import lazy as _
from apps.web.fields import AmountField

#: How many users the select offers. In a larger organisation the API takes any username.
MOST_PEOPLE = 500


class ReassignForm(forms.Form):
    """The new holder and the reason."""

    to = forms.ChoiceField(label=_("To"))
    reason = forms.CharField(
        required=False,
        max_length=REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 2}),
        label=_("Reason"),
    )

    def __init__(
        self, *args: Any, approval: ApprovalRequest, holder: User | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        people = selectors.signers(approval)[:MOST_PEOPLE]
        self.fields["to"].choices = [  # type: ignore[attr-defined]
            (person.username, str(person)) for person in people if person != holder
        ]
        # The page has two forms with a field `reason`; their HTML ids must differ.
        self.fields["reason"].widget.attrs["id"] = "id_reassign_reason"


class EditForm(forms.Form):
    """The kind's editable fields with their current values, the version seen, and the reason."""

    def __init__(
        self, *args: Any, kind: ApprovalKind, payload: dict[str, Any], seen: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.payload = payload
        self.names = [field.name for field in kind.editable]
        for field in kind.editable:
            self.fields[field.name] = _field_of(field, payload.get(field.name))
        self.fields["edit_reason"] = forms.CharField(
            label=gettext("Reason for the change"),
            max_length=REASON_LIMIT,
            widget=forms.Textarea(attrs={"rows": 3}),
            help_text=gettext("The signer reads it, and the record keeps it."),
        )
        self.fields["payload_hash"] = forms.CharField(
            max_length=64, widget=forms.HiddenInput, initial=seen
        )

    @property
    def changes(self) -> dict[str, str]:
        """Return the fields whose text differs from the current payload."""
        sent = {name: self.cleaned_data[name].replace("\r\n", "\n") for name in self.names}
        return {k: v for k, v in sent.items() if v != str(self.payload.get(k) or "")}


class DelegationForm(forms.Form):
    """Who may sign for whom, for which kinds and amounts, and until when."""

    delegate = forms.ChoiceField(label=_("Who signs for you"))
    ends_at = forms.DateTimeField(
        label=_("Until (UTC)"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("At most a year."),
    )
    starts_at = forms.DateTimeField(
        required=False,
        label=_("From (UTC)"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Leave empty for now."),
    )
    kinds = forms.MultipleChoiceField(
        required=False,
        label=_("Only these kinds"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Tick none for every kind."),
    )
    most = AmountField(
        required=False,
        label=_("Amounts up to"),
        help_text=_("Leave empty for any amount."),
    )
    currency = forms.RegexField(
        r"^[A-Z]{3}$",
        required=False,
        max_length=3,
        help_text=_("The currency of the limit, in three capital letters."),
        error_messages={"invalid": _("Three capital letters, such as NGN.")},
        label=_("Currency"),
    )
    reason = forms.CharField(
        required=False,
        label=_("Why"),
        max_length=REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        able = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS_BACKEND)
        people = able.exclude(pk=user.pk).order_by("first_name", "last_name", "username")
        self.fields["delegate"].choices = [  # type: ignore[attr-defined]
            ("", gettext("Choose somebody")),
            *((person.username, str(person)) for person in people[:MOST_PEOPLE]),
        ]
        self.fields["kinds"].choices = [  # type: ignore[attr-defined]
            (kind.name, kind.title) for kind in kinds.registered()
        ]

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.get("most") is not None and not values.get("currency"):
            self.add_error("currency", gettext("A limit needs a currency."))
        ends_at = values.get("ends_at")
        if ends_at is not None and ends_at <= timezone.now():
            self.add_error("ends_at", gettext("That is over already."))
        return values


def _field_of(field: EditableField, value: Any) -> forms.Field:
    widget: forms.Widget = forms.TextInput()
    if field.type == "prose":
        widget = forms.Textarea(attrs={"rows": 6})
    elif field.type == "decimal":
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    return forms.CharField(
        label=field.label, initial=value, max_length=20_000, widget=widget, required=False
    )
