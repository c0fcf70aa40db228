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
    "address_not_allowed": _(
        "Use an address on the public internet, with https; operators list exceptions in "
        "OUTBOUND_ALLOWED_HOSTS."
    ),
    "ai_not_configured": _("Operators set AI_BASE_URL and AI_MODEL."),
    "webhook_not_configured": _("Operators set AUTOMATIONS_WEBHOOK_SECRET."),
    "answer_compressed": _("Ask its operators for an answer that is not compressed."),
    "answer_not_json": _("Ask for JSON in the prompt, and say which members it has."),
    "answer_not_understood": _("Check that AI_BASE_URL leads to an OpenAI-compatible server."),
    "bad_header": _("Write the header on one line; a number or a text is sent, nothing else."),
    "header_not_allowed": _("Leave the header out: it is set for each connection."),
    "call_refused": _("Read the answer: the other program says why it refuses the call."),
    "call_unavailable": _("Start it again when the other program is well."),
    "not_reachable": _("Check the address, and start it again when the other program is there."),
    "output_too_large": _("Ask the other program for less."),
    "timed_out": _("Give the node more timeout_seconds, or see why the other program is slow."),
    "prompt_missing": _("See what the prompt's expressions find."),
    "secret_unknown": _("Operators set AUTOMATION_SECRET_ with the name of the secret."),
    "secret_too_short": _("Operators choose a value of at least 8 characters."),
    "secret_not_for_host": _("Operators list the host for this secret, or send it elsewhere."),
    "secret_not_allowed": _("Name secrets only in the address, the headers and the body."),
}

TONES = {"draft": "", "switched_on": "good", "switched_off": ""}
WORDS = {
    AUTOMATION: _("automation"),
    "draft": _("draft"),
    "switched_on": _("switched on"),
    "switched_off": _("switched off"),
    "database_not_permitted": _("not permitted in the database"),
    "database_refused": _("refused by the database"),
    "database_role_too_strong": _("database role too strong"),
    "database_timeout": _("query took too long"),
    "database_too_many_rows": _("too many rows"),
    "where_missing": _("nothing to search for"),
    "address_not_allowed": _("address not allowed"),
    "ai_not_configured": _("no AI server configured"),
    "webhook_not_configured": _("no key for webhooks configured"),
    "answer_compressed": _("answer compressed"),
    "answer_not_json": _("answer is not JSON"),
    "answer_not_understood": _("answer not understood"),
    "bad_header": _("bad header"),
    "bad_url": _("bad address"),
    "header_not_allowed": _("header not allowed"),
    "call_refused": _("call refused"),
    "call_unavailable": _("call failed"),
    "cut_off": _("cut off"),
    "not_reachable": _("not reachable"),
    "output_too_large": _("answer too large"),
    "prompt_missing": _("prompt is empty"),
    "secret_unknown": _("secret unknown"),
    "secret_too_short": _("secret too short"),
    "secret_not_for_host": _("secret not for this host"),
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
