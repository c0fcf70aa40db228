"""Signing in, failing to, and signing out leave audit entries. Passwords never get near them."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.audit.services import entry_record


def login_recorded(sender: Any, request: HttpRequest | None, user: User, **_: Any) -> None:
    """Receiver of user_logged_in."""
    _record("user.login", request=request, user=user)


def logout_recorded(sender: Any, request: HttpRequest | None, user: User | None, **_: Any) -> None:
    """Receiver of user_logged_out; nobody was signed in when `user` is None."""
    if user is not None:
        _record("user.logout", request=request, user=user)


def login_failure_recorded(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    """Receiver of user_login_failed.

    A name that is nobody's is not kept: people type their password into the wrong field.
    """
    username = str(credentials.get("username") or "")
    user = User.objects.filter(username=username).first() if "\0" not in username else None
    with transaction.atomic():
        entry_record(
            action="user.login",
            subject_type="user",
            subject_id=user.pk if user else "",
            by=None,
            via=_via(request),
            outcome="refused",
            code="bad_credentials",
            body={"username": user.username if user else "(nobody's)"},
        )


def _record(action: str, *, request: HttpRequest | None, user: User) -> None:
    with transaction.atomic():
        entry_record(
            action=action, subject_type="user", subject_id=user.pk, by=user, via=_via(request)
        )


def _via(request: HttpRequest | None) -> str:
    return "admin" if request is not None and request.path.startswith("/admin/") else "page"
