"""Where Pix keys appear in what all apps share."""

from apps.accounts import roles, scopes
from apps.common.language import lazy as _
from apps.pix.scopes import Scope
from apps.streams import outgoing
from apps.web import navigation
from apps.web.navigation import Section

SECTION = Section("pix", _("Pix keys"), 27)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    navigation.register_sections(SECTION)
    outgoing.register(outgoing.dict_events())
    # Claims, infractions and differences of a sync are decided in the inbox.
    roles.grant("key officer", "approvals.decide_approvalrequest", "approvals.view_approvalrequest")
