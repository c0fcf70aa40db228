"""The editor of definitions: a new automation, and the next version of one."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext

from apps.automations import texts
from apps.automations.contracts import AUTOMATION, Runner
from apps.automations.forms import NewAutomationForm, VersionForm
from apps.automations.models import Automation
from apps.automations.pictures import drawn
from apps.automations.services import definitions
from apps.automations.services.definitions import CHANGE, laid_out
from apps.automations.views.automations import LIST
from apps.web.denied import row_of
from apps.web.fragments import let_in
from apps.web.pages import SAFE
from apps.web.pieces import Head, Link
from apps.web.verbs import Outcome, call_verb

#: What somebody begins with who writes the first definition.
BEGINNING: dict[str, Any] = {
    "name": "My automation",
    "nodes": [
        {
            "id": "fetch",
            "type": "api_call",
            "data": {"url": "https://example.com/orders/{{ params.order }}", "method": "GET"},
        },
        {
            "id": "large",
            "type": "condition",
            "data": {"condition": "inputs.data.amount > 1000"},
        },
        {
            "id": "sign",
            "type": "approval",
            "data": {"title": "Release order {{ params.order }}", "group": "reviewer"},
        },
        {
            "id": "release",
            "type": "webhook",
            "data": {
                "url": "https://example.com/releases",
                "payload": {"order": "{{ params.order }}"},
            },
        },
    ],
    "edges": [
        {"id": "e1", "source": "fetch", "target": "large"},
        {"id": "e2", "source": "large", "target": "sign", "label": "true"},
        {"id": "e3", "source": "large", "target": "release", "label": "false"},
        {"id": "e4", "source": "sign", "target": "release", "label": "approved"},
    ],
}


def new(request: HttpRequest) -> HttpResponse:
    """Show the form for a new automation; check what was typed; make it."""
    let_in(request, CHANGE, action=f"{AUTOMATION}.create", subject_type=AUTOMATION)
    head = Head(
        gettext("Write an automation"),
        gettext("Its first version. One with issues is kept as a draft and cannot run."),
        crumbs=(LIST,),
    )
    place = {"back": reverse("automations"), "draft": "automation"}
    if request.method in SAFE:
        initial = {"text": laid_out(BEGINNING), "runner": Runner.ENGINE}
        return _shown(request, head, NewAutomationForm(initial=initial), Outcome(), **place)
    form = NewAutomationForm(request.POST)
    outcome = call_verb(request, form, _create) if "send" in request.POST else Outcome()
    if not outcome.done:
        return _shown(request, head, form, outcome, **place)
    automation, _created = outcome.result
    messages.success(request, gettext("Version 1 is written."))
    return redirect("automation", automation.code)


def edit(request: HttpRequest, code: str) -> HttpResponse:
    """Show the newest version to be changed; check what was typed; write the next version."""
    let_in(request, CHANGE, action=f"{AUTOMATION}.change", subject_type=AUTOMATION)
    automation = row_of(Automation.objects.all(), code=code)
    head = Head(
        gettext("Write a version"),
        gettext("Version {number} stays as it is; what runs keeps its own.").format(
            number=automation.newest
        ),
        crumbs=(LIST, Link(automation.title, reverse("automation", args=[code]))),
    )
    place = {
        "back": reverse("automation", args=[code]),
        "draft": f"automation-{automation.pk}",
    }
    if request.method in SAFE:
        newest = automation.versions.get(number=automation.newest)
        initial = {"text": newest.text, "version": newest.number}
        return _shown(request, head, VersionForm(initial=initial), Outcome(), **place)
    form = VersionForm(request.POST)
    outcome = call_verb(request, form, _add, code) if "send" in request.POST else Outcome()
    if not outcome.done:
        return _shown(request, head, form, outcome, **place)
    version, created = outcome.result
    if created:
        said = gettext("Version {number} is written.").format(number=version.number)
        messages.success(request, said)
    else:
        messages.info(request, gettext("The newest version says just this; nothing new."))
    return redirect("automation", code)


def _create(text: str, **given: Any) -> tuple[Automation, bool]:
    return definitions.automation_create(document=texts.document_in(text), text=text, **given)


def _add(code: str, text: str, **given: Any) -> Any:
    document = texts.document_in(text)
    return definitions.version_add(code=code, document=document, text=text, **given)


def _shown(
    request: HttpRequest, head: Head, form: Any, outcome: Outcome, *, back: str, draft: str
) -> HttpResponse:
    text = str(form["text"].value() or "")
    typed = bool(text.strip())
    found = texts.read(text) if typed else texts.Read(None, ())
    context = {
        "head": head,
        "form": form,
        "marked": found.marked,
        "checked": typed,
        "drawing": drawn(found.document, wrong=texts.nodes_in(found.marked)),
        "draft": draft,
        "back": back,
        "refusal": outcome.refusal,
    }
    return render(request, "automations/editor.html", context, status=outcome.status)
