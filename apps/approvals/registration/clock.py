"""Registers the clock's process with the engine."""

from apps.approvals.services import clock
from apps.engine import process


def register() -> None:
    """Register the process. Called once, when Django is ready."""
    process.register(
        clock.CLOCK,
        restart=clock.clock_restart,
        on_closed=clock.clock_closed,
        on_undeliverable=clock.clock_undeliverable,
    )
