"""Audit entries for sign-ins, failed sign-ins and sign-outs. They never contain passwords."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest

from apps.accounts import services
from apps.accounts.addresses import client_address
from apps.accounts.models import User
from apps.audit.contracts import Outcome
from apps.audit.services import entry_record

VIA = "page"


def login_recorded(sender: Any, request: HttpRequest | None, user: User, **_: Any) -> None:
    """Receiver of user_logged_in: write an entry and record the session."""
    with transaction.atomic():
        if request is not None:
            # A session that changed hands has no key yet.
            if not request.session.session_key:
                request.session.save()
            services.session_begin(
                session_key=str(request.session.session_key),
                user=user,
                address=client_address(request),
                user_agent=request.headers.get("User-Agent", ""),
            )
        entry_record(action="user.login", subject_type="user", subject_id=user.pk, by=user, via=VIA)


def logout_recorded(sender: Any, request: HttpRequest | None, user: User | None, **_: Any) -> None:
    """Receiver of user_logged_out; nobody was signed in when `user` is None."""
    if user is not None:
        with transaction.atomic():
            entry_record(
                action="user.logout", subject_type="user", subject_id=user.pk, by=user, via=VIA
            )


def login_failure_recorded(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    """Receiver of user_login_failed.

    An unknown user name is not stored, because people type their password into the wrong field.
    """
    _refused(request, username=str(credentials.get("username") or ""), code="bad_credentials")


def locked_out(request: HttpRequest, *, username: str, limit: str) -> None:
    """Audit the first try beyond a limit; later ones leave no entries."""
    _refused(request, username=username, code="too_many_requests", limit=limit)


def confirmation_failed(request: HttpRequest, *, user: User) -> None:
    """Audit a wrong password of a signed-in user who was asked to confirm."""
    with transaction.atomic():
        entry_record(
            action="user.confirm",
            subject_type="user",
            subject_id=user.pk,
            by=user,
            via=VIA,
            outcome=Outcome.REFUSED,
            code="bad_credentials",
            body={"address": client_address(request)},
        )


def _refused(request: HttpRequest | None, *, username: str, code: str, **more: str) -> None:
    user = User.objects.filter(username=username).first() if "\0" not in username else None
    with transaction.atomic():
        entry_record(
            action="user.login",
            subject_type="user",
            subject_id=user.pk if user else "",
            by=None,
            via=VIA,
            outcome=Outcome.REFUSED,
            code=code,
            body={
                "username": user.username if user else "(nobody's)",
                "address": client_address(request) if request is not None else "",
                **more,
            },
        )
