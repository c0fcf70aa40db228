"""The row itself: locked, saved, told about, recorded. All joins the caller's transaction."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import entry_record
from apps.common.errors import NotFound
from apps.common.identifiers import uuid_of
from apps.engine.process.spec import Process, R
from apps.live.broadcast import broadcast


def locked(process: Process[R], identifier: UUID | str, *related: str) -> R:
    """The row, locked until the end of the transaction; `related` are read with it. NotFound.

    NO KEY: rows that only point at this one need not wait for the lock.
    """
    rows = process.model._default_manager.select_for_update(
        of=("self",) if related else (), no_key=True
    )
    if related:
        rows = rows.select_related(*related)
    try:
        return rows.get(pk=id_of(process, identifier))
    except ObjectDoesNotExist:
        raise unknown(process) from None


def id_of(process: Process[R], identifier: UUID | str) -> UUID:
    """The row's id as a UUID; NotFound for what cannot be one."""
    pk = uuid_of(identifier)
    if pk is None:
        raise unknown(process)
    return pk


def unknown(process: Process[R]) -> NotFound:
    """What is raised for a row that is not there, or not to be seen."""
    return NotFound(f"There is no such {process.noun}.")


def save(process: Process[R], row: R, *fields: str, quietly: bool = False) -> None:
    """Write the fields and a new version, and tell open pages; lists when the status is among them.

    `quietly`: the pages of the row itself are told later, by the caller.
    """
    carried: Any = row
    carried.version += 1
    carried.save(update_fields=["version", *fields])
    tell(process, row, *fields, quietly=quietly)


def tell(process: Process[R], row: R, *fields: str, quietly: bool = False) -> None:
    """Tell open pages that these fields were written, as `save` does."""
    if not quietly:
        announce(process, row)
    if "status" in fields:
        carried: Any = row
        for topic in (*process.list_topics, *process.shared_topics):
            broadcast(topic, id=str(row.pk), version=carried.version)


def announce(process: Process[R], row: R) -> None:
    """Tell the pages that show this row."""
    carried: Any = row
    broadcast(f"{process.subject}:{row.pk}", id=str(row.pk), version=carried.version)


def record(
    process: Process[R],
    row: R,
    action: str,
    *,
    by: Actor = ENGINE,
    via: str = "engine",
    **body: object,
) -> None:
    """An audit entry about the row; `action` in full, as people search for it."""
    entry_record(
        action=action,
        subject_type=process.subject,
        subject_id=str(row.pk),
        by=by,
        via=via,
        body=body,
    )
