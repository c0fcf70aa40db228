"""What the API denies, and what is answered as missing, is in the trail as pages are."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.audit.models import AuditEntry
from tests.console.conftest import AsPerson, ask_to_sign
from tests.console.test_denials import body_of, only
from tests.interventions.conftest import World

RULES = "/api/v1/approvals/rules"


def refused() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(outcome="refused").order_by("id"))


def stranger(*codenames: str) -> User:
    """Somebody without any role, who sees what is theirs."""
    user = User.objects.create(username=uuid4().hex[:12])
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_what_the_api_denies_is_recorded_once_a_minute(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_person("requester")
    for _ in range(3):
        assert client.get(f"{RULES}?kind=intervention").status_code == 403
    entry = only()
    assert (entry.action, entry.via, entry.subject_id) == ("page.denied", "api", RULES)
    assert entry.actor_id == world.people["requester"].audit_id
    assert body_of(entry) == {
        "page": RULES,
        "method": "GET",
        "permission": "approvals.view_approvalrule",
    }
    later = timezone.now() + timedelta(seconds=61)
    monkeypatch.setattr("apps.audit.doors.timezone.now", lambda: later)
    client.get(RULES)
    assert len(refused()) == 2


def test_a_key_without_the_scope_leaves_an_entry_of_its_own_code(world: World) -> None:
    person = world.people["requester"]
    _, key = api_key_create(user=person, name="t", scopes=["budgets:read"], by=person)
    assert Client(headers={"X-API-Key": key}).get("/api/v1/approvals").status_code == 403
    (entry,) = refused()
    assert (entry.code, entry.actor_id, entry.via) == ("scope_missing", person.audit_id, "api")
    assert body_of(entry)["scope"] == "approvals:read"


def test_what_a_service_refuses_stays_one_entry(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    sent = {"verdict": "approve", "reason": "Mine.", "payload_hash": "0" * 64}
    answer = as_person("auditor").post(
        f"/api/v1/approvals/{approval.pk}/decide", sent, content_type="application/json"
    )
    assert answer.status_code in {403, 409}
    (entry,) = refused()
    assert entry.action == "approval.decide"


@pytest.mark.parametrize(
    "address",
    [
        "/requests/{request}/",
        "/requests/{request}/live/",
        "/requests/{request}/edit/",
        "/requests/{request}/signed.json",
        "/interventions/{intervention}/",
        "/api/v1/approvals/{request}",
        "/api/v1/approvals/{request}/comments",
        "/api/v1/approvals/{request}/timeline",
        "/api/v1/interventions/{intervention}",
    ],
)
def test_a_row_that_is_there_and_not_for_them_is_a_denial(world: World, address: str) -> None:
    intervention, approval = ask_to_sign(world)
    client = signed_in(stranger())

    def asked(request: Any, row: Any) -> int:
        place = address.format(request=request, intervention=row)
        return client.get(place, headers={"HX-Request": "true"}).status_code

    assert asked(uuid4(), uuid4()) == 404
    assert refused() == []
    for _ in range(2):
        assert asked(approval.pk, intervention.pk) == 404
    (entry,) = refused()
    assert (entry.action, entry.code) == ("page.denied", "permission_denied")
    assert entry.via == ("api" if address.startswith("/api/") else "page")
    assert body_of(entry)["status"] == 404


def test_a_form_that_says_nothing_is_a_denial_too(world: World) -> None:
    _, approval = ask_to_sign(world)
    place = f"/requests/{approval.pk}/"
    assert signed_in(stranger()).post(place, {"verdict": "perhaps"}).status_code == 404
    (entry,) = refused()
    assert (entry.action, entry.subject_id) == ("page.denied", place)


def test_both_answers_are_the_same(world: World) -> None:
    _, approval = ask_to_sign(world)
    client = signed_in(stranger())
    there, nowhere = (client.get(f"/api/v1/approvals/{pk}") for pk in (approval.pk, uuid4()))
    assert there.content == nowhere.content


def test_a_page_answered_as_missing_for_want_of_a_permission_is_a_denial(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    assert as_person("auditor").get(f"/requests/{approval.pk}/edit/").status_code == 404
    (entry,) = refused()
    assert body_of(entry)["permission"] == "approvals.edit_approvalrequest"


def test_an_address_with_a_null_byte_is_recorded(world: World, as_person: AsPerson) -> None:
    address = "/admin/approvals/approvalrule/a%00b/put/"
    assert as_person("auditor").get(address).status_code == 403
    entry = only()
    assert entry.action == "page.denied"
    assert "a�b" in entry.subject_id
