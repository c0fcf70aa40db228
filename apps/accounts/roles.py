"""What each role may do. Groups come with a migration; their permissions follow this table.

`ensure` runs after every migrate, app by app, and only adds: what an administrator has given a
group besides stays. A permission is "app.codename"; "app.view_*" and "*.view_*" stand for the view
permissions of all the app's models, and of all our models.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS


@dataclass(frozen=True)
class RoleSpec:
    """A role: what it is for, and its permissions."""

    title: str
    permissions: tuple[str, ...] = ()


_SIGNS = (
    "approvals.decide_approvalrequest",
    "approvals.edit_approvalrequest",
    "approvals.view_*",
    "interventions.view_*",
)

ROLES: dict[str, RoleSpec] = {
    "requester": RoleSpec(
        "Asks for interventions and follows their own",
        (
            "interventions.request_intervention",
            "interventions.request_budgettransfer",
            "interventions.view_policy",
            "interventions.view_budget",
        ),
    ),
    "reviewer": RoleSpec("Signs requests of the first tier", _SIGNS),
    "senior reviewer": RoleSpec(
        "Signs requests of the second tier",
        (*_SIGNS, "approvals.reassign_approvalrequest"),
    ),
    "quarantine operator": RoleSpec("Corrects and replays quarantined events"),
    "quarantine releaser": RoleSpec("Signs what quarantine operators corrected"),
    "key officer": RoleSpec("Decides claims and infractions"),
    "booking agent": RoleSpec("Cancels and refunds bookings"),
    "auditor": RoleSpec("Reads everything, changes nothing", ("*.view_*",)),
    "operator": RoleSpec(
        "Keeps the engine running, and the rules",
        (
            "engine.view_*",
            "engine.change_enginecommand",
            "engine.change_workflowrun",
            "engine.change_workflowschedule",
            "approvals.view_*",
            "approvals.reassign_approvalrequest",
            # A version of theirs never frees themselves.
            "approvals.add_approvalrule",
            "approvals.change_approvalrule",
            "interventions.view_*",
            "interventions.cancel_intervention",
            "interventions.request_budgettransfer",
            "notifications.view_*",
            "notifications.resend_mail",
            "notifications.manage_webhookendpoint",
        ),
    ),
}


def ensure(
    *, app_config: AppConfig, using: str = DEFAULT_DB_ALIAS, apps: Apps = installed, **_: Any
) -> None:
    """Receiver of post_migrate: give the groups what this app has for them. Idempotent.

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
            for name, role in ROLES.items()
            for codename in _wanted(role, app_config.label, ids)
        ],
        ignore_conflicts=True,
    )


def _groups(groups: Any) -> dict[str, int]:
    """Ids by name; a group that was removed (a flushed test database) is made again."""
    present = dict(groups.filter(name__in=ROLES).values_list("name", "id"))
    if missing := [name for name in ROLES if name not in present]:
        groups.bulk_create([groups.model(name=name) for name in missing], ignore_conflicts=True)
        present = dict(groups.filter(name__in=ROLES).values_list("name", "id"))
    return present


def _wanted(role: RoleSpec, label: str, codenames: Iterable[str]) -> set[str]:
    """The role's codenames in the app. A name that does not exist is left out: the tests hold
    that ROLES names existing ones, and a partial migrate may not have made them yet."""
    wanted: set[str] = set()
    for permission in role.permissions:
        app, _, codename = permission.partition(".")
        if app not in (label, "*"):
            continue
        if codename == "view_*":
            wanted |= {name for name in codenames if name.startswith("view_")}
        else:
            wanted |= {codename} & set(codenames)
    return wanted
