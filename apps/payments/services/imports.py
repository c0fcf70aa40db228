"""Quarantined events as JSON lines, out and in: a file of them is corrected elsewhere and comes
back as edits, each of which somebody has to sign."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.audit.services import refusals
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.common.exact_json import written
from apps.common.identifiers import uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, exact_document_of
from apps.payments.contracts import QUARANTINED, EditStatus
from apps.payments.models import QuarantinedEvent, QuarantineEdit
from apps.payments.services.edits import edit_ask
from apps.payments.services.finding import event_unknown
from apps.payments.services.payloads import Version, as_it_came, newest_version, parsed

IMPORT_PERMISSION = "payments.import_quarantinedevent"
#: Of one file. Each line makes a request that a person signs.
MOST_LINES, MOST_BYTES = 500, 8 * 1024 * 1024
#: What a line says besides the event.
_NAMES = ("event_id", "state", "stage", "code", "field", "attempt")


class LineOutcome(StrEnum):
    """What became of a line."""

    ASKED = "asked"  # a new version, which waits for its signature
    WAITING = "waiting"  # this very version waits already
    UNCHANGED = "unchanged"  # it is the newest version
    REFUSED = "refused"


@dataclass(frozen=True)
class Imported:
    """What became of a line. `line`: from 1; `row`: the event's row; `version`: the number of the
    edit; `code` and `detail` of one that was refused."""

    line: int
    outcome: LineOutcome
    row: UUID | None = None
    version: int | None = None
    code: str = ""
    detail: str = ""


# --- out ------------------------------------------------------------------------------------------
def versions_attach(rows: Sequence[QuarantinedEvent]) -> None:
    """Set `newest` on each row: its newest signed version, or the event as it came. One query."""
    signed = QuarantineEdit.objects.filter(event__in=rows, status=EditStatus.SIGNED)
    newest = (
        signed.order_by("event_id", "-number").distinct("event_id").only("event", "number", "raw")
    )
    by_row = {edit.event_id: Version(edit.number, bytes(edit.raw)) for edit in newest}
    for row in rows:
        # As annotated: what is too large to be read by many at once is left out.
        row.raw = row.content  # type: ignore[attr-defined]
        row.newest = by_row.get(row.pk) or as_it_came(row)  # type: ignore[attr-defined]


def line_of(row: QuarantinedEvent) -> dict[str, Any]:
    """Return the row as a line: `event` is the newest version, with every digit; `raw` is in base64
    what is no JSON. Both are null where no content is kept."""
    newest: Version = row.newest  # type: ignore[attr-defined]
    document = parsed(newest.raw)
    readable = isinstance(document, dict)
    raw = None if readable or newest.raw is None else b64encode(newest.raw).decode()
    return {
        "id": str(row.pk),
        **{name: getattr(row, name) for name in _NAMES},
        "created_at": row.created_at.isoformat(),
        "version": newest.number,
        "digest": newest.digest,
        "event": document if readable else None,
        "raw": raw,
    }


# --- in -------------------------------------------------------------------------------------------
def edits_import(
    *, body: bytes, reason: str, by: User, via: str, as_of: datetime
) -> list[Imported]:
    """Make an edit of each line whose event differs from the newest version; return what became of
    each line. `reason`: of lines that have none of their own.

    Each line is a transaction of its own, and the file can be sent again: what waits already is not
    asked a second time, so an import that was broken off goes on. A line that is refused stops no
    other. A line with `digest` is refused (`edited_since`) when that is no longer the newest
    version. Raises, audited: NotAllowed `permission_denied`; Invalid `empty_file`,
    `too_many_items`, `too_large`.
    """
    about = {"subject_type": QUARANTINED, "subject_id": ""}
    with refusals(action=f"{QUARANTINED}.import", by=by, via=via, **about):
        if not by.has_perm(IMPORT_PERMISSION):
            raise NotAllowed(_("You may not import edits."), code="permission_denied")
        lines = _lines(body)
    return [_imported(line, raw, reason, by, via, as_of) for line, raw in lines]


# --- helpers --------------------------------------------------------------------------------------
def _lines(body: bytes) -> list[tuple[int, bytes]]:
    if len(body) > MOST_BYTES:
        raise Invalid(
            filled(_("A file has at most {most} MB."), most=MOST_BYTES // 2**20), code="too_large"
        )
    numbered: Iterable[tuple[int, bytes]] = enumerate(body.split(b"\n"), 1)
    lines = [(number, raw) for number, raw in numbered if raw.strip()]
    if not lines:
        raise Invalid(_("The file is empty."), code="empty_file")
    if len(lines) > MOST_LINES:
        raise Invalid(
            filled(_("A file has at most {most} lines."), most=MOST_LINES), code="too_many_items"
        )
    return lines


def _imported(line: int, raw: bytes, reason: str, by: User, via: str, as_of: datetime) -> Imported:
    pk: UUID | None = None
    try:
        given = _document(raw)
        pk = uuid_of(str(given.get("id", "")))
        row = QuarantinedEvent.objects.filter(pk=pk).first() if pk else None
        if row is None:
            raise event_unknown()
        if known := _known(row, given["event"], given.get("digest")):
            return Imported(line, *known)
        edit, _new = edit_ask(
            row_id=row.pk,
            text=written(given["event"]),
            reason=str(given.get("reason") or reason),
            by=by,
            via=via,
            as_of=as_of,
        )
    except DomainError as refusal:
        return Imported(line, LineOutcome.REFUSED, pk, None, refusal.code, str(refusal.detail))
    return Imported(line, LineOutcome.ASKED, edit.event_id, edit.number)


def _document(raw: bytes) -> Mapping[str, Any]:
    """Return the line's object. Raises Invalid with what is wrong with it."""
    try:
        given = exact_document_of(raw)
    except NotJson:
        raise Invalid(_("The line is no JSON."), code="json_invalid") from None
    if not isinstance(given, dict) or not isinstance(given.get("event"), dict):
        raise Invalid(
            _("A line is an object with the members id and event, which is an object."),
            code="line_invalid",
        )
    return given


def _known(
    row: QuarantinedEvent, event: Mapping[str, Any], digest: Any
) -> tuple[LineOutcome, UUID, int] | None:
    """Return the outcome of an event that is the newest version, or waits to be. Raises Conflict
    `edited_since` when `digest` is not that of the newest."""
    text = written(event)
    waiting = row.edits.unsettled().only("number", "raw").first()
    if waiting is not None and _same(bytes(waiting.raw), text):
        return LineOutcome.WAITING, row.pk, waiting.number
    newest = newest_version(row)
    if _same(newest.raw, text):
        return LineOutcome.UNCHANGED, row.pk, newest.number
    if digest and digest != newest.digest:
        raise Conflict(
            _("A newer version was signed after the file was made."), code="edited_since"
        )
    return None


def _same(raw: bytes | None, text: str) -> bool:
    document = parsed(raw)
    return isinstance(document, dict) and written(document) == text
