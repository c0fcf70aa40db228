"""What the simulated directory answers when it does not do something."""

from typing import Any, NoReturn

from google.protobuf import any_pb2
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from apps.pix.bridge import directory_pb2 as pb

#: HTTP status → gRPC's code.
_CODES = {
    400: code_pb2.FAILED_PRECONDITION,
    403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.NOT_FOUND,
    409: code_pb2.ABORTED,
    410: code_pb2.UNIMPLEMENTED,
    429: code_pb2.RESOURCE_EXHAUSTED,
    500: code_pb2.INTERNAL,
    503: code_pb2.UNAVAILABLE,
}
#: The directory's own word for a status without one of its own.
TYPES = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    409: "ResourceConflict",
    410: "DeprecatedResource",
    429: "RateLimited",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class Refused(Exception):
    """A problem of that type; `field`: the one that is wrong, `value`: what it holds."""

    def __init__(
        self,
        type: str,
        detail: str = "",
        *,
        status: int = 400,
        field: str = "",
        value: str = "",
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(f"{type}: {detail}")
        self.problem = pb.Problem(
            type=type, title=type, status=status, detail=detail or type, retry_after=retry_after
        )
        if field:
            self.problem.violations.add(reason=detail, value=value[:200], property=field)

    @property
    def status(self) -> status_pb2.Status:
        """As it goes over the wire."""
        details = any_pb2.Any()
        details.Pack(self.problem)
        code = _CODES.get(self.problem.status, code_pb2.UNKNOWN)
        return status_pb2.Status(code=code, message=self.problem.type, details=[details])


def end(context: Any, refused: Refused) -> NoReturn:
    """End a call with the refusal."""
    context.abort_with_status(rpc_status.to_status(refused.status))
    raise AssertionError  # the line above has done it


def with_status(status: int, retry_after: float = 0.0) -> Refused:
    """Return the directory's general refusal with this status of HTTP's."""
    return Refused(
        TYPES.get(status, "BadRequest"), "As told.", status=status, retry_after=retry_after
    )


def not_found(what: str) -> Refused:
    """There is no such thing, or not for who asks."""
    return Refused("NotFound", f"There is no such {what}.", status=404)


def forbidden(detail: str) -> Refused:
    """Who asks may not."""
    return Refused("Forbidden", detail, status=403)
