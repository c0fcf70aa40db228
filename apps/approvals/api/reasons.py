"""The shape of coded reasons, shared by requests and bulk decisions."""

from typing import Any

from ninja import Schema

from apps.approvals.kinds import ApprovalKind


class ReasonLine(Schema):
    """A coded reason of one verdict. `required`: that verdict needs one of its coded reasons;
    `text_required`: with this one a decision needs a `reason` in words as well."""

    code: str
    label: str
    verdict: str
    text_required: bool
    required: bool


def reason_lines(kind: ApprovalKind | None) -> list[dict[str, Any]]:
    """The kind's coded reasons, as ReasonLines; none of a kind whose app is gone."""
    if kind is None:
        return []
    return [
        {
            "code": one.code,
            "label": one.label,
            "verdict": one.verdict,
            "text_required": one.text_required,
            "required": kind.reasons_required,
        }
        for one in kind.reasons
    ]
