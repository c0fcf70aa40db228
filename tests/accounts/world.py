"""People with passwords and phones."""

import time
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.contrib.auth.models import Group
from django.test import Client

from apps.accounts.crypto import decrypted
from apps.accounts.models import RoleRule, User

PASSWORD = "correct horse"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def person_of(name: str, *groups: str, **more: Any) -> User:
    """Somebody who may sign in, in these roles."""
    user = User.objects.create_user(username=name, password=PASSWORD, is_staff=True, **more)
    user.groups.add(*(Group.objects.get_or_create(name=group)[0] for group in groups))
    return user


def demanding(role: str) -> RoleRule:
    """The role asks for a second factor from now on."""
    group, _ = Group.objects.get_or_create(name=role)
    return RoleRule.objects.update_or_create(group=group, defaults={"mfa_required": True})[0]


def code_of(secret: str, ahead: int = 0) -> str:
    """What an app shows now, or `ahead` half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead))


class Phone:
    """An authenticator app."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret

    @classmethod
    def of(cls, user: User) -> "Phone":
        """The app of somebody who has set it up long ago."""
        TOTP.activate(user, SECRET)
        RecoveryCodes.activate(user)
        return cls()

    def code(self, ahead: int = 0) -> str:
        return code_of(self.secret, ahead)


def codes_of(user: User) -> list[str]:
    """The unused recovery codes."""
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    assert decrypted(row.data["seed"])
    return list(row.wrap().get_unused_codes())


def sign_in(client: Client, name: str = "amaka", password: str = PASSWORD, **more: str) -> Any:
    """The answer to the login form."""
    return client.post("/login/", {"username": name, "password": password, **more})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session
