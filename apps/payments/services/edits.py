"""Edits of quarantined events: a version that somebody writes and somebody else signs.

Nothing is replayed by a signature: a replay carries the newest signed version. Lock order: the
edit, its request, then the event's row.
"""

from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db.models import Max
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject, questions_close
from apps.audit.contracts import Actor
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.common.validation import LONGEST_REASON, clean_text
from apps.engine import process
from apps.engine.process import SubjectRow
from apps.payments.contracts import EDIT, EDIT_KIND, EditStatus, QuarantineState
from apps.payments.differences import (
    MOST_CHANGES,
    Change,
    FieldClass,
    changes_of,
    class_of,
    visible,
)
from apps.payments.models import QuarantinedEvent, QuarantineEdit
from apps.payments.services.payloads import Version, as_it_came, parsed
from apps.payments.services.quarantine import tell_event
from apps.payments.services.replaying import check_open, event_locked, readable

EDIT_PERMISSION = "payments.edit_quarantinedevent"
#: Relations that are fetched with the row.
RELATED = ("event", "requested_by")


def edit_ask(
    *,
    row_id: UUID | str,
    text: str,
    reason: str,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[QuarantineEdit, bool]:
    """Write a new version of an open event and ask for its signature; return it, and whether it is
    new. `text` is the whole event as JSON, kept digit by digit.

    Repeating the key by the same person returns the same version, also for concurrent calls.
    Raises, each audited: NotAllowed `permission_denied`; NotFound `quarantined_event_not_found`;
    Conflict `already_replaying`, `already_settled`, `edit_waits` (another one is unsigned),
    `idempotency_key_reused`; Invalid `edit_unreadable` (extra why: the code of the event),
    `field_locked` (extra field), `edit_changes_nothing`, `too_many_changes`, `reason_required`,
    `reason_invalid`, `invisible_characters`, `idempotency_key_invalid`.
    """
    with process.audited(EDIT_ROW, "ask", row_id, by=by, via=via):
        if not by.has_perm(EDIT_PERMISSION):
            raise NotAllowed(_("You may not edit events."), code="permission_denied")
        reason = clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)
        raw = text.encode("utf-8", "replace")
        written = Version(0, raw)

        def columns() -> dict[str, Any]:
            row = event_locked(row_id)
            check_open(row)
            if row.edits.unsettled().exists():
                raise Conflict(
                    _("Another version waits for its signature. Take it back first."),
                    code="edit_waits",
                )
            came = as_it_came(row)
            changes = _checked(row, came, written)
            newest = row.edits.aggregate(most=Max("number"))["most"]
            return {
                "event": row,
                "number": (newest or 0) + 1,
                "raw": raw,
                "digest": written.digest,
                "base": came.digest,
                "changes": [_plainly(change) for change in changes],
                "field_class": class_of(changes),
                "reason": reason,
            }

        def made(edit: QuarantineEdit) -> None:
            _record(edit, "asked", by=by, via=via, field_class=edit.field_class)
            SIGNED.ask(edit, as_of=as_of)
            failpoint("edit_ask.uncommitted")

        return process.ask_once(
            EDIT_ROW,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest([str(row_id), sha256(raw).hexdigest(), reason]),
            related=RELATED,
            as_of=as_of,
        )


def edit_cancel(
    *, edit_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> QuarantineEdit:
    """Take back a version that is not signed yet; only who wrote it may.

    Raises, each audited: NotFound (also for who did not write it); Conflict `already_settled`
    (extra status); Invalid `reason_invalid`, `invisible_characters`.
    """
    with process.acting(EDIT_ROW, "cancel", edit_id, by=by, via=via, reason=reason) as (
        edit,
        given,
    ):
        process.check_unsettled(EDIT_ROW, edit)
        why = given or for_record(filled(_("Taken back by {by}."), by=by))
        questions_close(EDIT_ROW, edit, by=by, reason=why, as_of=as_of)
        _end(edit, Decided(by, via, as_of, EditStatus.CANCELLED, why))
    return edit


# --- what is signed ------------------------------------------------------------------------------
def edit_payload(edit: QuarantineEdit) -> dict[str, Any]:
    """Return the payload to sign: the event as it came and this version, by their digests, and what
    differs. Values are texts, cut; the digests bind the rest."""
    payload: dict[str, Any] = plain(
        {
            "event": edit.event_id,
            "event_id": edit.event.event_id or "",
            "version": edit.number,
            "original_digest": edit.base,
            "edited_digest": edit.digest,
            "class": edit.field_class,
            "columns": ["path", "before", "after"],
            "changes": [[one["path"], one["before"], one["after"]] for one in edit.changes],
            "reason": edit.reason,
            "edited_by": edit.requested_by.audit_id,
        }
    )
    return payload


def edit_title(edit: QuarantineEdit) -> str:
    """Return what it does, in a sentence."""
    return gettext("Edit the quarantined event {event} (version {number})").format(
        event=edit.event, number=edit.number
    )[:200]


# --- helpers --------------------------------------------------------------------------------------
def _checked(row: QuarantinedEvent, came: Version, edited: Version) -> list[Change]:
    """Return what the version changes. Raises Invalid as `edit_ask`."""
    try:
        event = readable(edited)
    except Conflict as refusal:
        raise Invalid(
            filled(
                _("It would be no event ({code}): {detail}"),
                code=refusal.extra["why"],
                detail=refusal.extra["detail_of"],
            ),
            code="edit_unreadable",
            why=refusal.extra["why"],
        ) from None
    before = parsed(came.raw)
    changes = changes_of(before, event.document)
    if not changes:
        raise Invalid(_("The version changes nothing."), code="edit_changes_nothing")
    if len(changes) > MOST_CHANGES:
        raise Invalid(
            filled(_("A version changes at most {most} values."), most=MOST_CHANGES),
            code="too_many_changes",
        )
    for change in changes:
        if change.field_class is FieldClass.LOCKED and change.before not in (None, "null", '""'):
            # An id that is missing, or that cannot be used, has to be given one.
            if change.path == "event_id" and row.event_id is None:
                continue
            raise Invalid(
                filled(_("{field} says which event it is, and stays."), field=change.path),
                code="field_locked",
                field=change.path,
            )
    return changes


def _plainly(change: Change) -> dict[str, str]:
    """Return the change as texts that a person can see all of."""
    return {
        "path": visible(change.path),
        "before": "" if change.before is None else visible(change.before),
        "after": "" if change.after is None else visible(change.after),
    }


# --- the decision ---------------------------------------------------------------------------------
def _approved(edit: QuarantineEdit, decided: Decided) -> None:
    """Sign the version. If the event was settled meanwhile, the decision stands and the version
    ends unused."""
    row = QuarantinedEvent.objects.select_for_update(no_key=True).get(pk=edit.event_id)
    if decided.request_id is None or signed_payload(decided.request_id) != edit_payload(edit):
        why = replace(decided, code="not_as_signed", detail="The row is not what was signed.")
        _end(edit, why, EditStatus.CANCELLED)
    elif row.state not in (QuarantineState.OPEN, QuarantineState.REPLAYING):
        detail = f"The event was {row.state} meanwhile."
        _end(edit, replace(decided, code="already_settled", detail=detail), EditStatus.CANCELLED)
    else:
        _end(edit, decided, EditStatus.SIGNED)


def _end(edit: QuarantineEdit, decided: Decided, status: EditStatus | None = None) -> None:
    """End it for good, with `status` or the decision's code."""
    why = {"code": decided.code, "detail": decided.detail}
    end = status or EditStatus(decided.code)
    process.save(EDIT_ROW, edit, *process.ended(edit, end, as_of=decided.as_of, **why))
    _record(edit, edit.status, by=decided.by, via=decided.via, **(why if decided.code else {}))
    tell_event(edit.event_id, 0)


def _record(edit: QuarantineEdit, event: str, *, by: Actor, via: str, **body: object) -> None:
    body |= {"event": str(edit.event_id), "version": edit.number, "digest": edit.digest}
    process.record(EDIT_ROW, edit, f"{EDIT}.{event}", by=by, via=via, **body)


EDIT_ROW = SubjectRow(
    subject=EDIT,
    title=_("Edit of a quarantined event"),
    noun="edit",
    missing=_("There is no such edit."),
    opens=_("Open the edit"),
    model=QuarantineEdit,
    url_name="quarantine_edit",
    topic=EDIT,
)

SIGNED: SignedSubject[QuarantineEdit, Waiting] = SignedSubject(
    row=EDIT_ROW,
    kind=EDIT_KIND,
    waits=frozenset({EditStatus.AWAITING_APPROVAL}),
    payload=edit_payload,
    scope=lambda edit: edit.field_class,
    title=edit_title,
    amount=lambda edit: None,
    on_approved=_approved,
    on_rejected=_end,
    related=RELATED,
)

edit_approval = SIGNED.request_of
