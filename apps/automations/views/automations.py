"""Pages of automations: the list, and one with its graph, its versions and what is wrong."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.automations import texts
from apps.automations.checking import issues_kept
from apps.automations.contracts import AUTOMATION
from apps.automations.forms import RUNNERS, AutomationFilter, RunForm
from apps.automations.models import Automation, AutomationVersion
from apps.automations.pictures import drawn
from apps.automations.selectors import latest_runs, runs_by_id, with_last_run
from apps.automations.services.definitions import CHANGE, TOPIC, VIEW, automation_change
from apps.automations.states import state_of
from apps.automations.views.running import LIST, may_run
from apps.common.identifiers import number_of
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Cell, Fact, Head, Line, Link, Note, rows_card, seen_by
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import Column

#: Versions that the page lists; all of them are in the API. Executions that it lists.
MOST_VERSIONS, MOST_RUNS = 20, 5


def _with_last_runs(rows: list[Any]) -> None:
    runs = runs_by_id([row.last_run for row in rows if row.last_run])
    for row in rows:
        row.ran = runs.get(row.last_run)


LIST_PAGE = ListPage(
    name="automations",
    title=_("Automations"),
    lead=_("Graphs of steps that somebody drew, each in versions."),
    noun="automation",
    topic=f"{TOPIC} executions",
    rows=with_last_run,
    to="automation",
    by="code",
    columns=(
        Column(head=_("Automation"), value="title", form="title"),
        Column(head=_("Code"), value="code", form="code"),
        Column(head=_("Version"), value="newest", text=_("version {}")),
        Column(head=_("Run by"), value=lambda row: str(RUNNERS[row.runner]), wide=True),
        Column(
            head=_("Last run"),
            value=lambda row: row.ran.created_at if row.ran else None,
            form="age",
            part="automations/_last_run.html",
        ),
        Column(head=_("Made"), value="created_at", form="age", wide=True),
        Column(head=_("State"), value=state_of, form="state"),
    ),
    filters=AutomationFilter,
    complete=_with_last_runs,
    version=lambda row: f"{row.version}-{row.last_run}-{row.ran.status if row.ran else ''}",
    permission=VIEW,
    none=_("No automation yet"),
    first=_("Write the first one."),
    empty=_("They appear here as soon as somebody writes one."),
    new=Link(_("Write an automation"), "automation_new", CHANGE, main=True),
)


def _switch(enabled: bool) -> Any:
    def call(code: str, **given: Any) -> Automation:
        return automation_change(code=code, enabled=enabled, **given, as_of=timezone.now())

    return call


VERBS = RowVerbs(
    name="automation",
    rows=lambda user: Automation.objects.all(),
    column="code",
    subject_type=AUTOMATION,
    verbs={
        "switch-off": RowVerb(
            call=_switch(False),
            title=_("Switch off"),
            button=_("Switch off"),
            help=_("Nobody can execute it any more. What runs goes on to its end."),
            said=_("Switched off."),
            permission=CHANGE,
            action=f"{AUTOMATION}.change",
            applies=lambda row: row.enabled,
        ),
        "switch-on": RowVerb(
            call=_switch(True),
            title=_("Switch on"),
            button=_("Switch on"),
            help=_("It can be executed again, by its newest version without issues."),
            said=_("Switched on."),
            permission=CHANGE,
            action=f"{AUTOMATION}.change",
            applies=lambda row: not row.enabled,
            plain=True,
        ),
    },
)


def _context(request: HttpRequest, automation: Automation) -> dict[str, Any]:
    user = person(request)
    version = _version(request, automation)
    marked = texts.marked(version.text, issues_kept(version.issues))
    return {
        "topics": f"{TOPIC} executions",
        "head": _head(automation, version, user),
        "automation": automation,
        "version": version,
        "drawing": drawn(version.document, wrong=texts.nodes_in(marked)),
        "lines": version.text.splitlines(),
        "marked": marked,
        "facts_title": gettext("Version {number}").format(number=version.number),
        "facts": _facts(automation, version),
        "versions": _versions(automation, version),
        "runs": _runs(automation, user),
        "run_form": RunForm() if may_run(automation, user) else None,
        "verbs": VERBS.shown(automation, user),
        "timeline": timeline(
            subjects=[(AUTOMATION, automation.code)],
            workflow_ids=[],
            older=request.GET.get("older", ""),
        ),
    }


def _version(request: HttpRequest, automation: Automation) -> AutomationVersion:
    """Return the version at ?version=; the newest without one, or for one that is not there."""
    number = number_of(request.GET.get("version", ""), digits=9) or automation.newest
    rows = automation.versions.select_related("author")
    return rows.filter(number=number).first() or rows.get(number=automation.newest)


def _head(automation: Automation, version: AutomationVersion, user: User) -> Head:
    edit = reverse("automation_edit", args=[automation.code])
    return Head(
        automation.title,
        gettext("{code} · made").format(code=automation.code),
        at=automation.created_at,
        crumbs=(LIST,),
        state=state_of(automation),
        links=seen_by((Link(gettext("Write a version"), edit, CHANGE, main=True),), user),
        note=_note(automation, version),
    )


def _note(automation: Automation, version: AutomationVersion) -> Note | None:
    if version.number != automation.newest:
        return Note(
            gettext("This is version {number}.").format(number=version.number),
            gettext("The newest is version {newest}.").format(newest=automation.newest),
            tone="info",
        )
    if version.issues:
        run = (
            gettext("Version {valid} is executed until then.").format(valid=automation.valid)
            if automation.valid
            else gettext("Nothing can be executed until then.")
        )
        count = len(version.issues)
        what = ngettext(
            "It has {count} issue and cannot run.", "It has {count} issues and cannot run.", count
        )
        return Note(what.format(count=count), gettext("Write a version without."), run)
    return None


def _facts(automation: Automation, version: AutomationVersion) -> list[Fact]:
    return [
        Fact(gettext("Name"), version.name),
        Fact(gettext("Nodes"), version.nodes),
        Fact(gettext("Run by"), RUNNERS[automation.runner]),  # type: ignore[index]
        Fact(gettext("Written by"), version.author),
        Fact(gettext("Written"), version.created_at, form="when"),
        Fact(gettext("Digest"), version.digest[:16], form="code"),
    ]


def _versions(automation: Automation, shown: AutomationVersion) -> dict[str, Any]:
    rows = automation.versions.select_related("author").defer("text")[:MOST_VERSIONS]
    page = reverse("automation", args=[automation.code])
    return rows_card(
        "automation-versions",
        gettext("Versions"),
        [
            Line(
                gettext("Version {number}").format(number=row.number),
                "" if row.number == shown.number else f"{page}?version={row.number}",
                cells=(
                    Cell(gettext("By"), row.author, gettext("by {}")),
                    Cell(gettext("Written"), row.created_at, form="age"),
                ),
                state="draft" if row.issues else "",
                under=gettext("shown") if row.number == shown.number else "",
            )
            for row in rows
        ],
    )


def _runs(automation: Automation, user: User) -> dict[str, Any]:
    page = f"{reverse('executions')}?automation={automation.code}"
    return rows_card(
        "automation-runs",
        gettext("Executions"),
        [
            Line(
                gettext("Version {number}").format(number=run.definition.number),
                reverse("execution", args=[run.pk]),
                cells=(
                    Cell(gettext("By"), run.requested_by, gettext("by {}")),
                    Cell(gettext("Asked"), run.created_at, form="age"),
                ),
                state=run.status,
            )
            for run in latest_runs(automation, user, most=MOST_RUNS)
        ],
        link=Link(gettext("All of them"), page),
        empty=gettext("Nobody has run it yet."),
    )


DETAIL_PAGE = DetailPage(
    name="automation",
    rows=lambda user: Automation.objects.all(),
    column="code",
    context=_context,
    permission=VIEW,
    template="automations/automation.html",
    above=("automations/_drawing.html",),
    main=("automations/_issues.html", "automations/_text.html"),
    side=(
        "automations/_run.html",
        "automations/_runs.html",
        "web/_facts_panel.html",
        "automations/_versions.html",
        "web/_row_verbs.html",
    ),
    after=("console/_timeline.html",),
)
