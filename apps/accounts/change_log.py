"""Audit entries for changes of users and roles: old values, new values, and who changed them.

The admin's forms write the rows and call these functions before and after, in one transaction. An
entry says that a password was changed, never the password.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext

from apps.accounts.models import RoleRule, User
from apps.accounts.signals import account_touched
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.errors import NotAllowed, NotFound
from apps.common.language import in_site_language
from apps.common.language import lazy as _

if TYPE_CHECKING:
    from apps.audit.models import AuditEntry

_USER_FIELDS = (
    "username",
    "first_name",
    "last_name",
    "email",
    "is_active",
    "is_staff",
    "is_superuser",
)


@dataclass(frozen=True)
class State:
    """The values of a row. `secret` is compared and never recorded."""

    values: dict[str, Any] = field(default_factory=dict)
    secret: str = field(default="", repr=False)


def user_state(user_id: int | None) -> State | None:
    """The user's stored values, locked until the transaction ends; None: a new user."""
    if user_id is None:
        return None
    user = User.objects.select_for_update(of=("self",)).filter(pk=user_id).first()
    if user is None:
        return None
    return State(
        values={
            **{name: getattr(user, name) for name in _USER_FIELDS},
            "senior": user.senior.username if user.senior else "",
            "groups": sorted(user.groups.values_list("name", flat=True)),
            "permissions": _permissions(user.user_permissions),
        },
        secret=user.password,
    )


def password_of(user_id: int) -> str:
    """The stored password hash, to see whether it changed."""
    return str(User.objects.values_list("password", flat=True).get(pk=user_id))


def role_state(group_id: int | None) -> State | None:
    """The role's stored values, locked until the transaction ends; None: a new role."""
    if group_id is None:
        return None
    group = Group.objects.select_for_update().filter(pk=group_id).first()
    if group is None:
        return None
    return State(values={"name": group.name, "permissions": _permissions(group.permissions)})


@in_site_language
def user_changed(*, user_id: int, was: State | None, by: Actor, via: str) -> None:
    """Audit the differences from `was` (None: the user is new); no difference, no entry.

    A user whose password somebody else changed is notified.
    """
    now = user_state(user_id)
    entry = _changed("user", user_id, was, now, by=by, via=via)
    if entry is None or was is None or now is None or was.secret == now.secret:
        return
    user = User.objects.get(pk=user_id)
    if by.audit_id != user.audit_id:
        account_touched.send(
            sender=User,
            user=user,
            key=f"account:{entry.pk}",
            title=gettext("Your password was changed"),
            text=gettext(
                "{by} changed it, and you were signed out everywhere. If you did not ask "
                "for this, tell whoever keeps the accounts at once."
            ).format(by=by),
        )


def role_changed(*, group_id: int, was: State | None, by: Actor, via: str) -> None:
    """As `user_changed`, for a role and its permissions."""
    _changed("role", group_id, was, role_state(group_id), by=by, via=via)


def role_deleted(*, group: Group, by: Actor, via: str) -> None:
    """Audit a role that is about to be removed, with its members."""
    was = role_state(group.pk)
    entry_record(
        action="role.delete",
        subject_type="role",
        subject_id=group.pk,
        by=by,
        via=via,
        body={
            **(was.values if was else {}),
            "people": sorted(User.objects.filter(groups=group).values_list("username", flat=True)),
        },
    )


def role_rule_put(*, group_id: int, mfa_required: bool, by: User, via: str) -> RoleRule:
    """Set whether a role requires a second factor. Outermost verb, audited, idempotent.

    Raises NotFound, NotAllowed `permission_denied` for anybody but a superuser.
    """
    record: dict[str, Any] = {
        "action": "role.rule_put",
        "subject_type": "role",
        "subject_id": group_id,
        "by": by,
        "via": via,
    }
    with refusals(**record), transaction.atomic(durable=True):
        if not by.is_superuser:
            raise NotAllowed(
                _("Only a superuser changes what a role asks."), code="permission_denied"
            )
        # The role is the lock: the first rule has no row of its own.
        group = Group.objects.select_for_update().filter(pk=group_id).first()
        if group is None:
            raise NotFound(_("There is no such role."))
        rule, created = RoleRule.objects.get_or_create(
            group=group, defaults={"mfa_required": mfa_required}
        )
        was = False if created else rule.mfa_required
        if was != mfa_required or created:
            rule.mfa_required = mfa_required
            rule.save(update_fields=["mfa_required"])
            now = {"was": was, "now": mfa_required}
            entry_record(**record, body={"role": group.name, "mfa_required": now})
    return rule


def _changed(
    subject: str, pk: int, was: State | None, now: State | None, *, by: Actor, via: str
) -> "AuditEntry | None":
    if now is None:
        return None
    if was is None:
        action, body = "create", dict(now.values)
    else:
        action = "change"
        body = {
            name: {"was": was.values[name], "now": value}
            for name, value in now.values.items()
            if was.values[name] != value
        }
        if was.secret != now.secret:
            body["password"] = "changed"  # noqa: S105 - the word, and nothing else
    if not body:
        return None
    return entry_record(
        action=f"{subject}.{action}",
        subject_type=subject,
        subject_id=pk,
        by=by,
        via=via,
        body=body,
    )


def holds_role(user: User, group: Group) -> bool:
    """Whether the user has every permission of the role. Nobody may grant more than they hold."""
    return user.is_superuser or set(_permissions(group.permissions)) <= user.get_all_permissions()


def _permissions(manager: Any) -> list[str]:
    rows = manager.values_list("content_type__app_label", "codename")
    return sorted(f"{app}.{codename}" for app, codename in rows)
