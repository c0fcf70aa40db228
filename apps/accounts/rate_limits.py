"""Rate limits of passwords, codes and keys. The numbers come from the settings."""

from django.conf import settings

from apps.accounts.addresses import network_of
from apps.accounts.throttle import Limit

#: An account may fail so many times more often over all addresses than from one: a stranger
#: who keeps failing at one address must not be able to lock its owner out everywhere else.
EVERYWHERE = 10


def login_limits(*, username: str, address: str) -> tuple[Limit, ...]:
    """Wrong passwords: for the account at the address, for the account, and for the address."""
    name, place, seconds = username.casefold(), network_of(address), settings.THROTTLE_SECONDS
    most = settings.LOGIN_ATTEMPTS
    return (
        Limit("login-here", f"{name}|{place}", most, seconds),
        Limit("login-account", name, most * EVERYWHERE, seconds),
        Limit("login-address", place, settings.LOGIN_ATTEMPTS_PER_ADDRESS, seconds),
    )


def password_limit(*, user_id: int) -> Limit:
    """Wrong passwords of somebody who is signed in and confirms who they are."""
    return Limit("password", str(user_id), settings.LOGIN_ATTEMPTS, settings.THROTTLE_SECONDS)


def code_limit(*, user_id: int) -> Limit:
    """Wrong codes of a second factor."""
    return Limit("code", str(user_id), settings.CODE_ATTEMPTS, settings.THROTTLE_SECONDS)


def signature_limit(*, address: str) -> Limit:
    """Wrong signatures of webhooks: as many as wrong API keys, counted apart from them."""
    most, seconds = settings.KEY_ATTEMPTS_PER_ADDRESS, settings.THROTTLE_SECONDS
    return Limit("signature", network_of(address), most, seconds)


def key_limit(*, address: str) -> Limit:
    """Wrong API keys."""
    return Limit(
        "api-key", network_of(address), settings.KEY_ATTEMPTS_PER_ADDRESS, settings.THROTTLE_SECONDS
    )
