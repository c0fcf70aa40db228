"""Whatever people read is marked for translation: in the pseudo-language no plain word is left."""

import ast
import gc
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import translation

from apps.accounts.change_log import user_changed, user_state
from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.approvals.models import ApprovalRequest, Delegation
from apps.audit import subject_types
from apps.audit.models import AuditEntry
from apps.common.registry import Registry
from apps.notifications import kinds
from apps.notifications.mailer import compose
from apps.notifications.models import GroupNotice, Mail, Notification
from tests.console.conftest import form_of
from tests.interventions.conftest import World
from tests.language.conftest import NAME, WORDS
from tests.language.pages import Opened, pages_for, part
from tests.pseudo import LANGUAGE, texts, unmarked

AsPerson = Callable[[str], Client]

#: Names of products and of their makers' formats, which no language translates.
NAMES = ["Countersign", "Temporal", "whsec"]
#: What the admin shows as it stands, because it is the schema's or Django's own.
IN_ADMIN = [
    # Django's name of a tick and of a cross, for who does not see them.
    *("True", "False"),
    # By which way somebody acted, as the column keeps it.
    *("page", "api", "admin", "command"),
    # A query string that somebody kept.
    "mine=on",
    # Members of a rule's bands, in the sample of how they are written.
    *("above", "quorum", "escalation", "hours"),
    # A key of everything that a key may do.
    "all",
    # The zone of a schedule.
    "America/Sao_Paulo",
]


def test_every_text_of_every_page_is_marked(
    pseudo: None, shown: Opened, data: list[str], as_person: AsPerson
) -> None:
    left: dict[str, list[str]] = defaultdict(list)
    # Who sees the most of a page sees all of them, and one of the others each in the quick round.
    for who, chosen in (("admin", bool), ("reviewer", part(0)), ("requester", part(1))):
        for name, html in pages_for(as_person(who), shown, chosen).items():
            for said in unmarked(texts(html), data + NAMES):
                left[said].append(f"{name} ({who})")
    assert dict(left) == {}


# --- what no page need show -----------------------------------------------------------------------
APPS = Path(settings.BASE_DIR) / "apps"
REFUSALS = {"Invalid", "Conflict", "NotAllowed", "NotFound", "TooMany", "TooLarge", "Unavailable"}
TOLD = {"success", "info", "warning", "error"}


def literals(node: ast.expr) -> list[str]:
    """What is written out in a text, or between the values of an f-string."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return [str(part.value) for part in parts if isinstance(part, ast.Constant)]


def written_plainly(path: Path) -> Iterator[str]:
    """Refusals and messages of the module whose text is a literal, or has values filled in before
    it could be translated."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in REFUSALS:
            text = node.args[:1]
        elif (
            isinstance(called, ast.Attribute)
            and called.attr in TOLD
            and isinstance(called.value, ast.Name)
            and called.value.id == "messages"
        ):
            text = node.args[1:2]
        else:
            continue
        if text and any(re.search("[A-Za-z]{2}", part) for part in literals(text[0])):
            yield f"{path.relative_to(APPS)}:{node.lineno}"


def test_refusals_and_messages_are_marked_in_the_source() -> None:
    ours = ("simulators", "demo")
    modules = [path for path in APPS.rglob("*.py") if not any(name in str(path) for name in ours)]
    assert [place for path in modules for place in written_plainly(path)] == []


def plain_in(value: Any, path: str, seen: set[int]) -> Iterator[str]:
    """Sentences in a registered value that are not marked. A marked one is no `str`."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, str):
        if re.search(r"[A-Za-z]{2,}[,:]? [a-z]{2,}", value):
            yield f"{path}: {value}"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from plain_in(one, f"{path}[{key}]", seen)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from plain_in(one, path, seen)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from plain_in(getattr(value, field.name), f"{path}.{field.name}", seen)


def test_what_apps_register_for_shared_pages_is_marked(db: None) -> None:
    roles = set(ROLES)
    left = [
        found
        for registry in gc.get_objects()
        if type(registry) is Registry
        for found in plain_in(registry.by_key(), registry._noun, set())
        # Other tests of this process may have registered `test.…` of their own.
        if found.rpartition(": ")[2] not in roles and "[test" not in found
    ]
    assert left == []


def test_scripts_say_only_what_the_server_can_translate() -> None:
    words = (Path(settings.BASE_DIR) / "templates/console/_words.html").read_text()
    scripts = [path.read_text() for path in APPS.glob("*/static/*/**/*.js")]
    said = {text for script in scripts for text in re.findall(r'\bword\(\s*"(.+?)"[,)]', script)}
    assert said == set(re.findall(r'data-of="(.+?)"', words))
    assert said == set(re.findall(r'{% translate "(.+?)" %}', words))
    for script in scripts:
        code = re.sub(r"(?m)//.*$|/\*.*?\*/", "", script)
        code = re.sub(r'\bword\(\s*"(.+?)"[,)]', "", code)
        assert re.findall(r'"[A-Z][a-z]+[^"<]* [a-z]+[^"<]*"|`[A-Z][a-z]+ [^`]*`', code) == []


def test_e_mails_are_marked(pseudo: None, settings: Any) -> None:
    for kind in kinds.registered():
        if kind.name.startswith("test."):
            continue
        mail = Mail(key="1", kind=kind.name, title="Тема", text="Текст", url="/1/")
        for recipient in (1, None):  # with a login and without
            mail.recipient_id = recipient
            message = compose(mail, name="Имя", address="a@example.org")
            plain, (html, _) = str(message.body), message.alternatives[0]
            addresses = rf"{re.escape(settings.SITE_URL)}\S*"
            said = [re.sub(addresses, "", line) for line in plain.splitlines()]
            assert unmarked([*said, *texts(str(html))], NAMES) == []


def test_what_people_are_told_is_marked(pseudo: None, shown: Opened, data: list[str]) -> None:
    told = Notification.objects.values_list("title", "text")
    noticed = GroupNotice.objects.values_list("title", "text")
    said = [text for row in [*told, *noticed] for text in row]
    assert len(said) > 4
    assert unmarked(said, data) == []


# --- who reads what -------------------------------------------------------------------------------
def test_the_api_speaks_english_unless_asked_for_another_language(
    pseudo_for_some: Callable[[], AbstractContextManager[None]], db: None
) -> None:
    with pseudo_for_some():
        plain = Client().get("/api/v1/approvals").json()
        other = Client().get("/api/v1/approvals", headers={"Accept-Language": LANGUAGE}).json()
    assert plain["detail"] == "Send a key in X-API-Key, or sign in."
    assert other["detail"].startswith("⟦Šéñđ")
    assert other["code"] == plain["code"]
    assert other["type"] == plain["type"]


def test_rows_keep_the_sites_language_whoever_acts(
    pseudo_for_some: Callable[[], AbstractContextManager[None]], shown: Opened, as_person: AsPerson
) -> None:
    with pseudo_for_some():
        client = as_person("reviewer")
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = LANGUAGE
        (request,) = shown["request"]
        place = reverse("request", args=[request])
        assert "⟦" in client.get(place).content.decode()
        approval = ApprovalRequest.objects.get(pk=request)
        late = client.post(place, form_of(approval, payload_hash="0" * 64))
        assert "⟦" in late.content.decode()
        assert client.post(place, form_of(approval)).status_code == 302
        client.post(reverse("request_comment", args=[request]), {"text": "Да", "nonce": "2"})
        client.post(reverse("delegation_revoke", args=[Delegation.objects.get().pk]))
        asker = as_person("requester")
        asker.defaults["HTTP_ACCEPT_LANGUAGE"] = LANGUAGE
        body = {"policy": "relief", "budget": "main", "amount": "25.00", "currency": "NGN"}
        body |= {"target": NAME, "justification": WORDS, "idempotency_key": "1"}
        assert asker.post(reverse("intervention_new"), body).status_code == 302
        wrong = {**body, "amount": "1e9", "idempotency_key": "2"}
        assert "⟦" in asker.post(reverse("intervention_new"), wrong).content.decode()
    refused = AuditEntry.objects.filter(code="payload_changed").latest("pk")
    assert refused.body["detail"].startswith("What is asked has changed")
    for model in apps.get_models():
        if model.__module__.startswith("apps."):
            for row in model._default_manager.values():
                assert "⟦" not in repr(row), model


# --- the admin ------------------------------------------------------------------------------------
def columns() -> list[str]:
    """What Django makes of the names of models, their fields and what they offer: the schema's own
    words, which stay as they are in the database and in the API."""
    words = set()
    for model in apps.get_models():
        opts = model._meta
        words |= {
            opts.app_label,
            opts.object_name,
            str(opts.verbose_name_raw),
            str(opts.model_name),
        }
        words |= {str(opts.verbose_name_plural)}
        for field in opts.get_fields():
            words |= {field.name, str(getattr(field, "verbose_name", "")).lower()}
            words |= {str(value) for value, _ in getattr(field, "choices", None) or ()}
    return [word for word in words | {word.capitalize() for word in words} if word]


def test_our_admin_pages_and_verbs_are_marked(
    pseudo: None, shown: Opened, data: list[str], as_person: AsPerson
) -> None:
    client, left = as_person("admin"), {}
    addresses = User.objects.values_list("email", flat=True)
    known = [*data, *columns(), *NAMES, *IN_ADMIN, *addresses, *subject_types.registered()]
    for model, ours in admin.site._registry.items():
        if not model.__module__.startswith("apps."):
            continue
        opts = model._meta
        place = f"admin:{opts.app_label}_{opts.model_name}"
        pages = [client.get(reverse(f"{place}_changelist"))]
        row, request = model._default_manager.first(), pages[0].wsgi_request
        for pk in (None, str(row.pk)) if row and hasattr(ours, "tools") else ():
            pages += [client.get(tool.url) for tool in ours.tools(request, pk)]
        for verb in ours.get_actions(request) if row else ():
            sent = {"action": verb, "_selected_action": str(row.pk)}
            pages.append(client.post(reverse(f"{place}_changelist"), sent))
        said = [text for page in pages for text in texts(page.content.decode())]
        if found := unmarked(said, known):
            left[place] = found
    assert left == {}


def test_a_notice_about_an_account_is_in_the_sites_language(
    pseudo_for_some: Callable[[], AbstractContextManager[None]], world: World
) -> None:
    boss, user = world.people["admin"], world.requester
    with pseudo_for_some(), translation.override(LANGUAGE):
        was = user_state(user.pk)
        user.set_password("another one")
        user.save()
        user_changed(user_id=user.pk, was=was, by=boss, via="admin")
    told = Notification.objects.filter(recipient=user).latest("pk")
    assert told.title == "Your password was changed"
