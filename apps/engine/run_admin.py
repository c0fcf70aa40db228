"""Admin of a kind of run, with its three actions."""

from typing import Any, ClassVar

from django.contrib import admin

from apps.engine import runs
from apps.engine.process import Process
from apps.engine.runs import RunSpec
from apps.web.admin_process import ProcessAdmin
from apps.web.admin_verbs import Given, verb

#: The actions' permission: that of the run's domain, `RunSpec.act`.
ACT = "act"


class RunAdmin(ProcessAdmin):
    """Runs, described by `spec`. They can be paused, resumed and cancelled."""

    spec: ClassVar[RunSpec[Any]]
    readonly_fields = ("progress", *ProcessAdmin.readonly_fields)
    actions = ("pause", "resume", "cancel")

    @property
    def process(self) -> Process[Any]:  # type: ignore[override]
        return self.spec.process

    def _permission(self, action: str) -> str:
        return self.spec.act if action == ACT else super()._permission(action)

    @admin.display(description="items")
    def progress(self, run: Any) -> str:
        """Count the items by status."""
        found = runs.progress_of(self.spec, run)
        return (
            f"{found.done} done, {found.failed} failed, {found.running} under way, "
            f"{found.waiting} waiting, {found.cancelled} cancelled"
        )

    @verb(
        "Pause",
        title="Pause runs",
        explanation="What is under way ends; nothing further is begun until somebody resumes.",
        button="Pause",
        permission=ACT,
    )
    def pause(self, run: Any, given: Given) -> str:
        runs.pause(self.spec, run.pk, **given.asked_now)
        return "Paused."

    @verb(
        "Resume",
        title="Resume runs",
        explanation="Each goes on with the items that wait.",
        button="Resume",
        permission=ACT,
    )
    def resume(self, run: Any, given: Given) -> str:
        runs.resume(self.spec, run.pk, **given.asked_now)
        return "It goes on."

    @verb(
        "Cancel",
        title="Cancel runs",
        explanation="For good: what is done stays done, what is under way ends, the rest is never "
        "begun. A request for a signature is closed.",
        button="Cancel them",
        permission=ACT,
    )
    def cancel(self, run: Any, given: Given) -> str:
        runs.cancel(self.spec, run.pk, **given.asked_now)
        return "Cancelled."
