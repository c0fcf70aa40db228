"""The correlation id, which links a request, its commands, its workflow and its activities."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars


def current() -> str:
    """Return the current correlation id: bound by the worker, or the web request's id."""
    bound = get_contextvars()
    return str(bound.get("correlation_id") or bound.get("request_id") or "")[:80]


def activity_id() -> str:
    """Return the id of the activity that runs here, unique within its run only; "" outside one."""
    return str(get_contextvars().get("activity_id") or "")[:80]


@contextmanager
def correlated(correlation_id: str, **ids: str) -> Iterator[None]:
    """Bind the correlation id (and further ids for the logs) for the duration of the block."""
    with bound_contextvars(correlation_id=correlation_id, **ids):
        yield


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose lines carry the bound ids."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
