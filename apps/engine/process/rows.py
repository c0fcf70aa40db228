"""Lock, save, announce and audit a row. Everything joins the caller's transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import models

from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import entry_record
from apps.common.ended import ended_already
from apps.common.errors import Conflict, NotFound
from apps.common.identifiers import uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.process.spec import R, SubjectRow
from apps.live.broadcast import broadcast


def locked(process: SubjectRow[R], identifier: UUID | str, *related: str) -> R:
    """Lock the row until the end of the transaction; `related` are joined. Raises NotFound.

    Locks with NO KEY: inserts that only reference the row do not wait.
    """
    if process.lock is not None:
        return process.lock(identifier)
    return row_locked(process, identifier, *related)


def row_locked(process: SubjectRow[R], identifier: UUID | str, *related: str) -> R:
    """As `locked`, for this row alone: for a `SubjectRow.lock`, which locks more rows."""
    rows = process.model._default_manager.select_for_update(
        of=("self",) if related else (), no_key=True
    )
    if related:
        rows = rows.select_related(*related)
    try:
        return rows.get(pk=id_of(process, identifier))
    except ObjectDoesNotExist:
        raise unknown(process) from None


def id_of(process: SubjectRow[R], identifier: UUID | str) -> UUID:
    """Return the row's id as a UUID. Raises NotFound for what is not one."""
    pk = uuid_of(identifier)
    if pk is None:
        raise unknown(process)
    return pk


def unknown(process: SubjectRow[R]) -> NotFound:
    """Return the error for a row that does not exist or is not visible."""
    return NotFound(process.missing)


def check_carrier(process: SubjectRow[R], row: R, workflow_id: str) -> None:
    """Raise Conflict `not_its_workflow` unless this workflow carries the row now."""
    carried: Any = row
    if carried.workflow_id != workflow_id:
        raise Conflict(
            filled(
                _("It belongs to the workflow {workflow_id}."),
                workflow_id=carried.workflow_id,
            ),
            code="not_its_workflow",
        )


def check_unsettled(process: SubjectRow[R], row: R) -> None:
    """Raise Conflict `already_settled` (extra status) for a row that has ended."""
    carried: Any = row
    if carried.has_ended:
        raise Conflict(
            ended_already(carried.status),
            code="already_settled",
            status=carried.status,
        )


def ended(
    row: models.Model, status: str, *, as_of: datetime, code: str = "", detail: str = ""
) -> tuple[str, ...]:
    """Set the row's final status, time and error; return the fields, for `save`."""
    asked: Any = row
    asked.status = status
    asked.error_code, asked.error_detail = code[:60], detail[:5000]
    asked.settled_at = max(as_of, asked.created_at)
    return "status", "error_code", "error_detail", "settled_at"


def save(process: SubjectRow[R], row: R, *fields: str, quietly: bool = False) -> None:
    """Write the fields and a new version, and update open pages; lists if the status is among them.

    `quietly`: the caller updates the pages of the row itself later.
    """
    carried: Any = row
    carried.version += 1
    carried.save(update_fields=["version", *fields])
    tell(process, row, *fields, quietly=quietly)


def tell(process: SubjectRow[R], row: R, *fields: str, quietly: bool = False) -> None:
    """Update open pages as `save` does, for fields that were written otherwise."""
    if not quietly:
        announce(process, row)
    if "status" in fields:
        carried: Any = row
        for topic in (*process.list_topics, *process.shared_topics):
            broadcast(topic, id=str(row.pk), version=carried.version)


def announce(process: SubjectRow[R], row: R) -> None:
    """Update the open pages that show this row."""
    carried: Any = row
    broadcast(f"{process.topic_name}:{row.pk}", id=str(row.pk), version=carried.version)


def record(
    process: SubjectRow[R],
    row: R,
    action: str,
    *,
    by: Actor = ENGINE,
    via: str = "engine",
    **body: object,
) -> None:
    """Write an audit entry about the row; `action` in full, so that it can be searched for."""
    entry_record(
        action=action,
        subject_type=process.subject,
        subject_id=str(row.pk),
        by=by,
        via=via,
        body=body,
    )
