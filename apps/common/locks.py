"""Advisory locks by name, for things that have no row to lock yet."""

from hashlib import sha256

from django.db import connection


def lock_number(name: str) -> int:
    """Return the number by which PostgreSQL knows the lock of this name."""
    digest = sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], signed=True)


def transaction_lock(name: str) -> None:
    """Lock the name until the caller's transaction ends; other callers wait.

    The lock is its own statement, so the next statement sees what the previous holder committed.
    Any text is a name; begin it with the kind of thing: `policy:…`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_number(name)])
