"""Admin of the engine: commands, runs, schedules, processes."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.engine import services, subjects
from apps.engine.contracts import (
    CATCH_UP_SECONDS,
    LEAST_CATCH_UP_SECONDS,
    MOST_SCHEDULE_SECONDS,
)
from apps.engine.models import EngineCommand, ProcessHeartbeat, WorkflowRun, WorkflowSchedule
from apps.web.admin import ReadOnlyAdmin, acting, link, workflow_link
from apps.web.admin_forms import ReadableJSONField, ServiceFormAdmin
from apps.web.admin_verbs import Given, Line, state_note, verb
from apps.web.tones import words_of


class _OfWorkflow(ReadOnlyAdmin):
    """Rows that belong to a workflow, and through it to a business row."""

    search_exact: Sequence[str] = ("workflow_id",)
    readonly_fields = ("workflow", "subject")

    @admin.display(description=_("workflow"), ordering="workflow_id")
    def workflow(self, row: EngineCommand | WorkflowRun) -> SafeString | str:
        return workflow_link(row.workflow_id)

    @admin.display(description=_("subject"))
    def subject(self, row: EngineCommand | WorkflowRun) -> SafeString | str:
        """Link to the business row's page."""
        known = subjects.get(row.subject_type)
        text = f"{row.subject_type} {row.subject_id[:13]}".strip()
        return link(known.url(row.subject_id) if known and row.subject_id else "", text or "–")


def _line(command: EngineCommand, request: HttpRequest) -> Line:
    return Line(state_note(words_of(command.state), command.error))


@admin.register(EngineCommand)
class EngineCommandAdmin(_OfWorkflow):
    """The outbox. Only the relay changes the rows; an operator may retry or discard a parked
    one."""

    list_display = (
        "id",
        "title",
        "workflow",
        "state",
        "attempts",
        "problem",
        "subject",
        "created_at",
    )
    list_filter = ("state", "kind")
    search_exact = ("key", "workflow_id")
    search_help_text = _("An exact workflow id or command key.")
    actions = ("retry", "discard")

    @admin.display(description=_("error"))
    def problem(self, command: EngineCommand) -> str:
        return command.error[:80]

    @verb(
        _("Send again"),
        title=_("Send commands again"),
        explanation=_(
            "Each chosen command that is parked goes back into the queue. The engine "
            "takes a command once, however often it is sent. A start that was "
            "discarded begins the workflow of its row anew."
        ),
        button=_("Send again"),
        line=_line,
    )
    def retry(self, command: EngineCommand, given: Given) -> str:
        """Send parked commands again."""
        services.command_retry(command_id=command.pk, **given.asked)
        return gettext("Will be sent within a second.")

    @verb(
        _("Discard"),
        title=_("Discard commands"),
        explanation=_(
            "The engine will never hear of these decisions, while the rows here stay "
            "as they are. Do this only when the workflow cannot use them any more."
        ),
        button=_("Discard"),
        line=_line,
    )
    def discard(self, command: EngineCommand, given: Given) -> str:
        """Discard commands, so that later commands of their workflow proceed."""
        services.command_discard(command_id=command.pk, **given.asked)
        return gettext("Discarded: it will never be sent.")


@admin.register(WorkflowRun)
class WorkflowRunAdmin(_OfWorkflow):
    """The mirror of Temporal's runs. Temporal is authoritative; the link goes there."""

    list_display = (
        "workflow",
        "workflow_type",
        "status",
        "confirmed",
        "task_queue",
        "subject",
        "started_at",
        "closed_at",
    )
    list_display_links = ("workflow_type",)
    list_filter = ("status", "confirmed", ("started_at", admin.DateFieldListFilter))
    ordering = ("-started_at",)
    search_help_text = _("An exact workflow id.")


class ScheduleForm(forms.Form):
    """A schedule as data; the service refuses what Temporal would refuse."""

    name = forms.SlugField(
        max_length=80, help_text=_("Also the schedule's id in the engine."), label=_("Name")
    )
    workflow_type = forms.CharField(max_length=80, label=_("Workflow type"))
    task_queue = forms.CharField(max_length=80, label=_("Task queue"))
    cron = forms.CharField(
        max_length=80, help_text=_("Five fields: minute hour day month weekday."), label=_("Cron")
    )
    time_zone = forms.CharField(max_length=60, initial="UTC", label=_("Time zone"))
    args = ReadableJSONField(
        required=False,
        initial=list,
        help_text=_("A JSON list: the workflow's arguments."),
        label=_("Args"),
    )
    catch_up_seconds = forms.IntegerField(
        min_value=LEAST_CATCH_UP_SECONDS,
        max_value=MOST_SCHEDULE_SECONDS,
        initial=CATCH_UP_SECONDS,
        help_text=_("A run missed for longer than this is left out."),
        label=_("Catches up within (seconds)"),
    )
    execution_timeout_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_SCHEDULE_SECONDS,
        help_text=_("After this the engine ends a run. Empty or 0: never."),
        label=_("Time limit of a run (seconds)"),
    )
    paused = forms.BooleanField(required=False, label=_("Paused"))
    note = forms.CharField(max_length=200, required=False, label=_("Note"))

    def clean_args(self) -> list[Any]:
        args = self.cleaned_data["args"] or []
        if not isinstance(args, list):
            raise forms.ValidationError(gettext("This must be a JSON list."))
        return args


@admin.register(WorkflowSchedule)
class WorkflowScheduleAdmin(ServiceFormAdmin):
    """Schedules. The relay makes Temporal's schedules equal to these rows."""

    list_display = ("name", "workflow_type", "task_queue", "cron", "time_zone", "paused", "version")
    list_filter = ("paused",)
    ordering = ("name",)
    search_exact = ("name", "workflow_type")
    service_form = ScheduleForm
    new_label = _("New schedule")
    edit_label = _("Change")

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        with transaction.atomic():
            return services.schedule_put(**data, by=acting(request), via="admin")


@admin.register(ProcessHeartbeat)
class ProcessHeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("role", "name", "queue_list", "leading", "started_at", "beat_at")
    list_filter = ("leading",)
    ordering = ("-beat_at",)

    @admin.display(description=_("queues"))
    def queue_list(self, beat: ProcessHeartbeat) -> SafeString:
        return format_html("{}", ", ".join(beat.queues) or "–")
