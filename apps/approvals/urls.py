"""URLs of approvals."""

from django.urls import URLPattern, URLResolver, path

from apps.approvals.views import actions, bulk, delegations, discussion, inbox, requests, signed

urlpatterns: list[URLPattern | URLResolver] = [
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/live/", inbox.inbox_live, name="inbox_live"),
    path("inbox/list.<str:format>", inbox.inbox_export, name="inbox_export"),
    path("inbox/bulk/", bulk.preview, name="bulk_preview"),
    path("inbox/bulk/run/", bulk.run, name="bulk_run"),
    *bulk.LIST_PAGE.urls("bulk/"),
    *bulk.RUNS.paths("bulk/"),
    path("requests/<uuid:request_id>/", requests.request_page, name="request"),
    path("requests/<uuid:request_id>/live/", requests.request_live, name="request_live"),
    path("requests/<uuid:request_id>/signed.json", signed.request_signed, name="request_signed"),
    path("requests/<uuid:request_id>/claim/", actions.request_claim, name="request_claim"),
    path("requests/<uuid:request_id>/release/", actions.request_release, name="request_release"),
    path("requests/<uuid:request_id>/reassign/", actions.request_reassign, name="request_reassign"),
    path("requests/<uuid:request_id>/edit/", actions.request_edit, name="request_edit"),
    path("requests/<uuid:request_id>/comments/", discussion.comment, name="request_comment"),
    path("requests/<uuid:request_id>/evidence/", discussion.evidence, name="request_evidence"),
    path(
        "requests/<uuid:request_id>/evidence/<uuid:evidence_id>/",
        discussion.evidence_file,
        name="request_evidence_file",
    ),
    path(
        "requests/<uuid:request_id>/evidence/<uuid:evidence_id>/erase/",
        discussion.evidence_erasing,
        name="request_evidence_erase",
    ),
    path("delegations/", delegations.delegations, name="delegations"),
    path(
        "delegations/<int:delegation_id>/revoke/",
        delegations.delegation_revoke,
        name="delegation_revoke",
    ),
]
