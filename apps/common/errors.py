"""Domain errors: every refusal has a class, a stable code and the HTTP status it maps to.

The codes are part of the API: clients and workflows branch on them, so they are never renamed.
"""

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal that the caller can understand. Never retried by a workflow."""

    status: ClassVar[int] = 400
    code: str = "invalid"
    #: Whether the audit trail has it already.
    audited: bool = False

    def __init__(self, detail: str, *, code: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra
        if code is not None:
            self.code = code


class Invalid(DomainError):
    """The input is well-formed and still wrong: unknown currency, negative amount."""

    status = 422
    code = "invalid"


class NotAllowed(DomainError):
    """The actor may not do this, whoever else may."""

    status = 403
    code = "not_allowed"


class NotFound(DomainError):
    """There is no such object, or the actor may not know of it."""

    status = 404
    code = "not_found"


class Conflict(DomainError):
    """The state has moved on: somebody else was first, or it is already settled."""

    status = 409
    code = "conflict"


class TooMany(DomainError):
    """Tried too often. Nothing was looked at; `retry_after` says after how many seconds it is."""

    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str, *, retry_after: int, **extra: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **extra)
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A server that this needs does not answer now. Nothing was changed; try again."""

    status = 503
    code = "unavailable"
