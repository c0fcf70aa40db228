"""Forms of the pages of keys. They clean input; the services have the rules."""

from enum import StrEnum
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef

from apps.common.language import lazy as _
from apps.pix.contracts import (
    LONGEST_KEY,
    AccountType,
    ChangeKind,
    ChangeStatus,
    EntryStatus,
    KeyType,
    OwnerType,
)
from apps.pix.contracts.entries import AccountGiven, OwnerGiven
from apps.pix.models import EntryChange, Participant
from apps.pix.services.entry_checks import REASONS
from apps.web.fields import CodeField, KeyField, ProseField, StatusField
from apps.web.filters import FilterForm
from apps.web.tones import title_of

PHONE_HELP = _("A phone with its country code: +5511987654321.")


def _choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    return [(word.value, title_of(word)) for word in words]


class ChosenField(forms.ChoiceField):
    """One of some words, shown as pages say them."""

    def __init__(self, words: type[StrEnum], **options: Any) -> None:
        super().__init__(choices=lambda: _choices(words), **options)


class ReasonField(forms.ChoiceField):
    """The directory's word for why a key is changed."""

    def __init__(self, kind: ChangeKind, **options: Any) -> None:
        words = REASONS[kind]
        super().__init__(
            choices=lambda: [(word, title_of(word)) for word in words],
            label=_("Reason for the directory"),
            **options,
        )


def participants() -> list[tuple[str, str]]:
    """Return our participants, to choose from."""
    return [(one.ispb, str(one)) for one in Participant.objects.filter(ours=True)]


class IspbField(forms.CharField):
    """A participant's ISPB."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 8, "label": _("Participant (ISPB)"), **options})


def _failed_with(rows: Any, code: str, user: Any) -> Any:
    failed = EntryChange.objects.filter(
        entry=OuterRef("pk"), status=ChangeStatus.FAILED, error_code=code
    )
    return rows.filter(Exists(failed))


class KeyFilter(FilterForm):
    """Filters of the list of keys. Not the key itself: filters stand in the address. `error`: a
    change of the key has failed with it."""

    lookups = {
        "status": "status",
        "key_type": "key_type",
        "participant": "participant",
        "error": _failed_with,
    }
    more = ("error",)

    status = StatusField(EntryStatus, label=_("Status"))
    key_type = StatusField(KeyType, label=_("Type of key"), every=_("every type"))
    participant = IspbField(required=False)
    error = CodeField(label=_("Failed with"))


class FindKeyForm(forms.Form):
    """An exact key."""

    key_type = ChosenField(KeyType, label=_("Type of key"))
    key = forms.CharField(max_length=LONGEST_KEY + 20, label=_("Key"), help_text=PHONE_HELP)


class _AccountFields(forms.Form):
    """The fields of an account, but for its participant."""

    branch = forms.CharField(
        max_length=4, required=False, label=_("Branch"), help_text=_("With its zeros: 0001.")
    )
    account_number = forms.CharField(max_length=20, label=_("Account number"))
    account_type = ChosenField(AccountType, label=_("Type of account"))


class NewKeyForm(forms.Form):
    """A new key. Submitting it twice asks once."""

    key_type = ChosenField(KeyType, label=_("Type of key"))
    key = forms.CharField(
        max_length=LONGEST_KEY + 20,
        required=False,
        label=_("Key"),
        help_text=_(
            "A phone with its country code: +5511987654321. "
            "Empty for an EVP: the directory makes it."
        ),
    )
    participant = forms.ChoiceField(label=_("Participant"), choices=participants)
    branch = _AccountFields.base_fields["branch"]
    account_number = _AccountFields.base_fields["account_number"]
    account_type = _AccountFields.base_fields["account_type"]
    owner_type = ChosenField(OwnerType, label=_("The owner is"))
    tax_id = forms.CharField(max_length=20, label=_("CPF or CNPJ of the owner"))
    name = forms.CharField(max_length=150, label=_("Name of the owner"))
    trade_name = forms.CharField(
        max_length=100,
        required=False,
        label=_("Trade name"),
        help_text=_("Only a company has one."),
    )
    idempotency_key = KeyField()


class KeyChangeForm(forms.Form):
    """What of a key can change."""

    branch = _AccountFields.base_fields["branch"]
    account_number = _AccountFields.base_fields["account_number"]
    account_type = _AccountFields.base_fields["account_type"]
    name = forms.CharField(max_length=150, label=_("Name of the owner"))
    trade_name = forms.CharField(max_length=100, required=False, label=_("Trade name"))
    cause = ReasonField(ChangeKind.UPDATE)
    idempotency_key = KeyField()


class KeyRemovalForm(forms.Form):
    """Why a key is removed: for the directory, and in words for the trail."""

    cause = ReasonField(ChangeKind.DELETE)
    reason = ProseField()


class GiveUpForm(forms.Form):
    """Why nobody will type the code."""

    reason = ProseField(required=False)


class CodeForm(forms.Form):
    """A code that came to a phone or mailbox."""

    code = forms.CharField(
        max_length=12,
        label=_("Code"),
        widget=forms.TextInput(
            attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "size": 8}
        ),
    )


def account_of(given: dict[str, Any]) -> AccountGiven:
    """Return the account in a form's fields, and take them out."""
    return AccountGiven(
        participant=given.pop("participant", ""),
        branch=given.pop("branch"),
        number=given.pop("account_number"),
        type=given.pop("account_type"),
    )


def owner_of(given: dict[str, Any]) -> OwnerGiven:
    """Return the owner in a form's fields, and take them out."""
    return OwnerGiven(
        type=given.pop("owner_type", ""),
        tax_id=given.pop("tax_id", ""),
        name=given.pop("name"),
        trade_name=given.pop("trade_name"),
    )
