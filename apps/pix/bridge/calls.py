"""One call of the bridge: counted, bounded in time; its answer, or what its failure means."""

from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from django.conf import settings

from apps.common import correlation
from apps.common.correlation import get_logger
from apps.pix.bridge import channel, limits, problems
from apps.pix.bridge.problems import DirectoryRefused, DirectoryUnavailable

logger = get_logger(__name__)

R = TypeVar("R")


def unary(
    service: str,
    stub: Callable[[grpc.Channel], Any],
    method: str,
    request: Any,
    participant: str,
    read: Callable[[Any], R],
    within: float | None,
) -> R:
    """Make a call of `service` once, and return what `read` makes of its answer (ValueError: it
    cannot be read). `request` gets who asks and the correlation id."""
    operation, role = f"{service}.{method}", getattr(request, "role", "")
    request.participant = participant
    request.correlation_id = correlation.current()
    limits.take(operation, participant, role=role)
    send = getattr(stub(channel.channel()), method)
    try:
        answer = send(request, timeout=deadline(within))
    except grpc.RpcError as error:
        outcome = failed(operation, error)
        _correct(operation, participant, role, outcome)
        raise outcome from error
    try:
        return read(answer)
    except ValueError as error:
        logger.warning("directory_answer_unreadable", operation=operation, error=str(error))
        raise problems.unreadable() from error


def deadline(within: float | None) -> float:
    """Return the seconds that a call has."""
    usual: float = settings.BRIDGE_GRPC_TIMEOUT
    return usual if within is None else max(0.0, min(within, usual))


def failed(operation: str, error: grpc.RpcError) -> DirectoryRefused | DirectoryUnavailable:
    """Return what the failure means; an outage is logged."""
    outcome = problems.failure(error)
    if isinstance(outcome, DirectoryUnavailable):
        # The text of the library names addresses and sockets: for operators alone.
        status: Any = error.code() if isinstance(error, grpc.Call) else None
        logger.warning("directory_unavailable", operation=operation, status=str(status))
    return outcome


def _correct(
    operation: str,
    participant: str,
    role: str,
    outcome: DirectoryRefused | DirectoryUnavailable,
) -> None:
    """Count as the directory does."""
    if isinstance(outcome, DirectoryRefused):
        missing = outcome.problem_type == "NotFound"
        limits.answered(operation, participant, 404 if missing else 400, role=role)
    elif outcome.problem_status == 429:
        pause = outcome.retry_after
        limits.refused(operation, participant, pause.total_seconds() if pause else 1.0, role=role)
    elif outcome.problem_status >= 500:
        limits.answered(operation, participant, outcome.problem_status, role=role)
