"""Domain errors: every refusal has a class, a stable code and the HTTP status it maps to.

The codes are part of the API: clients and workflows branch on them, so they are never renamed.
"""

from datetime import timedelta
from typing import Any, ClassVar

from apps.common.language import for_record


class DomainError(Exception):
    """A refusal that the caller can understand. Workflows never retry it."""

    status: ClassVar[int] = 400
    code: str = "invalid"
    #: Set once the refusal is in the audit trail.
    audited: bool = False

    def __init__(self, detail: str, *, code: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self._text = detail
        self.extra = extra
        if code is not None:
            self.code = code

    @property
    def detail(self) -> str:
        """What happened, in the language of whoever reads it now."""
        return str(self._text)

    @property
    def recorded(self) -> str:
        """The same as rows and the audit trail keep it: in the site's language."""
        return for_record(self._text)


class Invalid(DomainError):
    """The input is well-formed but not valid: unknown currency, negative amount."""

    status = 422
    code = "invalid"


class NotAllowed(DomainError):
    """The actor may not do this; others may."""

    status = 403
    code = "not_allowed"


class NotFound(DomainError):
    """The object does not exist, or the actor may not know of it."""

    status = 404
    code = "not_found"


class Conflict(DomainError):
    """The state has changed: somebody else was first, or it is already settled."""

    status = 409
    code = "conflict"


class TooMany(DomainError):
    """Rate limit exceeded. Nothing was checked; `retry_after` is the number of seconds to wait."""

    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str, *, retry_after: int, **extra: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **extra)
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A server that this needs does not respond. Nothing was changed; try again.

    A workflow's next attempt waits for `retry_after` where it is given, else as its policy says.
    """

    status = 503
    code = "unavailable"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        retry_after: timedelta | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail, code=code, **extra)
        self.retry_after = retry_after
