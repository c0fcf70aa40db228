"""Who opens a page that they may not have leaves an entry, whichever page it is."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.audit.models import AuditEntry
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World


def denials() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(code="permission_denied").order_by("id"))


def only() -> AuditEntry:
    (entry,) = denials()
    assert entry.outcome == "refused"
    return entry


def body_of(entry: AuditEntry) -> dict[str, Any]:
    assert entry.body is not None
    return entry.body


@pytest.mark.parametrize(
    ("who", "address", "permission"),
    [
        ("requester", "/audit/", "audit.view_auditentry"),
        ("reviewer", "/interventions/new/", "interventions.request_intervention"),
        ("auditor", "/interventions/batches/new/", "interventions.request_intervention"),
        ("reviewer", "/budgets/transfers/new/", "interventions.request_budgettransfer"),
        ("auditor", "/admin/interventions/budget/open/", "interventions.add_budget"),
        ("auditor", "/admin/approvals/approvalrule/put/", "approvals.add_approvalrule"),
        ("auditor", "/admin/accounts/user/add/", "accounts.add_user"),
    ],
)
def test_a_page_without_permission_is_in_the_trail(
    who: str, address: str, permission: str, world: World, as_person: AsPerson
) -> None:
    assert as_person(who).get(address).status_code == 403
    entry = only()
    assert (entry.action, entry.subject_type, entry.subject_id) == ("page.denied", "page", address)
    assert entry.actor_id == world.people[who].audit_id
    assert entry.via == ("admin" if address.startswith("/admin/") else "page")
    assert body_of(entry) == {"page": address, "method": "GET", "permission": permission}


def test_once_a_minute_for_the_same_person_and_page(world: World, as_person: AsPerson) -> None:
    client = as_person("requester")
    for _ in range(3):
        assert client.get("/audit/").status_code == 403
    assert len(denials()) == 1
    client.get("/audit/?action=user.login")
    assert len(denials()) == 1
    as_person("reviewer").get("/audit/")
    assert len(denials()) == 2
    client.get("/admin/interventions/budget/open/")
    assert len(denials()) == 3


def test_after_a_minute_it_is_noted_again(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_person("requester")
    client.get("/audit/")
    later = timezone.now() + timedelta(seconds=61)
    monkeypatch.setattr("apps.audit.doors.timezone.now", lambda: later)
    client.get("/audit/")
    assert len(denials()) == 2


def test_a_form_that_is_sent_bears_the_name_of_its_verb(world: World, as_person: AsPerson) -> None:
    client = as_person("reviewer")
    assert client.post("/interventions/new/", {"amount": "1"}).status_code == 403
    assert only().action == "intervention.request"
    assert body_of(only())["method"] == "POST"


def test_the_export_of_the_trail_too(world: World, as_person: AsPerson) -> None:
    assert as_person("operator").post("/audit/export/", {"format": "csv"}).status_code == 403
    entry = only()
    assert (entry.action, entry.subject_type) == ("audit.export", "audit")


def test_whoever_is_not_staff_is_named_with_the_page_they_wanted(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("requester")
    wanted = reverse("admin:approvals_approvalrequest_changelist")
    world.people["requester"].is_staff = False
    world.people["requester"].save()
    answer = client.get(f"{wanted}?q=x", follow=True)
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()
    assert body_of(only()) == {"page": wanted, "method": "GET", "permission": "staff"}


def test_a_verb_that_the_list_does_not_offer_is_refused_and_not_overlooked(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    place = reverse("admin:approvals_approvalrequest_changelist")
    sent = {"action": "approve", "_selected_action": str(approval.pk), "confirmed": "yes"}
    assert as_person("auditor").post(place, sent).status_code == 403
    entry = only()
    assert (entry.action, entry.via) == ("page.denied", "admin")
    assert body_of(entry)["permission"] == "approvals.approvalrequest: decide"
    assert as_person("reviewer").post(place, {**sent, "confirmed": ""}).status_code == 200


def test_nobody_signed_in_leaves_nothing(world: World) -> None:
    assert Client().get("/audit/").status_code == 302
    assert Client().get("/admin/interventions/budget/open/").status_code == 302
    assert denials() == []


def test_a_long_address_fits_and_is_kept_whole(world: World, as_person: AsPerson) -> None:
    address = f"/admin/approvals/approvalrule/{'9' * 120}/put/"
    assert as_person("auditor").get(address).status_code == 403
    entry = only()
    assert len(entry.subject_id) == 80
    assert body_of(entry)["page"] == address
