"""Roles: groups by migration, permissions after every migrate."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.core.management import call_command
from django.db.models.signals import post_migrate

from apps.accounts import roles
from apps.accounts.backends import Backend
from apps.accounts.models import User

pytestmark = pytest.mark.django_db


def _permissions(name: str) -> set[str]:
    rows = Permission.objects.filter(group__name=name).values_list(
        "content_type__app_label", "codename"
    )
    return {f"{app}.{codename}" for app, codename in rows}


def _send() -> None:
    for config in apps.get_app_configs():
        roles.ensure(app_config=config)


def test_the_groups_are_there_under_their_exact_names() -> None:
    assert set(Group.objects.values_list("name", flat=True)) == {
        "requester",
        "reviewer",
        "senior reviewer",
        "quarantine operator",
        "quarantine releaser",
        "key officer",
        "booking agent",
        "automation editor",
        "auditor",
        "operator",
    }
    assert set(roles.ROLES) == set(Group.objects.values_list("name", flat=True))


def test_every_permission_in_the_table_exists() -> None:
    known = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    named = {
        permission
        for role in roles.ROLES
        for permission in roles.granted(role)
        if not permission.endswith("view_*")
    }
    assert named <= known
    wildcards = {
        permission.split(".")[0]
        for role in roles.ROLES
        for permission in roles.granted(role)
        if permission.endswith("view_*")
    }
    assert wildcards - {"*"} <= {config.label for config in apps.get_app_configs()}


def test_the_auditor_sees_every_model_of_ours_and_changes_none() -> None:
    held = _permissions("auditor")
    ours = [config for config in apps.get_app_configs() if config.name.startswith("apps.")]
    models = [model for config in ours for model in config.get_models()]
    assert {f"{m._meta.app_label}.view_{m._meta.model_name}" for m in models} == held


def test_who_signs_may_decide_and_who_asks_may_not() -> None:
    decide, ask = "approvals.decide_approvalrequest", "interventions.request_intervention"
    for signer in ("reviewer", "senior reviewer"):
        assert decide in _permissions(signer)
        assert ask not in _permissions(signer)
    assert ask in _permissions("requester")
    assert decide not in _permissions("requester")
    # Their own only: seeing all needs the view permission.
    assert "interventions.view_intervention" not in _permissions("requester")


def test_a_person_has_what_their_group_has() -> None:
    user = User.objects.create(username="ngozi")
    user.groups.add(Group.objects.get(name="reviewer"))
    assert user.has_perm("approvals.decide_approvalrequest")


def test_what_was_lost_comes_back_and_what_was_added_stays() -> None:
    reviewer = Group.objects.get(name="reviewer")
    extra = Permission.objects.get(codename="view_apikey")
    reviewer.permissions.set([extra])
    Group.objects.filter(name="key officer").delete()
    _send()
    assert "approvals.decide_approvalrequest" in _permissions("reviewer")
    assert "accounts.view_apikey" in _permissions("reviewer")
    assert Group.objects.filter(name="key officer").exists()
    before = _permissions("reviewer")
    _send()
    assert _permissions("reviewer") == before


def test_migrate_runs_it() -> None:
    Group.objects.get(name="operator").permissions.clear()
    call_command("migrate", verbosity=0)
    assert "engine.view_enginecommand" in _permissions("operator")
    assert post_migrate.has_listeners()


def test_what_a_person_may_do_is_what_django_says_in_one_statement(
    django_assert_num_queries: Any,
) -> None:
    own, shared, *_ = Permission.objects.order_by("pk")
    for number, values in enumerate([{}, {"is_active": False}, {"is_superuser": True}]):
        user = User.objects.create(username=f"person {number}", **values)
        user.user_permissions.add(own, shared)
        for group in Group.objects.filter(name__in=["reviewer", "auditor"]):
            user.groups.add(group)
            group.permissions.add(shared)
        known = ModelBackend().get_all_permissions(User.objects.get(pk=user.pk))
        assert Backend().get_all_permissions(User.objects.get(pk=user.pk)) == known
        assert bool(known) == user.is_active
    user = User.objects.get(username="person 0")
    with django_assert_num_queries(1):
        assert user.has_perm("approvals.decide_approvalrequest")
        assert not user.has_perm("approvals.nonsense")
        # Of one object nobody has more than of all.
        assert not user.has_perm("approvals.decide_approvalrequest", user)
    assert Backend().get_all_permissions(AnonymousUser()) == set()
