"""What people without the auditor's eyes see in the admin: their own, as on the pages."""

from datetime import timedelta

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.admin.requests import ApprovalRequestAdmin
from apps.approvals.models import (
    ApprovalRequest,
    BulkDecision,
    BulkItem,
    Delegation,
)
from tests.approvals.world import delegated, opened, person, rule

pytestmark = pytest.mark.django_db


def seen_by(user: User, model: str) -> set[object]:
    client = Client()
    client.force_login(user)
    answer = client.get(reverse(f"admin:approvals_{model}_changelist"))
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


@pytest.fixture
def people(db: None) -> dict[str, User]:
    rule()
    made = {name: person(name, "first", is_staff=True) for name in ("ana", "ben", "eve")}
    codes = ("delegation", "bulkdecision", "bulkitem")
    for user in made.values():
        user.user_permissions.add(*permissions(*(f"view_{code}" for code in codes)))
    made["auditor"] = person("auditor", "first", is_staff=True)
    made["auditor"].user_permissions.add(
        *permissions("view_auditentry", *(f"view_{code}" for code in codes))
    )
    return {name: User.objects.get(pk=user.pk) for name, user in made.items()}


def permissions(*codenames: str) -> list[object]:
    from django.contrib.auth.models import Permission

    return list(Permission.objects.filter(codename__in=codenames))


def test_delegations_are_seen_by_their_two_sides(people: dict[str, User]) -> None:
    row: Delegation = delegated(people["ana"], people["ben"], ends_at=_tomorrow())
    for name, seen in (("ana", {row.pk}), ("ben", {row.pk}), ("eve", set()), ("auditor", {row.pk})):
        assert seen_by(people[name], "delegation") == seen, name


def _tomorrow() -> object:
    return timezone.now() + timedelta(days=1)


def test_bulk_decisions_and_their_items_are_seen_by_who_made_them(people: dict[str, User]) -> None:
    request = opened(people["eve"])
    bulk = BulkDecision.objects.create(
        idempotency_key="k", requested_by=people["ana"], verdict="approve", total=1
    )
    item = BulkItem.objects.create(
        bulk=bulk, number=1, request=request, authority=people["ana"], payload_hash="0" * 64
    )
    for name in ("ana", "auditor"):
        assert seen_by(people[name], "bulkdecision") == {bulk.pk}
        assert seen_by(people[name], "bulkitem") == {item.pk}
    for name in ("ben", "eve"):
        assert seen_by(people[name], "bulkdecision") == set()
        assert seen_by(people[name], "bulkitem") == set()


def test_requests_are_found_by_the_subjects_of_the_registered_kinds(
    people: dict[str, User],
) -> None:
    request = opened(people["ana"], subject_type="intervention", subject_id="subject-7")
    from django.contrib import admin

    model_admin = admin.site._registry[ApprovalRequest]
    assert isinstance(model_admin, ApprovalRequestAdmin)
    assert set(model_admin.searched_subjects()) == {
        kind.subject_type for kind in kinds.registered() if kind.subject_type
    }
    sent = RequestFactory().get("/")
    sent.user = people["auditor"]
    found, _ = model_admin.get_search_results(sent, ApprovalRequest.objects.all(), "subject-7")
    assert list(found) == [request]
