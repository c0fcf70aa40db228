"""Exports of the trail: streamed in parts, recorded, and enough to verify the chain elsewhere."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.chain import instant
from apps.audit.models import AuditEntry, AuditSeal
from apps.audit.selectors import EntryFilter, entries_search
from apps.audit.services import entry_record
from apps.common.errors import Invalid
from apps.web.downloads import attachment

#: Format → media type.
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
#: Entries that are read, and in memory, at a time.
PART = 1000
#: A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

COLUMNS = (
    "sequence",
    "sealed_at",
    "previous",
    "hash",
    "id",
    "at",
    "actor_id",
    "actor_label",
    "via",
    "action",
    "outcome",
    "code",
    "subject_type",
    "subject_id",
    "correlation_id",
    "digest",
    "salt",
    "erased_at",
    "body",
)


def export(
    request: HttpRequest, wanted: EntryFilter, *, format: str, by: User, via: str
) -> StreamingHttpResponse:
    """The matching entries that exist now, newest first, as an attachment.

    Recorded before the first byte is sent. Invalid `unknown_format`, `invalid_text`.
    """
    if format not in FORMATS:
        raise Invalid(f"Export as one of {', '.join(FORMATS)}.", code="unknown_format")
    rows = entries_search(wanted)
    with transaction.atomic(durable=True):
        # What comes later is not part of it, least of all the record of the export itself.
        newest = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
        entry_record(
            action="audit.export",
            subject_type="audit",
            subject_id="entries",
            by=by,
            via=via,
            body={"format": format, "filter": wanted.chosen, "up_to_entry": newest},
        )
    writer = _csv if format == "csv" else _jsonl
    parts = _parts(lambda place: _part(rows.filter(pk__lte=newest), place), writer)
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.{format}"
    return attachment(request, parts, name=name, content_type=FORMATS[format])


def record_of(entry: AuditEntry) -> dict[str, Any]:
    """An entry with its seal, as docs/contracts/audit.md names and writes the values."""
    seal: AuditSeal | None = getattr(entry, "seal", None)
    return {
        "sequence": seal.sequence if seal else None,
        "sealed_at": instant(seal.sealed_at) if seal else None,
        "previous": seal.previous if seal else None,
        "hash": seal.hash if seal else None,
        **{name: getattr(entry, name) for name in COLUMNS[4:]},
        "at": instant(entry.at),
        "erased_at": instant(entry.erased_at) if entry.erased_at else None,
    }


def _part(rows: Any, place: AuditEntry | None) -> list[AuditEntry]:
    """Short statements, not one long one: an export of millions must not hold a snapshot."""
    if place is not None:
        rows = rows.filter(at__lte=place.at).filter(Q(at__lt=place.at) | Q(pk__lt=place.pk))
    return list(rows.order_by("-at", "-id")[:PART])


def _parts(
    read: Callable[[AuditEntry | None], list[AuditEntry]],
    write: Callable[[Iterable[dict[str, Any]], bool], str],
) -> Iterator[bytes]:
    place: AuditEntry | None = None
    while True:
        entries = read(place)
        yield write(map(record_of, entries), place is None).encode("utf-8", "replace")
        if len(entries) < PART:
            return
        place = entries[-1]


def _jsonl(records: Iterable[dict[str, Any]], first: bool) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _csv(records: Iterable[dict[str, Any]], first: bool) -> str:
    target = io.StringIO()
    writer = csv.writer(target)
    if first:
        writer.writerow(COLUMNS)
    for record in records:
        if record["body"] is not None:
            record["body"] = json.dumps(record["body"], ensure_ascii=False, sort_keys=True)
        writer.writerow([_cell(record[name]) for name in COLUMNS])
    return target.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run is kept as text by an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
