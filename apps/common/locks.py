"""Locks by name, for what has no row yet that could be locked."""

from hashlib import sha256

from django.db import connection


def transaction_lock(name: str) -> None:
    """Hold the name until the caller's transaction ends; whoever asks for it meanwhile waits.

    It is a statement of its own, so the next one sees what the holder before has committed. Any
    text is a name; those of different things begin with a word of their own: `policy:…`.
    """
    digest = sha256(name.encode("utf-8", "surrogatepass")).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)]
        )
