"""URLs of payment events and of the quarantine."""

from django.contrib.auth.decorators import login_required
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_GET, require_http_methods

from apps.payments.views import edits, events, imports, overview, quarantine, replays
from apps.web.fragments import fragment
from apps.web.pages import SAFE

FORM = [*SAFE, "POST"]

urlpatterns: list[URLPattern | URLResolver] = [
    path("payments/", login_required(require_GET(overview.page)), name="payments"),
    path("payments/live/", fragment(require_GET(overview.live)), name="payments_live"),
    *events.LIST_PAGE.urls("payments/events/"),
    *events.DETAIL_PAGE.urls("payments/events/<int:key>/"),
    *quarantine.GROUPS_PAGE.urls("quarantine/"),
    path(
        "quarantine/groups/<int:group_id>/",
        login_required(require_GET(quarantine.group)),
        name="quarantine_group",
    ),
    *quarantine.EVENTS_PAGE.urls("quarantine/events/"),
    path(
        "quarantine/import/",
        login_required(require_http_methods(FORM)(imports.new)),
        name="quarantine_import",
    ),
    *quarantine.DETAIL_PAGE.urls("quarantine/events/<uuid:key>/"),
    path(
        "quarantine/events/<uuid:key>/raw/",
        login_required(require_GET(quarantine.raw)),
        name="quarantined_event_raw",
    ),
    path(
        "quarantine/events/<uuid:row_id>/edit/",
        login_required(require_http_methods(FORM)(edits.new)),
        name="quarantine_edit_new",
    ),
    *quarantine.VERBS.urls("quarantine/events/<uuid:key>/"),
    *edits.DETAIL_PAGE.urls("quarantine/edits/<uuid:key>/"),
    *replays.LIST_PAGE.urls("quarantine/replays/"),
    path(
        "quarantine/replays/new/",
        login_required(require_http_methods(FORM)(replays.new)),
        name="replay_new",
    ),
    *replays.RUNS.paths("quarantine/replays/"),
]
