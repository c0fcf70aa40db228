"""Pages of schedules: all of them, and one with its runs and its actions."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.common.durations import duration_in_words
from apps.common.language import lazy as _
from apps.engine import services
from apps.engine.cron_words import cron_words
from apps.engine.models import WorkflowRun, WorkflowSchedule
from apps.engine.schedule_reads import ScheduledRun, ScheduleState, ScheduleStates, schedule_states
from apps.engine.services.schedules import last_asked
from apps.engine.timeline import timeline
from apps.engine.watching import Seen, Watch
from apps.web.fragments import fragment, let_in, person, seen_with
from apps.web.links import temporal_url
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.verbs import RequiredReasonForm

VIEW = "engine.view_workflowschedule"
ACT = "engine.change_workflowschedule"
CRUMB = Link(_("Schedules"), "schedules")

#: The most schedules that the page shows and asks Temporal about.
MOST = 100

STATES = Watch("schedules", ScheduleStates)


def _rows(user: User) -> Any:
    return WorkflowSchedule.objects.order_by("name")


def _seen() -> Seen[ScheduleStates]:
    names = list(_rows_named())
    return STATES.look(partial(schedule_states, names))


def _rows_named() -> Any:
    return WorkflowSchedule.objects.order_by("name").values_list("name", flat=True)[:MOST]


# --- all of them ---------------------------------------------------------------------------------
def _list_context(request: HttpRequest) -> dict[str, Any]:
    rows = list(_rows(person(request))[: MOST + 1])
    seen = _seen()
    return {
        "head": Head(gettext("Schedules"), gettext("Workflows that begin by the clock, and when.")),
        "seen": seen,
        "topics": "engine",
        "cut": len(rows) > MOST,
        "most": MOST,
        "schedules": [_shown(row, seen) for row in rows[:MOST]],
    }


def _shown(row: WorkflowSchedule, seen: Seen[ScheduleStates]) -> dict[str, Any]:
    """Return what a line says of the schedule; without an answer of Temporal, what the row says."""
    state = seen.answer.of(row.name) if seen.answer else None
    return {
        "row": row,
        "href": reverse("schedule", args=[row.name]),
        "when": cron_words(row.cron, row.time_zone),
        "known": state is not None,
        # Temporal may still have the state from before a change that is on its way.
        "differs": state is not None and (not state.found or state.paused != row.paused),
        "next": state.next_at[0] if state and state.next_at and not row.paused else None,
        "last": state.last[0] if state and state.last else None,
    }


def _page(request: HttpRequest) -> HttpResponse:
    let_in(request, VIEW)
    return render(request, "engine/schedules.html", _list_context(request))


def _live(request: HttpRequest) -> HttpResponse:
    seen_with(request, VIEW)
    return render(request, "engine/_schedules_live.html", _list_context(request))


# --- one schedule --------------------------------------------------------------------------------
class RunNowForm(RequiredReasonForm):
    """The reason, and what the page had shown of earlier requests."""

    seen = forms.IntegerField(min_value=0, max_value=2**63 - 1)


def _verb(verb: str, service: Any, **own: Any) -> RowVerb:
    return RowVerb(
        call=lambda key, **given: service(name=key, **given),
        permission=ACT,
        action=f"engine.schedule_{verb}",
        **{"plain": True, **own},
    )


VERBS = RowVerbs(
    name="schedule",
    rows=_rows,
    subject_type="schedule",
    column="name",
    verbs={
        "run_now": _verb(
            "run_now",
            services.schedule_run_now,
            title=_("Run now"),
            button=_("Run it now"),
            help=_(
                "One run begins as soon as the engine answers, also while the schedule "
                "is paused. None begins while one is under way."
            ),
            said=_("Asked for. It begins as soon as the engine answers, unless one is under way."),
            applies=lambda row: True,
            stamp=lambda row: str(last_asked([row.name]).get(row.name, 0)),
            form=RunNowForm,
        ),
        "pause": _verb(
            "pause",
            services.schedule_pause,
            title=_("Pause"),
            button=_("Pause the schedule"),
            help=_("No run begins until somebody resumes it. A run under way goes on."),
            said=_("Paused. The engine follows as soon as it answers."),
            applies=lambda row: not row.paused,
            plain=False,
        ),
        "resume": _verb(
            "resume",
            services.schedule_resume,
            title=_("Resume"),
            button=_("Resume the schedule"),
            help=_("It goes on with its next time. What it left out is not caught up."),
            said=_("Resumed. The engine follows as soon as it answers."),
            applies=lambda row: row.paused,
        ),
    },
)


def _context(request: HttpRequest, row: WorkflowSchedule) -> dict[str, Any]:
    seen = _seen()
    state = seen.answer.of(row.name) if seen.answer else None
    return {
        "topics": "engine",
        "head": _head(row, state),
        "facts": _facts(row, state),
        "facts_title": gettext("The schedule"),
        "seen": seen,
        "state": state,
        "runs": _runs(state),
        "verbs": VERBS.shown(row, person(request)),
        "timeline": timeline(subjects=[("schedule", row.name)], workflow_ids=[]),
    }


def _head(row: WorkflowSchedule, state: ScheduleState | None) -> Head:
    note = None
    if state is not None and (not state.found or state.paused != row.paused):
        note = Note(
            gettext("The engine does not have this state yet."),
            gettext("The change is on its way; it arrives within seconds while the relay runs."),
            tone="info",
        )
    return Head(
        row.name,
        cron_words(row.cron, row.time_zone),
        crumbs=(CRUMB,),
        state="paused" if row.paused else "active",
        note=note,
    )


def _facts(row: WorkflowSchedule, state: ScheduleState | None) -> list[Fact]:
    facts = [
        Fact(gettext("What it is for"), row.note or "–", form="prose"),
        Fact(gettext("Workflow"), row.workflow_type),
        Fact(gettext("Task queue"), row.task_queue),
        Fact(gettext("Cron"), row.cron, note=row.time_zone, form="code"),
        *_limits(row),
    ]
    if state is not None and state.found:
        upcoming = () if row.paused else state.next_at
        facts += [
            Fact(gettext("Next runs") if number == 0 else "", at, form="when")
            for number, at in enumerate(upcoming)
        ]
        facts.append(Fact(gettext("Runs so far"), state.runs))
        if state.skipped:
            facts.append(
                Fact(
                    gettext("Left out"),
                    state.skipped,
                    note=gettext("the run before was still going"),
                )
            )
        if state.missed:
            facts.append(
                Fact(
                    gettext("Missed"),
                    state.missed,
                    note=gettext("the engine was away for too long"),
                )
            )
    return facts


def _limits(row: WorkflowSchedule) -> Iterator[Fact]:
    """Yield in words how late a run still begins, and how long it may take."""
    text = gettext("Catches up runs missed by at most {duration}")
    late = text.format(duration=duration_in_words(row.catch_up_seconds))
    yield Fact(gettext("After an outage"), late, form="prose")
    if row.execution_timeout_seconds:
        text = gettext("The engine ends a run after {duration}")
        limit = text.format(duration=duration_in_words(row.execution_timeout_seconds))
        yield Fact(gettext("Time limit"), limit, form="prose")


def _runs(state: ScheduleState | None) -> list[dict[str, Any]]:
    """Return the last runs, each with its page where the mirror knows it."""
    last = state.last if state else ()
    known = _known(last)
    return [
        {"run": run, "href": known.get(run.run_id, temporal_url(run.workflow_id))} for run in last
    ]


def _known(last: tuple[ScheduledRun, ...]) -> Mapping[str, str]:
    runs = WorkflowRun.objects.filter(
        workflow_id__in=[run.workflow_id for run in last], run_id__in=[run.run_id for run in last]
    ).values_list("run_id", "pk")
    return {run_id: reverse("workflow_run", args=[pk]) for run_id, pk in runs}


DETAIL_PAGE = DetailPage(
    name="schedule",
    column="name",
    rows=_rows,
    context=_context,
    main=("web/_row_verbs.html", "web/_facts_panel.html", "engine/_schedule_runs.html"),
    side=("console/_timeline.html",),
    poll_seconds=10,
    permission=VIEW,
)


def urls() -> list[URLPattern]:
    """Return the URLs of the pages above."""
    return [
        path("schedules/", login_required(require_GET(_page)), name="schedules"),
        # A schedule may be called `live`.
        path("schedules-live/", fragment(require_GET(_live)), name="schedules_live"),
        *DETAIL_PAGE.urls("schedules/<slug:key>/"),
        *VERBS.urls("schedules/<slug:key>/"),
    ]
