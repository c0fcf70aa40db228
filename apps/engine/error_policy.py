"""Classifies errors of engine calls: retry without counting, park now, or count an attempt."""

from enum import Enum

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout
from temporalio.service import RPCError, RPCStatusCode

from apps.common.errors import DomainError, Unavailable


class Verdict(Enum):
    #: The server, the network or our access is down: retry for ever.
    AWAY = "away"
    #: The server lacks the namespace or a search attribute: prepare again, retry for ever.
    UNPREPARED = "unprepared"
    #: There is no such open workflow.
    GONE = "gone"
    #: The command can never succeed: park now.
    POISON = "poison"
    #: Anything else: count an attempt; park after `max_attempts`.
    STRIKE = "strike"


_AWAY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    # An expired certificate or key affects every command: parking them all would not help.
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
}
#: A connection that breaks during a call is reported as one of these, with such a text.
_BROKEN = (RPCStatusCode.UNKNOWN, RPCStatusCode.INTERNAL)
_BROKEN_TEXTS = ("transport", "connection", "h2 protocol", "stream", "broken pipe", "error reading")


def classify(error: BaseException) -> Verdict:
    """Return the verdict on an exception of a call."""
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
    """Return whether the server knows no such (open) workflow; not: no such namespace."""
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
        # If the details cannot be parsed, the text decides.
        kinds = []
    return any(kind.endswith("NamespaceNotFoundFailure") for kind in kinds) or str(
        error
    ).startswith("Namespace ")
