"""Forms of synchronisations: the filter of the page and of the API, and who is synchronised."""

from django import forms

from apps.common.language import lazy as _
from apps.pix.contracts import KeyType
from apps.pix.contracts.sync import DifferenceKind, DifferenceState, SyncStatus
from apps.pix.models import Participant
from apps.web.fields import KeyField, StatusField
from apps.web.filters import FilterForm


class SyncFilter(FilterForm):
    """Filters of the list of synchronisations."""

    lookups = {"status": "status", "participant": "participant"}

    status = StatusField(SyncStatus, label=_("Status"))
    participant = forms.CharField(max_length=8, required=False, label=_("Participant"))


class DifferenceFilter(FilterForm):
    """Filters of the differences of a synchronisation."""

    lookups = {"state": "state", "kind": "kind", "key_type": "key_type"}

    state = StatusField(DifferenceState, label=_("State"))
    kind = StatusField(DifferenceKind, label=_("Kind"), every=_("every kind"))
    key_type = StatusField(KeyType, label=_("Keys"), every=_("every type of key"))


class SyncForm(forms.Form):
    """Which participant of ours is synchronised."""

    participant = forms.ChoiceField(label=_("Participant"))
    idempotency_key = KeyField()

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        field = self.fields["participant"]
        assert isinstance(field, forms.ChoiceField)
        ours = Participant.objects.filter(ours=True)
        field.choices = [(one.ispb, str(one)) for one in ours]
