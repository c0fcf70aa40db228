"""Edits of the payload: a new version that needs new signatures, which the editor cannot give."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.kinds import ApprovalKind, Edited
from apps.approvals.models import EDIT_PERMISSION, ApprovalRequest, PayloadVersion
from apps.approvals.rules import Requirement, payload_hash_of, requirement_again, rule_ref
from apps.approvals.selectors import current_payload, difference, state_refusal
from apps.approvals.services.clock import clock_keep, clock_plan
from apps.approvals.services.deciding import payload_check
from apps.approvals.services.rows import (
    announce,
    record,
    request_lock_for,
    search_text_of,
    tried,
    workflow_tell,
)
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _

#: The longest text of one edited field.
CHANGE_LIMIT = 20_000
#: The most payload versions of a request: signers must be able to read the edits.
MOST_VERSIONS = 50


def request_edit(
    *,
    request_id: UUID | str,
    by: User,
    changes: Mapping[str, str],
    payload_hash: str,
    reason: str,
    via: str,
    as_of: datetime,
) -> ApprovalRequest:
    """Change what is asked, as the requester or with the permission approvals.edit_approvalrequest.
    `changes` maps names of the kind's editable fields to text.

    Commits together: the domain's own row, a new payload version that names the editor (who may
    never sign it), tiers, band and clock from the active rule, audit, and the signal to the waiting
    workflow. Earlier signatures no longer count; claim and escalation end. Where the rule would ask
    for no signature any more, the tiers stay, and rules that the requester or the editor put
    meanwhile do not count (`rules.requirement_again`). The expiry is not extended. Raises, each
    audited: NotFound; NotAllowed `permission_denied`; Conflict `already_decided`, `expired`,
    `workflow_closed`, `payload_changed`, `too_many_edits`; Invalid `not_editable` (extra field),
    `nothing_changed`, `changes_invalid`, `reason_required`, `reason_too_long`, `invalid_text`,
    `invisible_characters`; what the domain and the rule refuse.
    """
    with tried("approval.edit", request_id, by=by, via=via), transaction.atomic(durable=True):
        reason = validation.reason_of(reason)
        validation.not_in_future(as_of)
        if not reason:
            raise Invalid(_("Say why it is changed."), code="reason_required")
        request, kind = request_lock_for(by, request_id)
        if request.requested_by_id != by.pk and not by.has_perm(EDIT_PERMISSION):
            raise NotAllowed(_("You may not edit what others asked for."), code="permission_denied")
        if refusal := state_refusal(request, as_of=as_of):
            raise refusal
        payload_check(request, payload_hash)
        if request.payload_number >= MOST_VERSIONS:
            raise Conflict(
                filled(
                    _("It has been changed {most_versions} times: ask for it anew."),
                    most_versions=MOST_VERSIONS - 1,
                ),
                code="too_many_edits",
            )
        edited = _edited(request, kind, _changes_of(kind, changes), by=by, via=via, as_of=as_of)
        return _put(request, kind, edited, by=by, reason=reason, via=via, as_of=as_of)


def may_edit(request: ApprovalRequest, user: User, kind: ApprovalKind | None) -> bool:
    """Return whether the kind can be edited, and by this user."""
    if kind is None or kind.edit is None or not kind.editable:
        return False
    return request.requested_by_id == user.pk or user.has_perm(EDIT_PERMISSION)


def _changes_of(kind: ApprovalKind, changes: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(changes, Mapping):
        raise Invalid(_("Changes map names of fields to texts."), code="changes_invalid")
    known = {field.name for field in kind.editable} if kind.edit else set()
    if unknown := sorted(str(name) for name in changes if name not in known):
        raise Invalid(
            filled(
                _("{printable!r} cannot be edited."), printable=validation.printable(unknown[0])
            ),
            code="not_editable",
            field=validation.printable(unknown[0]),
        )
    if not changes:
        raise Invalid(_("Nothing was changed."), code="nothing_changed")
    texts = {
        name: validation.visible(validation.text_of(text, code="changes_invalid"))
        for name, text in changes.items()
    }
    if any(len(text) > CHANGE_LIMIT for text in texts.values()):
        raise Invalid(_("A text is too long."), code="changes_invalid")
    return texts


def _edited(
    request: ApprovalRequest,
    kind: ApprovalKind,
    changes: dict[str, str],
    *,
    by: User,
    via: str,
    as_of: datetime,
) -> Edited:
    assert kind.edit is not None  # else no name of a change is known
    answer: Edited = kind.edit(request=request, changes=changes, by=by, via=via, as_of=as_of)
    edited = Edited(
        title=validation.text_of(answer.title, code="title_invalid")[:200],
        amount=validation.amount_of(answer.amount, answer.currency),
        currency=answer.currency,
        payload=validation.payload_of(answer.payload, most=kind.payload_bytes),
    )
    if edited.payload == current_payload(request).payload:
        raise Invalid(_("Nothing was changed."), code="nothing_changed")
    return edited


def _put(
    request: ApprovalRequest,
    kind: ApprovalKind,
    edited: Edited,
    *,
    by: User,
    reason: str,
    via: str,
    as_of: datetime,
) -> ApprovalRequest:
    before = current_payload(request)
    editors = {by.pk, *(v.edited_by_id for v in request.payloads.all() if v.edited_by_id)}
    needed = requirement_again(
        request, amount=edited.amount, currency=edited.currency, editors=editors
    )
    _tiers_put(request, needed, as_of=as_of)
    version = PayloadVersion.objects.create(
        request=request,
        number=request.payload_number + 1,
        payload=edited.payload,
        hash=payload_hash_of(edited.payload, rule=request.rule),
        edited_by=by,
        created_at=as_of,
    )
    request.title = edited.title
    request.amount = edited.amount
    request.currency = edited.currency
    request.payload_number = version.number
    request.search_text = search_text_of(edited.title, edited.payload)
    request.tier_number = 1
    request.tier_group = request.tiers[0]["group"]
    request.claimed_by = request.claimed_until = None
    request.escalated_group, request.escalated_to, request.escalated_at = "", None, None
    request.version += 1
    request.save()
    request = ApprovalRequest.objects.for_signing().get(pk=request.pk)
    record(
        request,
        "edited",
        by=by,
        via=via,
        body={
            "reason": reason,
            "payload_number": version.number,
            "payload_hash": version.hash,
            "difference": difference(before.payload, version.payload),
            "rule": rule_ref(request.rule),
            "tiers": request.tiers,
        },
    )
    workflow_tell(request, kind, event=f"edited:{version.number}")
    clock_keep(request, event=f"edited:{version.number}")
    announce(request)
    return request


def _tiers_put(request: ApprovalRequest, needed: Requirement, *, as_of: datetime) -> None:
    """Set tiers, band and clock from the rule. An edit never removes the need for signatures:
    otherwise an editor could approve alone, by asking for less."""
    if needed.band is not None:
        request.rule = needed.rule
        request.tiers = [asdict(tier) for tier in needed.band.tiers]
        request.band = needed.raw
        request.reason_required = needed.band.reason_required
    if not request.band:
        # A request without a stored band has no clock events, only its expiry.
        return
    request.clock, request.due_at = clock_plan(band=request.band, opened_at=as_of)
    request.expires_at = _expiry(request, as_of=as_of)


def _expiry(request: ApprovalRequest, *, as_of: datetime) -> datetime | None:
    """Return the expiry, counted from the opening: daily edits must not keep a request open for
    ever.

    If that is over, because the new band allows less time than the old one: the old expiry, or a
    whole period if there was none.
    """
    hours = request.band.get("expires_hours")
    if not hours:
        return None
    period = timedelta(hours=hours)
    until = request.created_at + period
    return until if until > as_of else request.expires_at or as_of + period
