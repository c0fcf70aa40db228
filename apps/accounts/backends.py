"""Authentication backend: the user of a session, and whether their second factor is missing."""

from functools import cache
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db import connection
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q

from apps.accounts.models import User
from apps.common.compiled import Compiled

#: In MFA_REQUIRED_ROLES: people who are superusers.
ADMINISTRATOR = "administrator"

_PERMISSIONS = """
SELECT c.app_label, p.codename
FROM auth_permission p JOIN django_content_type c ON c.id = p.content_type_id
WHERE p.id IN (
    SELECT permission_id FROM accounts_user_user_permissions WHERE user_id = %s
    UNION ALL
    SELECT g.permission_id
    FROM accounts_user_groups m JOIN auth_group_permissions g USING (group_id)
    WHERE m.user_id = %s)
"""


class Backend(ModelBackend):
    """Django's backend, which also reads `second_factor_due` in the query for the user.

    A rule that a role gets therefore applies at the next request and costs no query.
    """

    def get_user(self, user_id: int) -> User | None:
        """The active user, or None."""
        for user in _people(tuple(settings.MFA_REQUIRED_ROLES)).rows(user=user_id):
            return user if self.user_can_authenticate(user) else None
        return None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """As Django's, with the user's and the groups' permissions in one statement: nearly every
        request asks for them."""
        if user_obj.is_anonymous or user_obj.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        if not user_obj.is_active:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            with connection.cursor() as cursor:
                cursor.execute(_PERMISSIONS, [user_obj.pk, user_obj.pk])
                user_obj._perm_cache = {f"{app}.{name}" for app, name in cursor.fetchall()}
        permissions: set[str] = user_obj._perm_cache
        return permissions


@cache
def _people(required: tuple[str, ...]) -> Compiled[User]:
    """The user of a session, in a query that every request runs; `required` as in the settings."""
    due = {"second_factor_due": second_factor_due(required)}
    return Compiled(lambda user: User.objects.annotate(**due).filter(pk=user))


def second_factor_due(required: tuple[str, ...]) -> ExpressionWrapper:
    """Expression for queries of users: a role, one of these or by its rule, needs a second factor
    and the user has none."""
    asked = Q(group__rule__mfa_required=True)
    if required:
        asked |= Q(group__name__in=required)
    roles = User.groups.through.objects.filter(asked, user_id=OuterRef("pk"))
    has = Authenticator.objects.filter(user_id=OuterRef("pk"), type=Authenticator.Type.TOTP)
    needs = Q(Exists(roles))
    if ADMINISTRATOR in required:
        needs |= Q(is_superuser=True)
    return ExpressionWrapper(needs & ~Q(Exists(has)), output_field=BooleanField())
