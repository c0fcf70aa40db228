"""Exports of the audit trail: streamed, audited, and with enough data to verify the chain
elsewhere."""

from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.chain import COVERED, instant
from apps.audit.exports import recorded_export
from apps.audit.selectors import EntryFilter, entries_search, newest_entry_id
from apps.common.csvio import FORMATS
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

if TYPE_CHECKING:
    from apps.audit.models import AuditEntry, AuditSeal

SEAL = ("sequence", "sealed_at", "previous", "hash")
#: The exported fields of an entry: those that its seal covers, for verification, and the rest.
OF_ENTRY = (*COVERED, "salt", "erased_at", "body")
COLUMNS = (*SEAL, *OF_ENTRY)


def export(
    request: HttpRequest, wanted: EntryFilter, *, format: str, by: User, via: str
) -> StreamingHttpResponse:
    """Return the matching entries that exist now, newest first, as an attachment.

    Audited before the first byte is sent. Raises Invalid `unknown_format`, `invalid_text`.
    """
    if format not in FORMATS:
        raise Invalid(
            filled(_("Export as one of {formats}."), formats=", ".join(FORMATS)),
            code="unknown_format",
        )
    return recorded_export(
        request,
        entries_search(wanted),
        COLUMNS,
        record_of,
        name=f"audit-{timezone.now():%Y%m%d-%H%M%S}",
        format=format,
        newest=newest_entry_id,
        part=_part,
        by=by,
        via=via,
        action="audit.export",
        subject_type="audit",
        subject_id="entries",
        body={"format": format, "filter": wanted.chosen},
        up_to="up_to_entry",
    )


def record_of(entry: "AuditEntry") -> dict[str, Any]:
    """Return an entry with its seal, in the names and formats of docs/contracts/audit.md."""
    seal: AuditSeal | None = getattr(entry, "seal", None)
    return {
        "sequence": seal.sequence if seal else None,
        "sealed_at": instant(seal.sealed_at) if seal else None,
        "previous": seal.previous if seal else None,
        "hash": seal.hash if seal else None,
        **{name: getattr(entry, name) for name in OF_ENTRY},
        "at": instant(entry.at),
        "erased_at": instant(entry.erased_at) if entry.erased_at else None,
    }


def _part(rows: Any, last: "AuditEntry | None", most: int) -> "list[AuditEntry]":
    if last is not None:
        rows = rows.filter(at__lte=last.at).filter(Q(at__lt=last.at) | Q(pk__lt=last.pk))
    return list(rows.order_by("-at", "-id")[:most])
