"""Which people are found, by whom: users who may see the accounts, in the admin."""

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.web.search import BY_NUMBER, Found, Source, among, by_text, everything

if TYPE_CHECKING:
    from django.db.models import QuerySet

VIEW_PERMISSION = "accounts.view_user"


def _people() -> "QuerySet[User]":
    return User.objects.prefetch_related("groups")


def _person(row: User) -> Found:
    roles = ", ".join(sorted(group.name for group in row.groups.all()))
    return Found(
        title=str(row),
        href=reverse("admin:accounts_user_change", args=[row.pk]),
        key=row.username,
        state="" if row.is_active else "inactive",
        notes=(roles or gettext("no role"),),
    )


PEOPLE = Source(
    key="people",
    title=_("People"),
    hint=_("name, user name, e-mail address or number"),
    permission=lambda user: user.is_staff and user.has_perm(VIEW_PERMISSION),
    order=55,
    find=among(
        _people,
        BY_NUMBER,
        by_text("username", "first_name", "last_name", "email", order=("username",)),
        found=_person,
        seen=everything,
    ),
)
