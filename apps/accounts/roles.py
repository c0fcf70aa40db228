"""What each role may do. Each app grants its own permissions in `AppConfig.ready()`.

`ensure` runs after every migrate, app by app, and only adds: what an administrator has given a
group besides stays. A permission is "app.codename"; "app.view_*" and "*.view_*" stand for the view
permissions of all the app's models, and of all our models.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS

from apps.common.language import lazy as _
from apps.common.registry import Registry

#: Name of each role → what it is for.
ROLES = {
    "requester": _("Asks for what others sign, and follows their own"),
    "reviewer": _("Signs requests of the first tier"),
    "senior reviewer": _("Signs requests of the second tier"),
    "quarantine operator": _("Corrects and replays quarantined events"),
    "quarantine releaser": _("Signs what quarantine operators corrected"),
    "key officer": _("Decides claims and infractions"),
    "booking agent": _("Cancels and refunds bookings"),
    "automation editor": _("Writes automations and executes them"),
    "auditor": _("Reads everything, changes nothing"),
    "operator": _("Keeps the engine running, and the rules"),
}

_grants = Registry[tuple[str, str]]("grant")


def grant(role: str, *permissions: str) -> None:
    """Give a role permissions, each "app.codename". Called by the app that has them.

    Raises ImproperlyConfigured when there is no such role.
    """
    if role not in ROLES:
        raise ImproperlyConfigured(f"there is no role {role!r}")
    for permission in permissions:
        _grants.add(f"{role}: {permission}", (role, permission))


def granted(role: str) -> set[str]:
    """The permissions that apps have granted the role, with unexpanded wildcards."""
    return {permission for name, permission in _grants.values() if name == role}


def ensure(
    *, app_config: AppConfig, using: str = DEFAULT_DB_ALIAS, apps: Apps = installed, **_: Any
) -> None:
    """Receiver of post_migrate: give the groups the permissions granted for this app. Idempotent.

    Django makes an app's permissions in an earlier receiver of the same signal.
    """
    if not app_config.name.startswith("apps."):
        return
    try:
        permission_model: Any = apps.get_model("auth", "Permission")
        group_model: Any = apps.get_model("auth", "Group")
    except LookupError:
        return  # a partial migrate, before auth is there
    groups = _groups(group_model.objects.using(using))
    found = permission_model.objects.using(using).filter(content_type__app_label=app_config.label)
    ids = dict(found.values_list("codename", "id"))
    link = group_model.permissions.through
    link.objects.using(using).bulk_create(
        [
            link(group_id=groups[name], permission_id=ids[codename])
            for name in ROLES
            for codename in _wanted(name, app_config.label, ids)
        ],
        ignore_conflicts=True,
    )


def _groups(groups: Any) -> dict[str, int]:
    """Group ids by name; a missing group (a flushed test database) is made again."""
    present = dict(groups.filter(name__in=ROLES).values_list("name", "id"))
    if missing := [name for name in ROLES if name not in present]:
        groups.bulk_create([groups.model(name=name) for name in missing], ignore_conflicts=True)
        present = dict(groups.filter(name__in=ROLES).values_list("name", "id"))
    return present


def _wanted(role: str, label: str, codenames: Iterable[str]) -> set[str]:
    """The role's codenames in the app. A name that does not exist is left out: the tests hold
    that grants name existing ones, and a partial migrate may not have made them yet."""
    wanted: set[str] = set()
    for permission in granted(role):
        app, _, codename = permission.partition(".")
        if app not in (label, "*"):
            continue
        if codename == "view_*":
            wanted |= {name for name in codenames if name.startswith("view_")}
        else:
            wanted |= {codename} & set(codenames)
    return wanted
