"""Forms of the pages of claims. They clean input; the services have the rules."""

from typing import Any

from django import forms

from apps.accounts.models import User
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, document_of
from apps.pix.contracts import (
    AccountType,
    ClaimStatus,
    ClaimType,
    KeyType,
    OwnerType,
    Role,
    RulebookStatus,
)
from apps.pix.forms.keys import PHONE_HELP, ChosenField, participants
from apps.pix.models import ClaimRulebook
from apps.web.fields import KeyField, MineField, ProseField, StatusField
from apps.web.filters import FilterForm, asked_by_me
from apps.web.tones import title_of

SIDES = {Role.DONOR: _("we are the donor"), Role.CLAIMER: _("we are the claimer")}


#: The coded reasons of a side, in words.
REASONS = {
    "USER_REQUESTED": _("the owner asks for it"),
    "ACCOUNT_CLOSURE": _("the account is closed"),
    "FRAUD": _("fraud"),
    "RFB_VALIDATION": _("the tax office does not know the owner"),
    "DEFAULT_OPERATION": _("nobody has acted in time"),
}


def of_side(rows: Any, value: Any, user: User) -> Any:
    """Filter by the side that is ours."""
    return rows.filter(**{"donor_ours" if value == Role.DONOR else "claimer_ours": True})


class ClaimFilter(FilterForm):
    """Filters of the list of claims."""

    lookups = {
        "status": "status",
        "side": of_side,
        "claim_type": "claim_type",
        "mine": asked_by_me,
    }

    status = StatusField(ClaimStatus, label=_("Status"))
    side = forms.ChoiceField(
        choices=[("", _("either side")), *SIDES.items()], required=False, label=_("Side")
    )
    claim_type = StatusField(ClaimType, label=_("Type"), every=_("every type"))
    mine = MineField()


class ClaimForm(forms.Form):
    """A key that is claimed, the account that it is for, and its owner there."""

    claim_type = forms.ChoiceField(
        label=_("Type"),
        choices=[
            (ClaimType.PORTABILITY, _("Portability: the same owner, from another participant")),
            (ClaimType.OWNERSHIP, _("Ownership: the key has another owner")),
        ],
    )
    key_type = forms.ChoiceField(
        label=_("Type of key"),
        choices=lambda: [(one, title_of(one)) for one in KeyType if one is not KeyType.EVP],
    )
    key = forms.CharField(label=_("Key"), max_length=200, help_text=PHONE_HELP)
    participant = forms.ChoiceField(
        label=_("Participant"), choices=participants, help_text=_("Where the key is to go.")
    )
    branch = forms.CharField(
        label=_("Branch"), max_length=4, required=False, help_text=_("With its zeros: 0001.")
    )
    number = forms.CharField(label=_("Account number"), max_length=20)
    type = ChosenField(AccountType, label=_("Type of account"))
    owner_type = ChosenField(OwnerType, label=_("The owner is"))
    tax_id = forms.CharField(label=_("CPF or CNPJ of the owner"), max_length=20)
    name = forms.CharField(label=_("Name of the owner"), max_length=150)
    trade_name = forms.CharField(
        label=_("Trade name"),
        max_length=100,
        required=False,
        help_text=_("Only a company has one."),
    )
    idempotency_key = KeyField()

    def clean(self) -> dict[str, Any]:
        """Return what the service takes: the account and the owner as objects."""
        given = super().clean() or {}
        if self.errors:
            return given
        account = {name: given.pop(name) for name in ("participant", "branch", "number", "type")}
        owner = {"type": given.pop("owner_type")}
        owner |= {name: given.pop(name) for name in ("tax_id", "name", "trade_name")}
        return {**given, "claimer_account": account, "claimer": owner}


class _AnswerForm(forms.Form):
    reason = ProseField(required=False)


def _answers(*codes: str) -> type[forms.Form]:
    """Return a form with these coded reasons to choose from."""

    class AnswerForm(_AnswerForm):
        reason_code = forms.ChoiceField(
            label=_("Why"), choices=[(code, REASONS[code]) for code in codes]
        )

    return AnswerForm


#: The forms of what a side does to a claim on its page.
ANSWERS: dict[tuple[str, Role], type[forms.Form]] = {
    ("complete", Role.CLAIMER): _AnswerForm,
    ("cancel", Role.CLAIMER): _answers(
        "USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION", "DEFAULT_OPERATION"
    ),
    ("cancel", Role.DONOR): _answers("FRAUD"),
}


def _codes() -> list[tuple[str, str]]:
    known = ClaimRulebook.objects.filter(status=RulebookStatus.ACTIVE)
    return [
        (code, code) for code in sorted({"source", "dict", *known.values_list("code", flat=True)})
    ]


class RulebookForm(forms.Form):
    """The next version of a rulebook, as JSON."""

    code = forms.ChoiceField(label=_("Rulebook"), choices=_codes)
    document = forms.CharField(
        label=_("Document"),
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "mono"}),
        help_text=_("It begins with the version that is in force. Its number is given by itself."),
    )
    reason = ProseField(label=_("Why"))
    idempotency_key = KeyField()

    def clean_document(self) -> Any:
        """Return the document."""
        try:
            return document_of(self.cleaned_data["document"].encode())
        except NotJson as error:
            raise forms.ValidationError(filled(_("It is not JSON: {error}"), error=error)) from None
