"""What crosses between approvals and workflows. Standard library only."""

from dataclasses import dataclass
from enum import StrEnum

#: How audit entries and links name a request.
SUBJECT_TYPE = "approval"


class RequestStatus(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        return self is not RequestStatus.OPEN


class Verdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True)
class OpenedRequest:
    """Answer of the activity that opens a request: `request_id` is empty when the rule asks for
    no signature. `expires_at` is ISO 8601 in UTC, or empty."""

    request_id: str = ""
    expires_at: str = ""


@dataclass(frozen=True)
class RequestState:
    """A request as the workflow re-reads it after a wake-up."""

    request_id: str
    status: str
    reason: str = ""
