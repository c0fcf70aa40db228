"""The clock's activity. Workflows of domains also call it, through `workers.approval_wait`."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.approvals import services
from apps.approvals.contracts import Tick, TickInput


@activity.defn(name="tick_request")
def tick_request(input: TickInput) -> Tick:
    services.signals_judge(request_id=input.request_id, commands=input.commands)
    return services.request_tick(request_id=input.request_id, as_of=input.as_of)


ACTIVITIES: list[Callable[..., Any]] = [tick_request]
