"""Requests of users for a row, idempotent by key, and users' actions on such rows."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from apps.audit.contracts import Actor
from apps.audit.services import refusals
from apps.common.errors import NotAllowed
from apps.common.idempotency import asked_before, clean_key, save_or_known
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine.process.rows import id_of, locked, tell, unknown
from apps.engine.process.spec import Process, R, SubjectRow, workflow_id_of
from apps.engine.process.workflow import start

if TYPE_CHECKING:
    from apps.accounts.models import User


def ask_once(
    process: SubjectRow[R],
    columns: Callable[[], Mapping[str, Any]],
    *,
    made: Callable[[R], None],
    by: "User",
    key: str,
    digest: str,
    related: tuple[str, ...] = (),
    as_of: datetime,
) -> tuple[R, bool]:
    """Create the row that a user asks for, or return the known one; and whether it is new.
    `related` are joined.

    The same user's idempotency key returns the same row, also for concurrent calls. `digest` of the
    request identifies a repetition, which is answered as before: today's rules are in `columns()`,
    which returns the domain's own columns. `made(row)` writes what belongs to a new row and audits
    it. Everything commits together with the start of the row's workflow, if it needs one. Raises
    what these raise, Invalid `idempotency_key_invalid`, Conflict `idempotency_key_reused`.
    """
    key = clean_key(key)
    rows = process.model._default_manager.select_related(*related)
    before: Callable[[], R | None] = partial(asked_before, rows, by=by, key=key, digest=digest)
    with transaction.atomic(durable=True):
        if known := before():
            return known, False
        own, pk = dict(columns()), new_id()
        if isinstance(process, Process):
            own.setdefault("workflow_id", workflow_id_of(process, pk))
        row = process.model(
            **own,
            id=pk,
            requested_by=by,
            idempotency_key=key,
            request_digest=digest,
            created_at=as_of,
        )
        if known := save_or_known(row, before):
            return known, False
        made(row)
        if isinstance(process, Process) and process.needs(row) is not None:
            start(process, row)
        tell(process, row, "status")
    return row, True


@contextmanager
def acting(
    process: SubjectRow[R],
    verb: str,
    identifier: UUID | str,
    *,
    by: "User",
    via: str,
    reason: str = "",
    permission: str = "",
) -> Iterator[tuple[R, str]]:
    """Open a transaction, check that the user may act, lock the row; yield it with the cleaned
    reason. Allowed for the requester and with the permission; empty: only the requester.

    Raises, audited as `<subject>.<verb>` like everything the caller raises: NotFound, also if the
    user may not see the row; NotAllowed `permission_denied`; Invalid `reason_invalid`.
    """
    with audited(process, verb, identifier, by=by, via=via):
        reason = clean_reason(reason)
        with transaction.atomic(durable=True):
            _check_may(process, identifier, by, permission)
            yield locked(process, identifier), reason


def audited(
    process: SubjectRow[R], verb: str, identifier: object = "", *, by: Actor, via: str
) -> AbstractContextManager[None]:
    """Audit refusals raised inside as `<subject>.<verb>`."""
    return refusals(
        action=f"{process.subject}.{verb}",
        subject_type=process.subject,
        subject_id=ascii(str(identifier))[1:-1][:80],
        by=by,
        via=via,
    )


# --- helpers -------------------------------------------------------------------------------------
def _check_may(process: SubjectRow[R], identifier: UUID | str, by: "User", permission: str) -> None:
    pk = id_of(process, identifier)
    rows: Any = process.model._default_manager
    if rows.filter(pk=pk, requested_by=by.pk).exists():
        return
    if not permission or not rows.all().visible_to(by).filter(pk=pk).exists():
        raise unknown(process)
    if not by.has_perm(permission):
        raise NotAllowed(_("You may not do this."), code="permission_denied")
