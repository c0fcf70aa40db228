"""Where automations appear in what all apps share."""

from django.urls import reverse

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.automations.contracts import AUTOMATION
from apps.automations.models import Automation
from apps.automations.scopes import Scope
from apps.automations.services.definitions import CHANGE, TOPIC, VIEW
from apps.automations.states import state_of
from apps.common.language import lazy as _
from apps.engine.timeline import register_words
from apps.live import topics
from apps.live.topics import Topic
from apps.web import demo, navigation, refusals, search, tones
from apps.web.navigation import Item, Section
from apps.web.search import BY_UUID, Found, Source, among, by_value, everything

SECTION = Section("automations", _("Automations"), 35)
PLACE = Item("automations", _("Automations"), "automations", icon="automations", permission=VIEW)

SOURCE = Source(
    key="automations",
    title=_("Automations"),
    hint=_("id or code"),
    permission=VIEW,
    scope=Scope.AUTOMATIONS_READ,
    order=66,
    find=among(
        Automation.objects.all,
        BY_UUID,
        by_value("code", like=r"[a-z0-9][a-z0-9_-]{1,79}"),
        found=lambda automation: Found(
            title=automation.title,
            href=reverse("automation", args=[automation.code]),
            key=automation.code,
            state=state_of(automation),
            at=automation.created_at,
        ),
        seen=everything,
    ),
)

NEXT_STEPS = {
    "version_outdated": _("Copy what you wrote, open the newest version, and put it in there."),
    "automation_code_taken": _(
        "Choose another code, or write a version of the automation that has it."
    ),
    "definition_not_json": _("Mend it at the line that is named."),
    "database_role_too_strong": _(
        "An operator takes these rights away: manage.py automationsrole prints how."
    ),
}

TONES = {"draft": "", "switched_on": "good", "switched_off": ""}
WORDS = {
    AUTOMATION: _("automation"),
    "draft": _("draft"),
    "switched_on": _("switched on"),
    "switched_off": _("switched off"),
    "cut_off": _("cut off"),
    "database_not_permitted": _("not permitted in the database"),
    "database_refused": _("refused by the database"),
    "database_role_too_strong": _("database role too strong"),
    "database_timeout": _("query took too long"),
    "database_too_many_rows": _("too many rows"),
    "where_missing": _("nothing to search for"),
}
ACTIONS = {
    "automation.created": _("Made the automation"),
    "automation.version_added": _("Wrote version {number}"),
    "automation.changed": _("Changed the automation"),
}
TRIED = {
    "automation.create": _("Tried to make an automation"),
    "automation.change": _("Tried to change the automation"),
}
DEMO = demo.DemoPart(
    "automations", "apps.automations.services.demo.automations_seed", order=45, bare=True
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    subject_types.register(AUTOMATION)
    topics.register(Topic(TOPIC))
    navigation.register_sections(SECTION)
    navigation.register(PLACE)
    search.register(SOURCE)
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    register_words(ACTIONS, tried=TRIED)
    demo.register(DEMO)
    roles.grant("automation editor", "automations.add_automation", CHANGE)
    for role in ("automation editor", "operator"):
        roles.grant(role, "automations.view_*")
