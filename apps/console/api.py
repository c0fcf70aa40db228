"""API of the audit trail, mounted at /api/v1/audit."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import AwareDatetime, Field

from apps.accounts.auth import require
from apps.audit.selectors import (
    ORDER,
    VIEW_PERMISSION,
    ChainState,
    EntryFilter,
    chain_state,
    entries_search,
)
from apps.common.api import Cursor, Limit
from apps.common.pagination import page
from apps.console.audit import actors_of
from apps.console.audit_export import FORMATS, export
from apps.console.scopes import Scope

if TYPE_CHECKING:
    from apps.audit.models import AuditEntry

audit_router = Router(tags=["audit"])

READ = Scope.AUDIT_READ


class EntryLine(Schema):
    """An entry. `sequence` and `hash` are its place in the chain, null for about a second until it
    is sealed; `body` is null when it was erased."""

    id: int
    at: datetime
    actor_id: str
    actor_label: str
    via: str
    action: str
    outcome: Literal["done", "refused"]
    code: str
    subject_type: str
    subject_id: str
    correlation_id: str
    body: dict[str, Any] | None
    digest: str
    erased_at: datetime | None
    sequence: int | None
    hash: str | None
    verified: bool = Field(description="The verifier came past its seal, and the chain holds.")


class ChainLine(Schema):
    """How far the chain is sealed and verified. `waiting` is counted up to 1,000."""

    sealed: int
    waiting: int
    waiting_since: datetime | None
    verified: int
    verified_at: datetime | None
    whole_at: datetime | None
    problem_count: int


class EntryPage(Schema):
    """`next` is the `cursor` of the next page, or null."""

    items: list[EntryLine]
    next: str | None
    chain: ChainLine


class EntryChoice(Schema):
    actor: Annotated[
        str, Field(max_length=150, description="user:7, a user name, or a part of the system")
    ] = ""
    action: Annotated[str, Field(max_length=80)] = ""
    subject_type: Annotated[str, Field(max_length=60)] = ""
    subject_id: Annotated[str, Field(max_length=80)] = ""
    outcome: Literal["", "done", "refused"] = ""
    code: Annotated[str, Field(max_length=60)] = ""
    since: AwareDatetime | None = None
    until: Annotated[AwareDatetime | None, Field(description="Not included.")] = None


class EntryFilters(EntryChoice):
    cursor: Cursor = None
    limit: Limit = 50


@audit_router.get("", response=EntryPage, summary="Audit entries, newest first")
def audit_list(request: HttpRequest, filters: Query[EntryFilters]) -> dict[str, Any]:
    """Refusals: 403 `scope_missing`, `permission_denied`; 422 `bad_cursor`, `invalid_text`."""
    require(request, scope=READ, permission=VIEW_PERMISSION)
    found = page(
        entries_search(_wanted(filters)), cursor=filters.cursor, limit=filters.limit, order=ORDER
    )
    state = chain_state()
    return {
        "items": [_line(entry, state) for entry in found["items"]],
        "next": found["next"],
        "chain": state,
    }


class Export(EntryChoice):
    format: Literal["csv", "jsonl"] = "jsonl"


@audit_router.post(
    "/export",
    summary="All entries that match, as a file",
    openapi_extra={
        "responses": {
            200: {
                "description": "The entries, newest first, streamed as an attachment.",
                "content": {
                    media.partition(";")[0]: {"schema": {"type": "string"}}
                    for media in FORMATS.values()
                },
            }
        }
    },
)
def audit_export_file(request: HttpRequest, body: Export) -> StreamingHttpResponse:
    """Export the entries, with enough data to verify the chain elsewhere. Audited before the first
    byte is sent.

    Refusals: 403 `scope_missing`, `permission_denied`; 422 `invalid_text`.
    """
    user = require(request, scope=READ, permission=VIEW_PERMISSION)
    return export(request, _wanted(body), format=body.format, by=user, via="api")


def _wanted(chosen: EntryChoice) -> EntryFilter:
    return EntryFilter(
        # A name that no column can store is refused together with the other texts.
        actors=(chosen.actor,) if "\0" in chosen.actor else actors_of(chosen.actor),
        action=chosen.action,
        subject_type=chosen.subject_type,
        subject_id=chosen.subject_id,
        outcome=chosen.outcome,
        code=chosen.code,
        since=_utc(chosen.since),
        until=_utc(chosen.until),
    )


def _utc(moment: datetime | None) -> datetime | None:
    """Convert to UTC, because PostgreSQL accepts offsets up to 15:59 only; a time that leaves the
    range of years becomes the first or last one."""
    try:
        return moment.astimezone(UTC) if moment else None
    except OverflowError:
        assert moment is not None
        first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
        return first if moment.year == 1 else last


def _line(entry: "AuditEntry", chain: ChainState) -> dict[str, Any]:
    seal = getattr(entry, "seal", None)
    names = [name for name in EntryLine.model_fields if hasattr(entry, name)]
    return {
        **{name: getattr(entry, name) for name in names},
        "sequence": seal.sequence if seal else None,
        "hash": seal.hash if seal else None,
        "verified": chain.covers(seal.sequence if seal else None),
    }
