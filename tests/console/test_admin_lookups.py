"""What the address of a list may ask: what the list offers, and no column that no page shows."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.utils import timezone

from apps.accounts.models import User, UserSession
from apps.accounts.services import api_key_create
from apps.web.admin import BaseAdmin
from tests.accounts.world import person_of

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
LABELS = [model._meta.label_lower for model in MODELS]
#: Names of what gives access to whoever has it, wherever it stands.
SENSITIVE = ("session", "secret", "password", "hash", "sealed", "data", "token", "lease", "body")
PARTIAL = ("startswith", "istartswith", "contains", "regex", "iregex", "endswith")


@pytest.fixture
def auditor() -> User:
    return person_of("auditor", "auditor")


@pytest.fixture
def client(auditor: User) -> Client:
    client = Client()
    client.force_login(auditor)
    return client


def columns(model: Any) -> list[str]:
    """Every column of the rows, and of the rows that these point to or that point to them."""
    names = []
    for field in model._meta.get_fields(include_hidden=True):
        if field.is_relation:
            for far in field.related_model._meta.concrete_fields if field.related_model else ():
                names.append(f"{field.name}__{far.name}")
        if getattr(field, "concrete", False):
            names.append(field.name)
    return names


@pytest.mark.parametrize("label", LABELS)
def test_no_column_can_be_read_letter_by_letter(label: str, auditor: User) -> None:
    model = next(model for model in MODELS if model._meta.label_lower == label)
    model_admin = admin.site._registry[model]
    assert isinstance(model_admin, BaseAdmin)
    request = RequestFactory().get("/")
    request.user = auditor
    relations = {field.name: field.related_model for field in model._meta.fields}
    for name in columns(model):
        other: Any = relations.get(name)
        # A column of the row that it refers to may have the name of a comparison.
        names = {field.name for field in other._meta.fields} if other else set()
        for comparison in set(PARTIAL) - names:
            lookup = f"{name}__{comparison}"
            assert not model_admin.lookup_allowed(lookup, "a", request), lookup
        if "__" in name or any(word in name for word in SENSITIVE):
            for lookup in (name, f"{name}__exact", f"{name}__gte", f"{name}__in"):
                assert not model_admin.lookup_allowed(lookup, "a", request), lookup


@pytest.mark.parametrize(
    ("place", "lookup"),
    [
        ("accounts/usersession", "session__session_key__startswith"),
        ("accounts/usersession", "session__startswith"),
        ("accounts/usersession", "session__gte"),
        ("accounts/apikey", "secret_hash__startswith"),
        ("accounts/apikey", "user__password__startswith"),
        ("accounts/user", "password__startswith"),
        ("accounts/user", "sessions__session__startswith"),
        ("mfa/authenticator", "data__secret__startswith"),
        ("notifications/webhookendpoint", "secret_sealed__startswith"),
        ("auth/group", "user__password__startswith"),
    ],
)
def test_such_an_address_is_answered_with_a_message_and_the_whole_list(
    place: str, lookup: str, client: Client
) -> None:
    if not place.startswith(("accounts", "notifications")):
        client.force_login(person_of("root", is_superuser=True))
    answers = [client.get(f"/admin/{place}/", {lookup: value}) for value in ("a", "", "!")]
    for answer in answers:
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/{place}/")
    said = [str(message) for message in get_messages(answers[-1].wsgi_request)]
    assert said
    assert all("Nothing was done" in text for text in said)


def test_what_the_list_offers_still_filters(client: Client, auditor: User) -> None:
    api_key_create(user=auditor, name="k", scopes=["all"], by=None)
    UserSession.objects.all().delete()
    now = timezone.now()
    row = Session.objects.create(session_key="s" * 32, session_data="", expire_date=now)
    seen = UserSession.objects.create(session=row, user=auditor)
    for place, query, found in (
        ("accounts/apikey", {"revoked_at__isempty": "1"}, 1),
        ("accounts/apikey", {"created_at__year": str(now.year)}, 1),
        ("accounts/apikey", {"created_at__year": "2001", "created_at__month": "1"}, 0),
        ("accounts/usersession", {"id__exact": str(seen.pk)}, 1),
        ("accounts/usersession", {"pk": str(seen.pk + 1)}, 0),
        ("accounts/user", {"is_superuser__exact": "1"}, 0),
        ("audit/auditentry", {"outcome__exact": "refused"}, 0),
        ("approvals/approvalrequest", {"kind": "intervention"}, 0),
        ("approvals/approvalrequest", {"created_at__gte": "2001-01-01 00:00:00+00:00"}, 0),
    ):
        answer = client.get(f"/admin/{place}/", query)
        assert answer.status_code == 200, (place, query)
        assert answer.context["cl"].result_count == found, (place, query)
