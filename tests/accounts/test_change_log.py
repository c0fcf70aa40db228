"""Changes of people and roles in the admin end in the audit chain, with what was and what is."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from apps.accounts import change_log, services
from apps.accounts.models import RoleRule, User
from apps.accounts.services import separation_of_duties
from apps.audit.models import AuditEntry
from apps.common.errors import NotAllowed, NotFound
from apps.notifications.models import Notification
from tests.accounts.world import Phone

pytestmark = pytest.mark.django_db

SECRET = "a-long-word-for-tests-7"


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password=SECRET)


@pytest.fixture
def client(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def ngozi() -> User:
    user = User.objects.create_user("ngozi", password=SECRET, is_staff=True)
    user.groups.add(Group.objects.get(name="reviewer"))
    return user


def entries(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def person_form(user: User, **changed: Any) -> dict[str, Any]:
    form: dict[str, Any] = {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "senior": user.senior_id or "",
        "groups": list(user.groups.values_list("pk", flat=True)),
    }
    form |= {
        name: "on" for name in ("is_active", "is_staff", "is_superuser") if getattr(user, name)
    }
    return {name: value for name, value in {**form, **changed}.items() if value is not None}


def change(client: Client, user: User, **changed: Any) -> Any:
    address = reverse("admin:accounts_user_change", args=[user.pk])
    return client.post(address, person_form(user, **changed))


# --- people --------------------------------------------------------------------------------------
def test_a_change_of_roles_flags_and_the_senior_is_recorded(
    client: Client, root: User, ngozi: User
) -> None:
    senior = Group.objects.get(name="senior reviewer")
    boss = User.objects.create(username="boss")
    answer = change(client, ngozi, groups=[senior.pk], is_staff=None, senior=boss.pk)
    assert answer.status_code == 302
    (entry,) = entries("user.change")
    assert (entry.actor_id, entry.via) == (root.audit_id, "admin")
    assert (entry.subject_type, entry.subject_id) == ("user", str(ngozi.pk))
    assert entry.body == {
        "groups": {"was": ["reviewer"], "now": ["senior reviewer"]},
        "is_staff": {"was": True, "now": False},
        "senior": {"was": "", "now": "boss"},
    }
    change(client, User.objects.get(pk=ngozi.pk))
    assert len(entries("user.change")) == 1


def test_a_new_person_is_recorded_without_the_password(client: Client) -> None:
    form = {"username": "new", "usable_password": "true", "password1": SECRET, "password2": SECRET}
    assert client.post(reverse("admin:accounts_user_add"), form).status_code == 302
    (entry,) = entries("user.create")
    assert entry.body is not None
    assert entry.body["username"] == "new"
    made = User.objects.get(username="new")
    for secret in (SECRET, made.password):
        assert secret not in str(entry.body)


def test_a_password_is_recorded_as_changed_and_not_kept(client: Client, ngozi: User) -> None:
    address = reverse("admin:auth_user_password_change", args=[ngozi.pk])
    word = f"{SECRET}-other"
    form = {"usable_password": "true", "password1": word, "password2": word, "set-password": "x"}
    assert client.post(address, form).status_code == 302
    ngozi.refresh_from_db()
    assert ngozi.check_password(word)
    (entry,) = entries("user.change")
    assert entry.body == {"password": "changed"}
    assert client.post(address, {**form, "password2": "another"}).status_code == 200
    assert len(entries("user.change")) == 1


def test_nobody_is_their_own_senior(client: Client, ngozi: User) -> None:
    assert change(client, ngozi, senior=ngozi.pk).status_code == 200
    ngozi.refresh_from_db()
    assert ngozi.senior is None
    assert not entries("user.change")


def test_who_is_no_superuser_makes_none_and_changes_none(root: User, ngozi: User) -> None:
    keeper = User.objects.create_user("keeper", password=SECRET, is_staff=True)
    keeper.user_permissions.set(
        Permission.objects.filter(codename__in=["change_user", "view_user", "add_user"])
    )
    client = Client()
    client.force_login(keeper)
    assert change(client, ngozi, is_superuser="on").status_code == 302
    ngozi.refresh_from_db()
    assert not ngozi.is_superuser
    assert change(client, root, email="x@demo.invalid").status_code == 403
    address = reverse("admin:auth_user_password_change", args=[root.pk])
    assert client.post(address, {"password1": SECRET, "password2": SECRET}).status_code == 403


@pytest.fixture
def keeper() -> User:
    """Somebody who keeps the accounts and is no superuser."""
    keeper = User.objects.create_user("keeper", password=SECRET, is_staff=True)
    keeper.groups.add(Group.objects.get(name="operator"))
    names = ("change_user", "view_user", "add_user", "change_group", "view_group", "add_group")
    keeper.user_permissions.set(Permission.objects.filter(codename__in=names))
    return keeper


@pytest.fixture
def inside(keeper: User) -> Client:
    client = Client()
    client.force_login(keeper)
    return client


def groups_of(user: User) -> set[str]:
    return set(user.groups.values_list("name", flat=True))


def test_who_keeps_the_accounts_gives_themselves_nothing(inside: Client, keeper: User) -> None:
    every = list(Group.objects.values_list("pk", flat=True))
    assert change(inside, keeper, groups=every, is_superuser="on").status_code == 302
    keeper.refresh_from_db()
    assert groups_of(keeper) == {"operator"}
    assert not keeper.is_superuser


def test_nobody_hands_on_a_role_above_their_own(inside: Client, ngozi: User) -> None:
    def chosen(*names: str) -> list[int]:
        return list(Group.objects.filter(name__in=names).values_list("pk", flat=True))

    for names in (("reviewer", "senior reviewer"), ("operator",), ("reviewer", "auditor")):
        refused = change(inside, ngozi, groups=chosen(*names))
        assert refused.status_code == 200
        assert b"You do not hold all permissions of" in refused.content
    assert groups_of(ngozi) == {"reviewer"}
    # Their own they may give; what the person has besides stays.
    assert change(inside, ngozi, groups=chosen("reviewer", "operator")).status_code == 302
    assert groups_of(ngozi) == {"reviewer", "operator"}


def test_only_a_superuser_changes_what_a_role_may(inside: Client, client: Client) -> None:
    role, extra = Group.objects.get(name="operator"), Permission.objects.get(codename="add_user")
    address = reverse("admin:auth_group_change", args=[role.pk])
    assert inside.post(address, {"permissions": [extra.pk]}).status_code == 302
    assert extra not in role.permissions.all()
    made = inside.post(reverse("admin:auth_group_add"), {"name": "mine", "permissions": [extra.pk]})
    assert made.status_code == 302
    assert not Group.objects.get(name="mine").permissions.exists()
    assert client.post(address, {"permissions": [extra.pk]}).status_code == 302
    assert list(role.permissions.all()) == [extra]


# --- what nobody does alone ----------------------------------------------------------------------
def set_password(client: Client, user: User) -> Any:
    word = f"{SECRET}-other"
    form = {"usable_password": "true", "password1": word, "password2": word, "set-password": "x"}
    address = reverse("admin:auth_user_password_change", args=[user.pk])
    return client.post(address, form, follow=True)


def test_who_changed_the_password_does_not_remove_the_second_factor(
    client: Client, root: User, ngozi: User
) -> None:
    Phone.of(ngozi)
    set_password(client, ngozi)
    with pytest.raises(NotAllowed) as caught:
        services.second_factor_reset(user=ngozi, by=root, reason="lost", via="admin")
    assert caught.value.code == "second_person_needed"
    (refused,) = entries("mfa.reset")
    assert (refused.outcome, refused.code) == ("refused", "second_person_needed")
    other = User.objects.create_superuser("other", password=SECRET)
    services.second_factor_reset(user=ngozi, by=other, reason="lost", via="admin")


def test_who_removed_the_second_factor_does_not_change_the_password(
    client: Client, root: User, ngozi: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone.of(ngozi)
    services.second_factor_reset(user=ngozi, by=root, reason="lost", via="admin")
    answer = set_password(client, ngozi)
    assert b"You removed their second factor within the last day" in answer.content
    ngozi.refresh_from_db()
    assert ngozi.check_password(SECRET)
    (refused,) = entries("user.change")
    assert (refused.outcome, refused.code) == ("refused", "second_person_needed")
    # A day later it is another matter.
    monkeypatch.setattr(separation_of_duties, "APART", timedelta(0))
    set_password(client, ngozi)
    ngozi.refresh_from_db()
    assert not ngozi.check_password(SECRET)


def test_the_person_hears_of_both_and_of_nothing_that_was_refused(
    client: Client, root: User, ngozi: User
) -> None:
    Phone.of(ngozi)
    set_password(client, ngozi)
    with pytest.raises(NotAllowed):
        services.second_factor_reset(user=ngozi, by=root, reason="lost", via="admin")
    change(client, User.objects.get(pk=ngozi.pk), email="n@example.org")
    other = User.objects.create_superuser("other", password=SECRET)
    services.second_factor_reset(user=ngozi, by=other, reason="lost", via="admin")
    told = Notification.objects.filter(kind="account.touched").order_by("pk")
    assert [(one.recipient, one.title) for one in told] == [
        (ngozi, "Your password was changed"),
        (ngozi, "Your second factor was removed"),
    ]
    set_password(client, root)
    assert Notification.objects.filter(recipient=root).count() == 0


# --- roles ---------------------------------------------------------------------------------------
def test_a_roles_permissions_are_recorded_and_its_name_stays(client: Client) -> None:
    role = Group.objects.get(name="key officer")
    role.permissions.clear()
    extra = Permission.objects.get(codename="view_apikey")
    address = reverse("admin:auth_group_change", args=[role.pk])
    assert client.post(address, {"name": "boss", "permissions": [extra.pk]}).status_code == 302
    role.refresh_from_db()
    assert role.name == "key officer"
    (entry,) = entries("role.change")
    assert entry.body == {"permissions": {"was": [], "now": ["accounts.view_apikey"]}}


def test_the_roles_that_the_code_knows_cannot_be_deleted(client: Client) -> None:
    ours, other = Group.objects.get(name="operator"), Group.objects.create(name="guests")
    delete = reverse("admin:auth_group_delete", args=[ours.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    many = {
        "action": "delete_selected",
        "_selected_action": [ours.pk, other.pk],
        "post": "yes",
    }
    assert client.post(reverse("admin:auth_group_changelist"), many).status_code == 403
    assert Group.objects.filter(pk__in=[ours.pk, other.pk]).count() == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_a_role_that_is_deleted_is_recorded_with_its_people(
    at_once: bool, client: Client, ngozi: User
) -> None:
    other = Group.objects.create(name="guests")
    ngozi.groups.add(other)
    if at_once:
        address = reverse("admin:auth_group_changelist")
        form = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    else:
        address, form = reverse("admin:auth_group_delete", args=[other.pk]), {"post": "yes"}
    assert client.post(address, form).status_code == 302
    assert not Group.objects.filter(name="guests").exists()
    (entry,) = entries("role.delete")
    assert entry.body == {"name": "guests", "permissions": [], "people": ["ngozi"]}


def test_a_new_role_is_recorded(client: Client) -> None:
    assert client.post(reverse("admin:auth_group_add"), {"name": "guests"}).status_code == 302
    (entry,) = entries("role.create")
    assert entry.body == {"name": "guests", "permissions": []}


# --- what a role asks ----------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_superuser_says_that_a_role_needs_a_second_factor(root: User, ngozi: User) -> None:
    role = Group.objects.get_or_create(name="reviewer")[0]
    client = Client()
    client.force_login(root)
    address = reverse("admin:accounts_rolerule_put")
    for _ in range(2):
        form = {"group": role.pk, "mfa_required": "on"}
        assert client.post(address, form).status_code == 302
    assert RoleRule.objects.get().mfa_required is True
    (entry,) = entries("role.rule_put")
    assert entry.body == {"role": "reviewer", "mfa_required": {"was": False, "now": True}}
    off = reverse("admin:accounts_rolerule_put_from", args=[RoleRule.objects.get().pk])
    assert client.post(off, {"group": role.pk}).status_code == 302
    assert RoleRule.objects.get().mfa_required is False
    client.force_login(ngozi)
    assert client.post(address, {"group": role.pk}).status_code == 403
    with pytest.raises(NotAllowed):
        change_log.role_rule_put(group_id=role.pk, mfa_required=False, by=ngozi, via="admin")
    with pytest.raises(NotFound):
        change_log.role_rule_put(group_id=10**9, mfa_required=False, by=root, via="admin")
    codes = [e.code for e in entries("role.rule_put") if e.outcome == "refused"]
    assert codes == ["permission_denied", "not_found"]


def test_the_roles_can_what_the_design_says() -> None:
    def may(role: str, *codenames: str) -> set[str]:
        held = Permission.objects.filter(group__name=role, codename__in=codenames)
        return set(held.values_list("codename", flat=True))

    decide, edit, reassign = (f"{verb}_approvalrequest" for verb in ("decide", "edit", "reassign"))
    verbs = (decide, edit, reassign)
    assert may("reviewer", *verbs) == {decide, edit}
    assert may("senior reviewer", *verbs) == {decide, edit, reassign}
    assert may("operator", *verbs) == {reassign}
    assert may("auditor", *verbs) == set()
    assert may("auditor", "view_auditentry") == {"view_auditentry"}
