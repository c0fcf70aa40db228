"""Automations and their executions in the admin: read-only, services write them."""

from django.contrib import admin
from django.utils.translation import gettext

from apps.automations.models import (
    Automation,
    AutomationVersion,
    Execution,
    ExecutionEvent,
    NodeRun,
    Write,
)
from apps.automations.services.rows import PROCESS
from apps.automations.services.stopping import CANCEL, execution_cancel, execution_resume
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.web.admin_process import ProcessAdmin
from apps.web.admin_verbs import Given, verb


@admin.register(Automation)
class AutomationAdmin(ReadOnlyAdmin):
    list_display = ("code", "title", "runner", "enabled", "newest", "valid", "created_at")
    list_filter = ("enabled", "runner")
    ordering = ("-created_at", "-id")
    search_exact = ("code",)
    search_help_text = _("The exact code.")


@admin.register(AutomationVersion)
class AutomationVersionAdmin(ReadOnlyAdmin):
    list_display = ("automation", "number", "name", "nodes", "author", "created_at")
    list_select_related = ("automation", "author")
    ordering = ("-created_at", "-id")
    search_exact = ("digest",)
    search_help_text = _("The exact digest.")


class NodeInline(ReadOnlyInline):
    model = NodeRun
    fk_name = "execution"
    verbose_name_plural = _("nodes")
    fields = ("index", "node_id", "type", "status", "tries", "error_code", "started_at", "ended_at")
    order = "index"


class EventInline(ReadOnlyInline):
    model = ExecutionEvent
    fk_name = "execution"
    verbose_name_plural = _("history")
    fields = ("at", "node_id", "event", "detail")


@admin.register(Execution)
class ExecutionAdmin(ProcessAdmin):
    """Executions. They are cancelled and resumed here; a new one is asked for on its page."""

    process = PROCESS
    columns = ("definition", "runner", "done", "attempt")
    list_filter = (*ProcessAdmin.list_filter, "runner")
    list_select_related = ("definition", "requested_by")
    inlines = (NodeInline, EventInline)
    actions = ("cancel", "resume")
    exclude = (*ProcessAdmin.exclude, "lease", "lease_until")

    @verb(
        _("Cancel"),
        title=_("Cancel executions"),
        explanation=_(
            "What runs is cut off within seconds, open requests are closed, and nothing further "
            "begins. None of them can be resumed."
        ),
        button=_("Cancel them"),
        permission=CANCEL,
    )
    def cancel(self, execution: Execution, given: Given) -> str:
        """Cancel the execution."""
        execution_cancel(execution_id=execution.pk, **given.asked_now)
        return gettext("Cancelled.")

    @verb(
        _("Resume"),
        title=_("Resume executions"),
        explanation=_(
            "Of each that has failed, what failed and what that blocked runs once more. What has "
            "finished does not."
        ),
        button=_("Resume them"),
        permission=CANCEL,
    )
    def resume(self, execution: Execution, given: Given) -> str:
        """Run what has failed once more."""
        execution_resume(execution_id=execution.pk, **given.asked_now)
        return gettext("It goes on with what had failed.")


@admin.register(NodeRun)
class NodeRunAdmin(ReadOnlyAdmin):
    list_display = ("node_id", "execution", "type", "status", "tries", "error_code", "ended_at")
    list_filter = ("status", "type")
    list_select_related = ("execution",)
    search_exact = ("execution",)
    search_help_text = _("The exact id of an execution.")


@admin.register(ExecutionEvent)
class ExecutionEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "execution", "node_id", "event", "detail")
    list_select_related = ("execution",)
    search_exact = ("execution",)
    search_help_text = _("The exact id of an execution.")


@admin.register(Write)
class WriteAdmin(ReadOnlyAdmin):
    """What database nodes have written, once for each key."""

    list_display = ("key", "count", "at")
    ordering = ("-at",)
    search_exact = ("key",)
    search_help_text = _("The exact key.")
