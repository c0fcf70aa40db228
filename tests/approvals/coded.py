"""Kinds of request with coded reasons: one that asks for them, one that may have one."""

import uuid
from typing import Any

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import ApprovalKind, Reason, TierRule
from apps.approvals.models import ApprovalRequest
from tests.approvals.world import opened

CLAIM, REFUND = "test.claim", "test.refund"
#: What the domain of each was told when a request was settled: status, code, words.
settled: list[tuple[str, str, str]] = []


def _settled(*, request: ApprovalRequest, **_: Any) -> None:
    settled.append((request.status, request.settled_reason_code, request.settled_words))


for name, required in ((CLAIM, True), (REFUND, False)):
    kinds.register(
        ApprovalKind(
            name=name,
            title=name.removeprefix("test.").capitalize(),
            on_settled=_settled,
            facts=lambda request: [],
            subject_url=lambda subject_id: f"/claims/{subject_id}",
            default_tiers=(TierRule("first"),),
            reasons=(
                Reason("USER_REQUESTED", "The owner asked for it", Verdict.APPROVE),
                Reason("FRAUD", "Fraud", Verdict.REJECT),
                Reason("USER_REQUESTED", "The owner took it back", Verdict.REJECT),
                Reason("OTHER", "Other", Verdict.REJECT, text_required=True),
            ),
            reasons_required=required,
        )
    )


def claim(requester: User, kind: str = CLAIM, **changes: Any) -> ApprovalRequest:
    """An open request of the kind that asks for coded reasons."""
    return opened(requester, kind=kind, subject_id=uuid.uuid4().hex, workflow_id="", **changes)
