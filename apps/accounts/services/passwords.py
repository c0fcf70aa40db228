"""Passwords. Audit entries never contain them."""

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services.sessions import sessions_end
from apps.audit.contracts import Actor
from apps.audit.services import entry_record


def password_change(*, user: User, password: str, keep: str | None, by: Actor, via: str) -> None:
    """Set a validated password and end the user's sessions except the one with key `keep`."""
    with transaction.atomic(durable=True):
        locked = User.objects.select_for_update().get(pk=user.pk)
        locked.set_password(password)
        locked.save(update_fields=["password"])
        entry_record(
            action="user.password", subject_type="user", subject_id=user.pk, by=by, via=via
        )
        sessions_end(user=user, by=by, via=via, keep=keep, why="the password was changed")
    user.password = locked.password
