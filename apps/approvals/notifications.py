"""Notifications and webhook events about requests.

`services.rows.record` calls this module, in the transaction of the change.
"""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import kinds as approval_kinds
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import DECIDE_PERMISSION, ApprovalRequest, BulkDecision, Delegation
from apps.approvals.selectors import acting_for, current_signatures, current_tier, who_signs_next
from apps.audit.contracts import Actor
from apps.common.language import in_site_language
from apps.common.language import lazy as _
from apps.notifications import kinds
from apps.notifications.kinds import NotificationKind
from apps.notifications.services import event_publish, notify, notify_group

#: Events that webhooks can subscribe to, named as in the audit trail.
EVENTS = {
    "opened": _("A request waits for signatures"),
    "signed": _("A signature counts, more are needed"),
    "approved": _("A request was approved"),
    "rejected": _("A request was rejected"),
    "expired": _("Nobody signed in time"),
    "cancelled": _("Nobody needs the answer any more"),
    "edited": _("What is asked was changed"),
    "claimed": _("Somebody is at it"),
    "released": _("It was given back"),
    "reassigned": _("It was given to somebody"),
    "reminded": _("Who can sign was reminded"),
    "escalated": _("Others may sign it as well"),
    "overdue": _("It was due and is not signed"),
    "commented": _("Somebody commented"),
    "evidence_added": _("A file was added"),
}
OTHER_EVENTS = {
    "delegation.given": _("Somebody lets another one sign for them"),
    "delegation.revoked": _("Nothing is signed under it from now on"),
    "bulk.completed": _("A bulk decision was worked through"),
}
_SETTLED = {
    RequestStatus.APPROVED: _("Approved: {title}"),
    RequestStatus.REJECTED: _("Rejected: {title}"),
    RequestStatus.EXPIRED: _("Expired: {title}"),
}
#: After these events another user has to sign.
_WAITS = {"opened", "signed", "edited"}
#: Details of the audit entry that webhooks also get: ids and numbers, no texts.
_DETAILS = ("to", "until", "held_by", "number", "due_at", "comment", "evidence", "reason_code")


def register() -> None:
    """Register events and notification kinds. Called once, when Django is ready."""
    for name, title in EVENTS.items():
        kinds.register_event(f"approval.{name}", title)
    for name, title in OTHER_EVENTS.items():
        kinds.register_event(name, title)
    for kind in (
        NotificationKind(
            "approval.waiting",
            _("A request waits for my group"),
            permission=DECIDE_PERMISSION,
            decide=True,
            relevant=_still_waits,
            also=_acting,
        ),
        NotificationKind(
            "approval.assigned",
            _("A request was given to me"),
            email=True,
            mutable=False,
            permission=DECIDE_PERMISSION,
            decide=True,
            relevant=_still_open,
        ),
        NotificationKind(
            "approval.reminder",
            _("A request waits for me and is due"),
            email=True,
            permission=DECIDE_PERMISSION,
            decide=True,
            relevant=_still_open,
        ),
        NotificationKind(
            "approval.overdue",
            _("A request that waits for me is overdue"),
            email=True,
            permission=DECIDE_PERMISSION,
            decide=True,
            relevant=_still_open,
        ),
        NotificationKind(
            "approval.escalated",
            _("A request was escalated to me"),
            email=True,
            mutable=False,
            permission=DECIDE_PERMISSION,
            decide=True,
            relevant=_still_open,
        ),
        NotificationKind(
            "approval.mentioned", _("Somebody mentions me"), email=True, mutable=False
        ),
        NotificationKind("approval.commented", _("A comment on what I asked for or signed")),
        NotificationKind(
            "approval.settled", _("What I asked for was decided"), email=True, mutable=False
        ),
        NotificationKind(
            "delegation.given", _("Somebody lets me sign for them"), email=True, mutable=False
        ),
        NotificationKind(
            "delegation.ended", _("A delegation of mine was revoked"), email=True, mutable=False
        ),
        NotificationKind("approval.bulk_ended", _("A bulk decision of mine has ended")),
    ):
        kinds.register(kind)


@in_site_language
def tell(
    request: ApprovalRequest, event: str, *, by: Actor, body: dict[str, Any] | None = None
) -> None:
    """Publish the event and notify the users it concerns, once. Ignores what is not in EVENTS.
    `body` is that of the audit entry."""
    if event not in EVENTS:
        return
    details = {name: body[name] for name in _DETAILS if name in body} if body else {}
    # Comments and files do not change the version, so their id makes the key unique.
    part = details.get("comment") or details.get("evidence")
    event_publish(
        key=f"approval:{request.pk}:{request.version}:{event}" + (f":{part}" if part else ""),
        event=f"approval.{event}",
        body={
            "id": str(request.pk),
            "kind": request.kind,
            "title": request.title,
            "status": str(request.status),
            "subject": {"type": request.subject_type, "id": request.subject_id},
            "version": request.version,
            "by": by.audit_id,
            **details,
        },
    )
    if event in _WAITS:
        _waiting(request, event)
    elif request.status != RequestStatus.OPEN and event == request.status:
        _settled(request, by)


@in_site_language
def tell_delegation(delegation: Delegation, event: str, *, by: User) -> None:
    """Publish the event. Notify the delegate of a new delegation, and both sides of a revocation,
    except the user who acted."""
    delegator, delegate = delegation.delegator, delegation.delegate
    event_publish(
        key=f"delegation:{delegation.pk}:{event}",
        event=f"delegation.{event}",
        body={
            "id": delegation.pk,
            "delegator": delegator.audit_id,
            "delegate": delegate.audit_id,
            "kinds": delegation.kinds,
            "starts_at": delegation.starts_at.isoformat(),
            "ends_at": delegation.ends_at.isoformat(),
            "by": by.audit_id,
        },
    )
    if event == "given":
        notify(
            key=f"delegation:{delegation.pk}:given",
            recipients=[delegate],
            kind="delegation.given",
            title=gettext("You may sign for {delegator}").format(delegator=delegator),
            text=delegation.reason,
            url=reverse("delegations"),
        )
        return
    for person, title in (
        (delegate, gettext("You no longer sign for {delegator}").format(delegator=delegator)),
        (delegator, gettext("{delegate} no longer signs for you").format(delegate=delegate)),
    ):
        if person.pk != by.pk:
            notify(
                key=f"delegation:{delegation.pk}:ended",
                recipients=[person],
                kind="delegation.ended",
                title=title,
                text=gettext("Revoked by {by}.").format(by=by),
                url=reverse("delegations"),
            )


@in_site_language
def tell_bulk(bulk: BulkDecision, event: str, *, by: Actor) -> None:
    """Publish the completion of a bulk decision. Notify its owner when it is completed or when the
    engine stopped it."""
    if event == "completed":
        event_publish(
            key=f"bulk:{bulk.pk}:{event}:{bulk.version}",
            event="bulk.completed",
            body={
                "id": str(bulk.pk),
                "verdict": bulk.verdict,
                "total": bulk.total,
                "done": bulk.done,
                "failed": bulk.failed,
                "by": bulk.requested_by.audit_id,
            },
        )
    if event not in {"completed", "stopped"} or by == bulk.requested_by:
        return
    title = (
        gettext("Your bulk decision was completed")
        if event == "completed"
        else gettext("Your bulk decision was stopped before its end")
    )
    notify(
        key=f"bulk:{bulk.pk}:{event}:{bulk.version}",
        recipients=[bulk.requested_by],
        kind="approval.bulk_ended",
        title=title,
        text=gettext("{done} of {total} signed, {failed} refused.").format(
            done=bulk.done, total=bulk.total, failed=bulk.failed
        ),
        url=reverse("bulk", args=[bulk.pk]),
    )


def _waiting(request: ApprovalRequest, event: str) -> None:
    """Notify the current tier's group, except users who may not sign; once per tier and version."""
    left_out = {request.requested_by_id}
    needed = ""
    if event != "opened":
        tier = current_tier(request)
        if tier is None or (event == "signed" and tier.signed):
            return
        left_out |= {payload.edited_by_id for payload in request.payloads.all()}
        for signature in current_signatures(request):
            left_out |= {signature.actor_id, signature.authority_id}
        needed = gettext("Needed: {who_signs_next}.").format(who_signs_next=who_signs_next(request))
    notify_group(
        key=f"approval:{request.pk}:waiting:{request.payload_number}:{request.tier_number}",
        group=request.tier_group,
        kind="approval.waiting",
        title=gettext("Waits for you: {title}").format(title=request.title),
        text=_asked(request, needed),
        url=reverse("request", args=[request.pk]),
        exclude=[pk for pk in left_out if pk is not None],
    )


def _settled(request: ApprovalRequest, by: Actor) -> None:
    """Notify the requester when somebody else settled the request. The domain reports other
    endings."""
    person = request.requested_by
    kind = approval_kinds.find(request.kind)
    reported = {RequestStatus.APPROVED, RequestStatus.REJECTED}
    if kind is None or not kind.clocked:
        reported.add(RequestStatus.EXPIRED)
    if person is None or request.status not in reported or by == person:
        return
    who = str(by) if isinstance(by, User) else gettext("the engine")
    notify(
        key=f"approval:{request.pk}:settled",
        recipients=[person],
        kind="approval.settled",
        title=_SETTLED[RequestStatus(request.status)].format(title=request.title),
        text=gettext("By {who}. {words}").format(who=who, words=request.settled_words).strip(),
        url=reverse("request", args=[request.pk]),
    )


def _asked(request: ApprovalRequest, needed: str) -> str:
    who = (
        gettext("{requested_by} asks.").format(requested_by=request.requested_by)
        if request.requested_by
        else gettext("The engine asks.")
    )
    return f"{who} {needed}".strip()


# --- further recipients ---------------------------------------------------------------------------
def _acting(key: str, people: list[int]) -> list[int]:
    """Return who may sign the request named by the key on behalf of one of these users."""
    request = ApprovalRequest.objects.for_signing().filter(pk=key.split(":")[1]).first()
    return acting_for(request, people, as_of=timezone.now()) if request else []


# --- checks before delivery ----------------------------------------------------------------------
def _still_waits(key: str) -> bool:
    """Return whether the tier and version named by the key still wait for a signature."""
    parts = key.split(":")
    if len(parts) != 5 or not (parts[3].isdigit() and parts[4].isdigit()):
        return True
    return ApprovalRequest.objects.filter(
        pk=parts[1],
        status=RequestStatus.OPEN,
        payload_number=int(parts[3]),
        tier_number=int(parts[4]),
    ).exists()


def _still_open(key: str) -> bool:
    prefix, _, rest = key.partition(":")
    try:
        pk = UUID(rest.partition(":")[0])
    except ValueError:
        return True
    if prefix != "approval":
        return True
    return ApprovalRequest.objects.filter(pk=pk, status=RequestStatus.OPEN).exists()
