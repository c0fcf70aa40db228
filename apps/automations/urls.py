from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.decorators.http import require_http_methods

from apps.automations.views import editor, executions, nodes, running
from apps.automations.views.automations import DETAIL_PAGE, LIST_PAGE, VERBS

_form = require_http_methods(["GET", "HEAD", "POST"])

urlpatterns = [
    # Before the codes: `new` is none that the form of a new automation may take from it.
    path("automations/new/", login_required(_form(editor.new)), name="automation_new"),
    *LIST_PAGE.urls("automations/", live="automations-live/"),
    *DETAIL_PAGE.urls("automations/of/<slug:key>/"),
    path(
        "automations/of/<slug:code>/edit/",
        login_required(_form(editor.edit)),
        name="automation_edit",
    ),
    path(
        "automations/of/<slug:code>/run/",
        login_required(_form(running.run)),
        name="automation_run",
    ),
    *VERBS.urls("automations/of/<slug:key>/"),
    *executions.LIST_PAGE.urls("executions/"),
    *executions.DETAIL_PAGE.urls("executions/<uuid:key>/"),
    *nodes.URLS,
    *executions.VERBS.urls("executions/<uuid:key>/"),
]
