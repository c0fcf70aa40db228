"""Admin of a kind of run, with its three actions."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.translation import gettext

from apps.common.language import lazy as _
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

    @admin.display(description=_("items"))
    def progress(self, run: Any) -> str:
        """Count the items by status."""
        found = runs.progress_of(self.spec, run)
        return gettext(
            "{done} done, {failed} failed, {running} under way, {waiting} waiting, "
            "{cancelled} cancelled"
        ).format(
            done=found.done,
            failed=found.failed,
            running=found.running,
            waiting=found.waiting,
            cancelled=found.cancelled,
        )

    @verb(
        _("Pause"),
        title=_("Pause runs"),
        explanation=_("What is under way ends; nothing further is begun until somebody resumes."),
        button=_("Pause"),
        permission=ACT,
    )
    def pause(self, run: Any, given: Given) -> str:
        runs.pause(self.spec, run.pk, **given.asked_now)
        return gettext("Paused.")

    @verb(
        _("Resume"),
        title=_("Resume runs"),
        explanation=_("Each goes on with the items that wait."),
        button=_("Resume"),
        permission=ACT,
    )
    def resume(self, run: Any, given: Given) -> str:
        runs.resume(self.spec, run.pk, **given.asked_now)
        return gettext("It goes on.")

    @verb(
        _("Cancel"),
        title=_("Cancel runs"),
        explanation=_(
            "For good: what is done stays done, what is under way ends, the rest is "
            "never begun. A request for a signature is closed."
        ),
        button=_("Cancel them"),
        permission=ACT,
    )
    def cancel(self, run: Any, given: Given) -> str:
        runs.cancel(self.spec, run.pk, **given.asked_now)
        return gettext("Cancelled.")
