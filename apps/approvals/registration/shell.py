"""Where approvals appear in the shared parts of the site."""

import re

from django.conf import settings

from apps.accounts import roles, scopes
from apps.approvals.scopes import Scope
from apps.common.uploads import ENVELOPE_BYTES
from apps.live.topics import UUID_PATTERN
from apps.web import body_sizes

#: Where evidence comes in: by the page, and by the API.
EVIDENCE_UPLOADS = body_sizes.Roomier(
    path=re.compile(
        rf"/requests/{UUID_PATTERN}/evidence/|/api/v1/approvals/{UUID_PATTERN}/evidence", re.ASCII
    ),
    most=settings.EVIDENCE_MAX_BYTES + ENVELOPE_BYTES,
)


def register() -> None:
    """Called once, when Django is ready."""
    scopes.register(Scope)
    body_sizes.register(EVIDENCE_UPLOADS)
    for role in ("reviewer", "senior reviewer"):
        roles.grant(
            role,
            "approvals.decide_approvalrequest",
            "approvals.edit_approvalrequest",
            "approvals.view_*",
        )
    roles.grant("senior reviewer", "approvals.reassign_approvalrequest")
    roles.grant(
        "operator",
        "approvals.view_*",
        "approvals.reassign_approvalrequest",
        # A version of theirs never frees themselves.
        "approvals.add_approvalrule",
        "approvals.change_approvalrule",
    )
