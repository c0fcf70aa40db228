"""The smallest workflow: shows that a queue is served, for `manage.py pingengine`."""

from temporalio import workflow
from temporalio.common import VersioningBehavior


@workflow.defn(name="PingWorkflow", versioning_behavior=VersioningBehavior.PINNED)
class PingWorkflow:
    """Returns without an activity, so it works during an outage of PostgreSQL."""

    @workflow.run
    async def run(self) -> dict[str, bool]:
        return {"pong": True}
