"""People, groups, a rule and a kind of request to test with."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds, selectors, services
from apps.approvals.kinds import ApprovalKind, EditableField, Edited, Fact, Simulation
from apps.approvals.models import ApprovalRequest, Delegation
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError, Invalid

KIND = "test.payment"
BANDS: list[dict[str, Any]] = [
    {"above": "1000.00", "tiers": [{"group": "first", "quorum": 1}]},
    {
        "above": "50000.00",
        "tiers": [{"group": "first", "quorum": 2}, {"group": "second", "quorum": 1}],
        "expires_hours": 24,
    },
]


@dataclass
class Domain:
    """Stands where a domain app would: remembers what it was told."""

    settled: list[tuple[str, str]] = field(default_factory=list)
    edited: list[dict[str, str]] = field(default_factory=list)
    fails_with: Exception | None = None

    def edit(
        self,
        *,
        request: ApprovalRequest,
        changes: dict[str, str],
        by: User,
        via: str,
        as_of: datetime,
    ) -> Edited:
        """As a domain's `edit`: checks, writes, and says what is asked from then on."""
        self.edited.append(dict(changes))
        payload = {**selectors.current_payload(request).payload, **changes}
        if payload["target"] == "nobody":
            raise Invalid("Nobody is paid.", code="target_invalid")
        amount = Decimal(payload["amount"])
        return Edited(
            title=f"NGN {amount} to {payload['target']}",
            amount=amount,
            currency="NGN",
            payload=payload,
        )

    def on_settled(self, *, request: ApprovalRequest, by: User, via: str, as_of: datetime) -> None:
        if self.fails_with:
            raise self.fails_with
        self.settled.append((str(request.pk), request.status))


domain = Domain()
kinds.register(
    ApprovalKind(
        name=KIND,
        title="Test payment",
        on_settled=domain.on_settled,
        facts=lambda request: [Fact("Left in the budget", "NGN 5.00", tone="warning")],
        subject_url=lambda subject_id: f"/payments/{subject_id}",
        signal="request_settled",
        task_queue="test-queue",
        edit=domain.edit,
        editable=(
            EditableField("amount", "Amount", type="decimal"),
            EditableField("target", "Paid to"),
        ),
        simulate=lambda request, user: Simulation(
            outcome="NGN 5.00 would be left.",
            tone="warn",
            steps=("reserve", "pay"),
            facts=(Fact("Left after it", "NGN 5.00"),),
        ),
    )
)


def group(name: str) -> Group:
    found, _ = Group.objects.get_or_create(name=name)
    found.permissions.set(
        Permission.objects.filter(
            codename__in=["view_approvalrequest", "decide_approvalrequest"],
            content_type__app_label="approvals",
        )
    )
    return found


def person(username: str, *groups: str, **fields: Any) -> User:
    user = User.objects.create(username=username, **fields)
    user.groups.set([group(name) for name in groups])
    return User.objects.get(pk=user.pk)


def rule(
    bands: list[dict[str, Any]] | None = None, scope: str = "", by: User | None = None
) -> None:
    for name in {tier["group"] for band in bands or BANDS for tier in band["tiers"]}:
        group(name)
    services.rule_put(kind=KIND, scope=scope, currency="NGN", bands=bands or BANDS, by=by)


def opened(requester: User | None, amount: str = "2000.00", **changes: Any) -> ApprovalRequest:
    subject = changes.pop("subject_id", uuid.uuid4().hex)
    arguments: dict[str, Any] = {
        "key": f"payment:{subject}",
        "kind": KIND,
        "scope": "",
        "title": f"NGN {amount} to Ngozi Okafor",
        "subject_type": "payment",
        "subject_id": subject,
        "workflow_id": f"payment-{subject}",
        "requested_by": requester,
        "amount": Decimal(amount),
        "currency": "NGN",
        "payload": {"amount": amount, "target": "Ngozi Okafor"},
        "as_of": timezone.now(),
        **changes,
    }
    with transaction.atomic():
        request = services.request_open(**arguments)
    assert request is not None
    return fresh(request)


def fresh(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.for_detail().get(pk=request.pk)


def decide(request: ApprovalRequest, by: User, verdict: str = "approve", **changes: Any):
    arguments: dict[str, Any] = {
        "request_id": request.pk,
        "by": by,
        "verdict": verdict,
        "reason": "the papers are in order",
        "payload_hash": selectors.current_payload(request).hash,
        "via": "api",
        "as_of": timezone.now(),
        **changes,
    }
    return services.request_decide(**arguments)


def permit(user: User, *codenames: str) -> User:
    """The person with these permissions of approvals, read again: permissions are cached."""
    user.user_permissions.add(
        *Permission.objects.filter(codename__in=codenames, content_type__app_label="approvals")
    )
    return User.objects.get(pk=user.pk)


def auditor(username: str = "auditor") -> User:
    """Somebody who sees every request and has no part in any."""
    return permit(person(username), "view_approvalrequest")


def delegated(delegator: User, delegate: User, **changes: Any) -> Delegation:
    """`delegate` may sign for `delegator` since an hour, for a day."""
    now = timezone.now()
    fields: dict[str, Any] = {
        "delegator": delegator,
        "delegate": delegate,
        "starts_at": now - timedelta(hours=1),
        "ends_at": now + timedelta(days=1),
        **changes,
    }
    return Delegation.objects.create(**fields)


def edit(request: ApprovalRequest, by: User, **changes: Any) -> ApprovalRequest:
    """A new version, on the one that `request` shows."""
    arguments: dict[str, Any] = {
        "request_id": request.pk,
        "by": by,
        "changes": {"target": "Amina Bello"},
        "payload_hash": selectors.current_payload(request).hash,
        "reason": "the name was wrong",
        "via": "api",
        "as_of": timezone.now(),
        **changes,
    }
    return services.request_edit(**arguments)


def refused(call: Callable[[], Any], *, action: str, by: User) -> DomainError:
    """The error the call is refused with; fails when it is allowed or not audited once."""
    entries = AuditEntry.objects.filter(action=action, outcome="refused")
    before = entries.count()
    try:
        call()
    except DomainError as error:
        entry = entries.latest("id")
        assert entries.count() == before + 1
        assert (entry.code, entry.actor_id) == (error.code, by.audit_id)
        return error
    raise AssertionError("it was allowed")


def refusal(request: ApprovalRequest, by: User, verdict: str = "approve", **changes: Any):
    """The error that deciding is refused with; fails when it is allowed or not audited."""
    before = AuditEntry.objects.filter(action="approval.decide", outcome="refused").count()
    try:
        decide(request, by, verdict, **changes)
    except DomainError as error:
        entries = AuditEntry.objects.filter(action="approval.decide", outcome="refused")
        assert entries.count() == before + 1
        entry = entries.latest("id")
        assert (entry.code, entry.actor_id) == (error.code, by.audit_id)
        return error
    raise AssertionError("it was allowed")


def clock_workflow_id(request_id: object, number: int = 1) -> str:
    """The id of a request's clock workflow, as links and the trail have it."""
    return f"approval-{request_id}-clock" + (f"-{number}" if number > 1 else "")
