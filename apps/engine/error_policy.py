"""Classifies errors of engine calls: retry without counting, park now, or count an attempt."""

from enum import Enum

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout
from temporalio.service import RPCError, RPCStatusCode

from apps.common.errors import DomainError, Unavailable


class Verdict(Enum):
    #: The servers (or our access to them) are away: tried for ever.
    AWAY = "away"
    #: The server lacks the namespace or a search attribute: set up again, tried for ever.
    UNPREPARED = "unprepared"
    #: There is no such open workflow.
    GONE = "gone"
    #: This command can never succeed: parked at once.
    POISON = "poison"
    #: Anything else: parked after some tries.
    STRIKE = "strike"


_AWAY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    # A certificate or key that expired concerns every command: parking them all helps nobody.
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
}
#: A connection that breaks under a call is reported as one of these, with such a text.
_BROKEN = (RPCStatusCode.UNKNOWN, RPCStatusCode.INTERNAL)
_BROKEN_TEXTS = ("transport", "connection", "h2 protocol", "stream", "broken pipe", "error reading")


def classify(error: BaseException) -> Verdict:
    """The verdict on an exception of a call."""
    if isinstance(error, RPCError):
        return _classify_rpc(error)
    if isinstance(error, Unavailable):
        return Verdict.AWAY
    # ValueError and TypeError: arguments that cannot be encoded.
    if isinstance(error, DomainError | ValueError | TypeError):
        return Verdict.POISON
    away = OSError | OperationalError | InterfaceError | PoolTimeout | ImproperlyConfigured
    if isinstance(error, away):  # TimeoutError is an OSError
        return Verdict.AWAY
    if isinstance(error, RuntimeError) and "client connect" in str(error):
        return Verdict.AWAY
    return Verdict.STRIKE


def workflow_is_unknown(error: RPCError) -> bool:
    """Whether the server says that there is no such (open) workflow; not: no such namespace."""
    return error.status == RPCStatusCode.NOT_FOUND and not _namespace_is_unknown(error)


def _classify_rpc(error: RPCError) -> Verdict:
    text = str(error).lower()
    if error.status == RPCStatusCode.NOT_FOUND:
        return Verdict.UNPREPARED if _namespace_is_unknown(error) else Verdict.GONE
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        unmapped = "search attribute" in text and ("no mapping" in text or "not defined" in text)
        return Verdict.UNPREPARED if unmapped else Verdict.POISON
    if error.status == RPCStatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:
        return Verdict.POISON
    if error.status in _AWAY:
        return Verdict.AWAY
    if error.status in _BROKEN and any(part in text for part in _BROKEN_TEXTS):
        return Verdict.AWAY
    return Verdict.STRIKE


def _namespace_is_unknown(error: RPCError) -> bool:
    try:
        kinds = [detail.type_url for detail in error.grpc_status.details]
    except Exception:
        # Details that cannot be parsed leave the text.
        kinds = []
    return any(kind.endswith("NamespaceNotFoundFailure") for kind in kinds) or str(
        error
    ).startswith("Namespace ")
