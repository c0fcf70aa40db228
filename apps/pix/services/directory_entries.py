"""What the directory says of an entry, as columns of ours: letter by letter, for its CID is a hash
of them."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.pix.bridge.shapes import DirectoryEntry
from apps.pix.contracts import EntryStatus
from apps.pix.models import Entry


def columns_of(entry: DirectoryEntry, *, request_id: str) -> dict[str, Any]:
    """Return the columns of an active entry. Raises Invalid `directory_entry_invalid` for what no
    row can keep as it is."""
    account, owner = entry.account, entry.owner
    try:
        columns: dict[str, Any] = {
            "key_type": entry.key_type,
            "key": entry.key,
            "participant": account.participant,
            "branch": account.branch,
            "account_number": account.number,
            "account_type": account.type,
            "account_opened_at": account.opened_at,
            "owner_type": owner.type,
            "tax_id": owner.tax_id,
            "name": owner.name,
            "trade_name": owner.trade_name,
            "request_id": UUID(request_id),
            "ownership_at": entry.owned_since,
            "status": EntryStatus.ACTIVE,
        }
        fields = {field.name for field in Entry._meta.get_fields()}
        Entry(**columns).clean_fields(exclude=fields - columns.keys())
    except (ValidationError, ValueError):
        raise Invalid(
            _("The directory has an entry that cannot be kept here as it is."),
            code="directory_entry_invalid",
        ) from None
    return columns
