"""JSON logs with `level`, `msg`, `timestamp` and the ids bound by the caller (structlog)."""

from typing import Any

import structlog

from config.settings import env

_LEVELS = {"debug", "info", "warning", "error", "critical"}

LOG_LEVEL = env.text("LOG_LEVEL", "info").lower()
if LOG_LEVEL == "warn":
    LOG_LEVEL = "warning"
if LOG_LEVEL not in _LEVELS:
    from django.core.exceptions import ImproperlyConfigured

    raise ImproperlyConfigured(
        f"{env.name_of('LOG_LEVEL')} must be one of {sorted(_LEVELS)}, not {LOG_LEVEL!r}"
    )

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    structlog.processors.EventRenamer("msg"),
]

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": [structlog.stdlib.ExtraAdder(), *_SHARED],
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL.upper()},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "propagate": False},
        # Below that they write addresses and headers, in which there are secrets.
        "httpx2": {"level": "WARNING"},
        "httpcore2": {"level": "WARNING"},
        # Ten lines for each attempt to reach a broker that is away.
        "pulsar": {"level": "ERROR"},
    },
}


def configure_structlog() -> None:
    """Route structlog through logging, so that both kinds of caller share one JSON format."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
