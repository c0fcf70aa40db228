"""Forms for signing in and for accounts. Texts and checks are ours, the flows are allauth's."""

from typing import Any

from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.models import Login
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.totp.internal.auth import get_totp_secret
from django import forms
from django.contrib.auth.forms import PasswordChangeForm as DjangoPasswordChangeForm
from django.contrib.auth.forms import UserChangeForm, UsernameField
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts import change_log, services
from apps.accounts.adapters import (
    WRONG_LOGIN,
    WRONG_PASSWORD,
    AccountAdapter,
    password_confirmed,
    too_many_seconds,
)
from apps.accounts.models import User
from apps.common.errors import DomainError, TooMany
from apps.common.language import lazy as _

#: A password is hashed, slowly; nobody's is longer.
LONGEST_PASSWORD = 4096


def _password(autocomplete: str, label: str = _("Password")) -> forms.CharField:
    return forms.CharField(
        label=label,
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": autocomplete}),
    )


class LoginForm(AllauthLoginForm):
    """Sign in: user name and password."""

    username = UsernameField(
        label=_("User name"),
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}
        ),
    )
    password = _password("current-password")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["login"]

    def user_credentials(self) -> dict[str, str]:
        """The arguments for `authenticate`."""
        return {
            "username": self.cleaned_data["username"],
            "password": self.cleaned_data["password"],
        }

    def _clean_with_password(self, credentials: dict[str, str]) -> dict[str, Any]:
        user = AccountAdapter(self.request).authenticate(self.request, **credentials)
        if user is None:
            raise ValidationError(WRONG_LOGIN, code="bad_credentials")
        self._login = Login(user=user)
        self.user = user
        return self.cleaned_data


class ConfirmForm(forms.Form):
    """Confirm by password, for a signed-in user without a second factor."""

    password = _password("current-password")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_password(self) -> str:
        password = self.cleaned_data["password"]
        if not password_confirmed(context.request, self.user, password):
            raise ValidationError(WRONG_PASSWORD, code="bad_credentials")
        return str(password)


def _code() -> forms.CharField:
    return forms.CharField(
        label=_("Code"),
        max_length=40,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autocapitalize": "none",
                "spellcheck": "false",
                "inputmode": "numeric",
                "autofocus": True,
            }
        ),
    )


class CodeForm(AuthenticateForm):
    """Second step of signing in: a code of the authenticator app, or a recovery code."""

    code = _code()

    def clean_code(self) -> str:
        """Check the code and mark it as used."""
        code = str(self.cleaned_data["code"])
        with _worded():
            self.authenticator = services.second_factor_use(
                user=self.user, code=code, as_of=timezone.now(), via="page"
            )
        self.authenticator.user = self.user
        return code


class ConfirmCodeForm(CodeForm):
    """Confirm by code, for a signed-in user who is about to change how they sign in."""

    def save(self) -> None:
        post_authentication(context.request, self.authenticator, reauthenticated=True)


class SetupForm(forms.Form):
    """First code of a new authenticator app: it proves that the app has the right secret."""

    code = _code()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)
        # One secret for as long as the session looks at this page: a second tab, or a reload
        # behind the back of the phone, must not make the scanned one worthless.
        self.secret: str = get_totp_secret()

    def clean_code(self) -> str:
        """Adds the second factor: whether the code is right is known only under the lock."""
        code = str(self.cleaned_data["code"])
        with _worded():
            services.totp_activate(
                user=self.user,
                secret=self.secret,
                code=code,
                as_of=timezone.now(),
                keep=context.request.session.session_key,
                by=self.user,
                via="page",
            )
        return code


class PasswordChangeForm(DjangoPasswordChangeForm):
    """Change the password. A wrong old password counts towards the rate limit."""

    old_password = _password("current-password", _("Current password"))

    def clean_old_password(self) -> str:
        password = str(self.cleaned_data["old_password"])
        if not password_confirmed(context.request, self.user, password):
            raise ValidationError(WRONG_PASSWORD, code="bad_credentials")
        return password


class PersonForm(UserChangeForm):
    """A user's account in the admin. `by` is the administrator who changes it."""

    by: User

    def clean_groups(self) -> "QuerySet[Group]":
        """Refuse roles whose permissions the administrator does not all hold."""
        groups: QuerySet[Group] = self.cleaned_data["groups"]
        moved = set(groups) ^ set(self.instance.groups.all())
        above = sorted(group.name for group in moved if not change_log.holds_role(self.by, group))
        if above:
            raise ValidationError(
                gettext("You do not hold all permissions of: {above}.").format(
                    above=", ".join(above)
                ),
                code="role_above",
            )
        return groups

    def clean_senior(self) -> User | None:
        """Refuse to require a second factor from a role while its own administrator has none."""
        senior: User | None = self.cleaned_data["senior"]
        if senior is not None and senior.pk == self.instance.pk:
            raise ValidationError(gettext("Somebody else has to be asked."), code="own_senior")
        return senior


class _worded:
    """A refusal of a service as an error of the field."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, TooMany):
            raise too_many_seconds(context.request, error.retry_after) from error
        if isinstance(error, DomainError):
            raise ValidationError(error.detail, code=error.code) from error
