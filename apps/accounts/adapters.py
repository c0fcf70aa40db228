"""django-allauth's adapters: rate limits, no messages or e-mails of its own, encrypted secrets."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import ngettext

from apps.accounts import crypto, throttle
from apps.accounts.addresses import client_address
from apps.accounts.models import User
from apps.accounts.rate_limits import login_limits, password_limit
from apps.accounts.receivers import confirmation_failed, locked_out
from apps.accounts.throttle import Limit, Refused
from apps.common.language import lazy as _

#: Somebody who has just signed in, or confirmed, is not asked again for so long.
CONFIRMED_SECONDS = 300

WRONG_LOGIN = _("The user name or the password is wrong.")
WRONG_PASSWORD = _("The password is wrong.")


class AccountAdapter(DefaultAccountAdapter):
    """Signing in by user name and password. Every failure gets the same answer."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Return the user, or None. Raises ValidationError after too many tries.

        An inactive account gives None too: the answer must not tell that the password was right.
        """
        username = str(credentials.get("username") or "")
        limits = login_limits(username=username, address=client_address(request))
        if refused := throttle.consume(*limits):
            if refused.first:
                locked_out(request, username=username, limit=refused.limit.name)
            raise too_many(request, refused)
        user = authenticate(request, **credentials)
        if user is not None:
            throttle.give_back(*limits)
        return user

    def reauthenticate(self, user: User, password: str) -> bool:
        """Check the user's password again. Raises ValidationError after too many tries."""
        return password_confirmed(context.request, user, password)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """False for CONFIRMED_SECONDS after this session signed in or confirmed."""
        request = context.request
        records = get_authentication_records(request, request.user)
        latest = max((record.get("at", 0.0) for record in records), default=0.0)
        return bool(timezone.now().timestamp() - latest > CONFIRMED_SECONDS)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The code if the user has a second factor, else the password; never a choice of both."""
        found = super().get_reauthentication_methods(user)
        return [m for m in found if m["id"] == "mfa_reauthenticate"] or found

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        return redirect("login")

    def is_safe_url(self, url: str) -> bool:
        """Accept redirects to the request's own host only, not to others in ALLOWED_HOSTS."""
        request = context.request
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return reverse(settings.LOGIN_REDIRECT_URL)

    def get_login_stages(self) -> list[str]:
        return ["allauth.mfa.stages.AuthenticateStage"]

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def is_ajax(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the views write their own messages."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the audit trail and the security page show these events."""


class MFAAdapter(DefaultMFAAdapter):
    """Encrypts secrets at rest; authenticator apps list the account by its user name."""

    def encrypt(self, text: str) -> str:
        return crypto.encrypted(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypted(encrypted_text)

    def get_totp_label(self, user: Any) -> str:
        return f"{settings.MFA_TOTP_ISSUER}:{user.get_username()}"


def password_confirmed(request: HttpRequest, user: User, password: str) -> bool:
    """Check the password of a signed-in user; a wrong one is audited.

    Raises ValidationError after too many tries.
    """
    limit: Limit = password_limit(user_id=user.pk)
    if refused := throttle.consume(limit):
        if refused.first:
            locked_out(request, username=user.username, limit=limit.name)
        raise too_many(request, refused)
    if not user.check_password(password):
        confirmation_failed(request, user=user)
        return False
    throttle.give_back(limit)
    return True


def too_many(request: HttpRequest, refused: Refused) -> ValidationError:
    """The refusal as a form error. It sets `request.retry_after`; the view then answers 429."""
    return too_many_seconds(request, refused.retry_after)


def too_many_seconds(request: HttpRequest, seconds: int) -> ValidationError:
    """As `too_many`, for a number of seconds."""
    request.retry_after = seconds  # type: ignore[attr-defined]
    minutes = -(-seconds // 60)
    text = ngettext(
        "Too many failed attempts. Nothing was checked; try again in a minute.",
        "Too many failed attempts. Nothing was checked; try again in {minutes} minutes.",
        max(minutes, 1),
    )
    return ValidationError(
        text.format(minutes=minutes),
        code="too_many_requests",
    )
