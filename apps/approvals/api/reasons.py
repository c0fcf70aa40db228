"""The schema of coded reasons, shared by requests and bulk decisions."""

from typing import Any

from ninja import Schema

from apps.approvals.kinds import ApprovalKind
from apps.common.api import Words


class ReasonLine(Schema):
    """A coded reason of one verdict. `required`: the verdict needs a coded reason; `text_required`:
    a decision with this code also needs a `reason` in words."""

    code: str
    label: Words
    verdict: str
    text_required: bool
    required: bool


def reason_lines(kind: ApprovalKind | None) -> list[dict[str, Any]]:
    """Return the kind's coded reasons as ReasonLines; none for an unregistered kind."""
    if kind is None:
        return []
    return [
        {
            "code": one.code,
            "label": str(one.label),
            "verdict": one.verdict,
            "text_required": one.text_required,
            "required": kind.reasons_required,
        }
        for one in kind.reasons
    ]
