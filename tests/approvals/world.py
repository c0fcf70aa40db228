"""People, groups, a rule and a kind of request to test with."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds, selectors, services
from apps.approvals.kinds import ApprovalKind, Fact
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.errors import DomainError

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
    fails_with: Exception | None = None

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


def rule(bands: list[dict[str, Any]] | None = None, scope: str = "") -> None:
    for name in {tier["group"] for band in bands or BANDS for tier in band["tiers"]}:
        group(name)
    services.rule_put(kind=KIND, scope=scope, currency="NGN", bands=bands or BANDS, by=None)


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
