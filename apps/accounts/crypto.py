"""Encryption of second-factor secrets at rest, so that a stolen database is not enough."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["InvalidToken", "decrypted", "encrypted"]


def encrypted(text: str) -> str:
    """Encrypt the text with a key derived from SECRET_KEY."""
    return _box().encrypt(text.encode()).decode("ascii")


def decrypted(token: str) -> str:
    """Decrypt the text, also when it was encrypted with one of SECRET_KEY_FALLBACKS.

    InvalidToken when none of them is the key.
    """
    return _box().decrypt(token.encode()).decode()


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    # SECRET_KEY has the entropy: there is nothing to stretch, only a purpose to bind to.
    return base64.urlsafe_b64encode(hashlib.sha256(b"countersign.mfa:" + key.encode()).digest())
