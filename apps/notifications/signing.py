"""Webhook secrets and signatures, as Standard Webhooks has them (standardwebhooks.com)."""

import base64
import hmac
import secrets
from functools import cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from apps.common.errors import Unavailable
from apps.common.language import lazy as _

PREFIX = "whsec_"
SECRET_BYTES = 32


def secret_new() -> str:
    """Make a secret, as its owner is shown it once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(secret: str) -> str:
    """Encrypt the secret with a key derived from SECRET_KEY, so that a copy of the database alone
    signs nothing."""
    return (
        _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(secret.encode()).decode()
    )


def unseal(sealed: str) -> str:
    """Decrypt the secret. Raises Unavailable `secret_unreadable` when SECRET_KEY has changed."""
    try:
        box = _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return box.decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unavailable(
            _(
                "The secret was sealed under another SECRET_KEY: rotate it, or put the "
                "old key into SECRET_KEY_FALLBACKS."
            ),
            code="secret_unreadable",
        ) from None


def signature(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()


@cache
def _box(*keys: str) -> MultiFernet:
    return MultiFernet(
        [
            Fernet(base64.urlsafe_b64encode(sha256(b"webhook secrets\0" + key.encode()).digest()))
            for key in keys
        ]
    )
