"""Pages of replays: the list, the form with what is chosen, and the progress of one replay."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.common.csvio import by_number
from apps.common.language import lazy as _
from apps.engine import runs
from apps.engine.timeline import timeline
from apps.payments.contracts import REPLAY, ReplayItemStatus, ReplayStatus
from apps.payments.forms import QuarantineFilter, ReplayFilter, ReplayForm
from apps.payments.models import QuarantinedEvent, ReplayRun
from apps.payments.services.desk import REPLAY as REPLAY_PERMISSION
from apps.payments.services.replays import (
    MOST_ITEMS,
    RUN,
    Pace,
    replay_cancel,
    replay_make,
    replay_pause,
    replay_resume,
)
from apps.payments.services.trials import MOST_TRIED, events_try
from apps.payments.views.quarantine import CRUMBS as QUARANTINE
from apps.payments.views.quarantine import VIEW
from apps.web.fragments import let_in, person
from apps.web.lists import ListPage, counted
from apps.web.pages import SAFE
from apps.web.pieces import Head, Link
from apps.web.run_columns import ITEM_ENDED, ITEM_NUMBER, RUN_COLUMNS, item_why
from apps.web.runs import Counts, Progress, RunNow, RunPages, Tab, usual_verbs
from apps.web.tables import AGE, ASKED_BY, ERROR, STATE, Column
from apps.web.verbs import Outcome, call_verb

CRUMBS = (QUARANTINE[0], Link(_("Replays"), "replays"))
COLUMNS = ("number", "event", "event_id", "version", "code", "detail")


def chosen_words(chosen: dict[str, Any]) -> str:
    """Say how the events of a replay were chosen."""
    if "ids" in chosen:
        text = ngettext("{count} event, one by one", "{count} events, one by one", chosen["ids"])
        return text.format(count=chosen["ids"])
    return ", ".join(f"{name}: {value}" for name, value in chosen.items()) or gettext("all open")


# --- the list -------------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    return ReplayRun.objects.visible_to(user).select_related("requested_by")


LIST_PAGE = ListPage(
    name="replays",
    title=_("Replays"),
    lead=_("Many quarantined events carried on, first a few, then at a rate."),
    noun="replay",
    topic="replays",
    rows=_rows,
    to="replay",
    version=lambda run: f"{run.version}-{run.bar.ended}",
    permission=VIEW,
    columns=(
        Column(head=_("Replay"), value=str, form="title"),
        Column(head=_("Chosen"), value=lambda run: chosen_words(run.chosen), form="aside"),
        *RUN_COLUMNS,
        ASKED_BY,
        AGE,
        STATE,
        ERROR,
    ),
    filters=ReplayFilter,
    crumbs=CRUMBS[:1],
    new=Link(_("To the quarantine"), "quarantined_events"),
    none=_("No replay yet"),
    first=_("Filter the quarantined events, then replay all that match."),
    empty=_("Filter the quarantined events, then replay all that match."),
    complete=lambda found: RUNS.complete(found),
)


# --- the form -------------------------------------------------------------------------------------
def new(request: HttpRequest) -> HttpResponse:
    """Show what the filter in the address matches, and start its replay."""
    let_in(request, REPLAY_PERMISSION, action=f"{REPLAY}.make", subject_type=REPLAY)
    let_in(request, VIEW, action=f"{REPLAY}.make", subject_type=REPLAY)
    chosen = QuarantineFilter(request.GET)
    user = person(request)
    events = chosen.chosen(user)
    if request.method in SAFE:
        return _shown(request, chosen, events, ReplayForm(), Outcome())
    form = ReplayForm(request.POST)
    if "send" not in request.POST:
        trials = events_try(list(events.order_by("created_at", "pk")[:MOST_TRIED]))
        return _shown(request, chosen, events, form, Outcome(), trials=trials)
    said = chosen.said() if chosen.is_valid() else {}
    outcome = call_verb(request, form, partial(_make, events, said))
    if not outcome.done:
        return _shown(request, chosen, events, form, outcome)
    run, created = outcome.result
    if not created:
        messages.info(request, gettext("You had sent this form before; this is what it made."))
    return redirect("replay", run.pk)


def _make(
    events: "QuerySet[QuarantinedEvent]",
    said: dict[str, Any],
    *,
    rate: int,
    stop_share: float,
    **given: Any,
) -> tuple[ReplayRun, bool]:
    return replay_make(events=events, said=said, pace=Pace(rate, stop_share), **given)


def _shown(
    request: HttpRequest,
    chosen: QuarantineFilter,
    events: "QuerySet[QuarantinedEvent]",
    form: ReplayForm,
    outcome: Outcome,
    *,
    trials: Any = None,
) -> HttpResponse:
    back = f"{reverse('quarantined_events')}?{request.GET.urlencode()}"
    said = chosen.said() if chosen.is_valid() else {}
    failing = [trial for trial in trials or () if trial.code]
    context = {
        "head": Head(
            gettext("Replay events"),
            chosen_words(said),
            crumbs=(*CRUMBS,),
        ),
        "count": counted(events),
        "form": form,
        "trials": trials,
        "kept": len(trials or ()) - len(failing),
        "failing": failing[:20],
        "most": MOST_ITEMS,
        "draft": "replay",
        "back": back,
        "refusal": outcome.refusal,
    }
    return render(request, "payments/replay_new.html", context, status=outcome.status)


# --- one replay -----------------------------------------------------------------------------------
def _now(run: ReplayRun, counts: Counts, user: User) -> RunNow:
    over = ReplayStatus(run.status).terminal
    moves = not over or counts[ReplayItemStatus.RUNNING] > 0
    may = run.requested_by_id == user.pk or user.has_perm(REPLAY_PERMISSION)
    now = {ReplayStatus.RUNNING: ["pause"], ReplayStatus.PAUSED: ["resume"]}
    return RunNow(
        head=Head(
            str(run),
            gettext("{chosen}, made by {who}").format(
                chosen=chosen_words(run.chosen), who=run.requested_by
            ),
            at=run.created_at,
            crumbs=CRUMBS,
            state=run.status,
        ),
        over=over,
        moves=moves,
        verbs=[*now.get(ReplayStatus(run.status), []), "cancel"] if may and not over else [],
        more={
            "running": counts[ReplayItemStatus.RUNNING],
            "timeline": timeline(
                subjects=[(REPLAY, str(run.pk))],
                workflow_ids=[] if moves else [run.workflow_id],
            ),
        },
    )


def _failures(run: ReplayRun) -> Iterator[dict[str, Any]]:
    failed = run.items.filter(status=ReplayItemStatus.FAILED).select_related("event")
    for item in by_number(failed.defer("event__raw", "event__key", "event__headers")):
        about = (item.number, item.event_id, item.event.event_id or "", item.edit)
        yield dict(zip(COLUMNS, (*about, item.error_code, item.error_detail), strict=True))


ITEM_COLUMNS = (
    Column(head=_("Event"), value=lambda item: str(item.event), form="title"),
    ITEM_NUMBER,
    Column(
        head=_("Version"),
        value=lambda item: item.edit or None,
        form="count",
        text=_("version {}"),
        wide=True,
    ),
    item_why(lambda item: ""),
    ITEM_ENDED,
    STATE,
)

RUNS: RunPages[ReplayRun] = RunPages(
    name="replay",
    topic=REPLAY,
    template="payments/replay.html",
    rows=_rows,
    counts=partial(runs.counts_by_run, RUN),
    now=_now,
    verbs=usual_verbs(
        pause=replay_pause,
        resume=replay_resume,
        cancel=replay_cancel,
        button=_("Cancel the replay"),
        help=_(
            "May be empty. For good. Events on their way end; those that wait stay in the "
            "quarantine as they are."
        ),
        said=_("Cancelled. What was kept stays kept; the rest stays in the quarantine."),
    ),
    tabs=[
        Tab("", _("All"), (), _("None now.")),
        *(
            Tab(status, title, (status,), _("None now."))
            for status, title in (
                (ReplayItemStatus.WAITING, _("Waiting")),
                (ReplayItemStatus.RUNNING, _("On their way")),
                (ReplayItemStatus.DONE, _("Kept")),
                (ReplayItemStatus.FAILED, _("Failed")),
                (ReplayItemStatus.CANCELLED, _("Not begun")),
            )
        ),
    ],
    words={
        ReplayItemStatus.DONE: _("kept"),
        ReplayItemStatus.FAILED: _("failed"),
        ReplayItemStatus.RUNNING: _("on their way"),
        ReplayItemStatus.WAITING: _("waiting"),
        ReplayItemStatus.CANCELLED: _("not begun"),
    },
    progress=Progress(
        label=_("Replayed"),
        heading=_("{ended} of {total} have ended"),
        text=_("{done} kept, {failed} failed of {total}"),
    ),
    related=("event",),
    item_columns=ITEM_COLUMNS,
    items_title=_("Events of the replay"),
    item_to=lambda item: reverse("quarantined_event", args=[item.event_id]),
    columns=COLUMNS,
    failures=_failures,
)
