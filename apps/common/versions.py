"""Versioned rows: a change adds a row, at most one row of a key is active, old ones stay.

A model has the columns of its key, `version` (from 1) and `active`, with unique constraints on key
and version, and on the key of the active row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from apps.common.locks import transaction_lock

Row = TypeVar("Row", bound=Model)


def put_version(
    rows: "QuerySet[Row]",
    key: dict[str, Any],
    values: dict[str, Any],
    *,
    check: Callable[[Any], None] | None = None,
    **unversioned: Any,
) -> tuple[Row, bool]:
    """Make `values` the active version of the key; return the row, and whether it is new.

    If the active version is equal, it is returned. `check` gets the newest version, active or not,
    and may raise. `unversioned` columns are set on a new row, but a difference in them alone makes
    no new version. Joins the caller's transaction, and locks the key's versions until its end.
    """
    lock_versions(rows, key)
    newest: Any = rows.filter(**key).order_by("-version").first()
    if newest is not None:
        if check is not None:
            check(newest)
        if newest.active and all(getattr(newest, name) == v for name, v in values.items()):
            return newest, False
    switch_off(rows, key)
    version = newest.version + 1 if newest else 1
    return rows.create(**key, version=version, **values, **unversioned), True


def lock_versions(rows: "QuerySet[Row]", key: dict[str, Any]) -> None:
    """Lock the key's versions until the caller's transaction ends, by name: the first version has
    no row to lock."""
    words = (rows.model._meta.label_lower, *map(str, key.values()))
    transaction_lock(":".join(words))


def switch_off(rows: "QuerySet[Row]", key: dict[str, Any]) -> None:
    """Deactivate the key's active version. Joins the caller's transaction, which has locked the
    versions."""
    for row in rows.filter(**key, active=True):
        row.active = False  # type: ignore[attr-defined]
        row.save(update_fields=["active", "updated_at"])


# --- history of a key -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Changed:
    """A value that differs from the version before. `field` is its name for people."""

    field: str
    was: Any
    now: Any


def version_before(row: Row, *key: str) -> Row | None:
    """Return the version that was active before this one; `key` names the columns of its key."""
    versioned: Any = row
    same = {name: getattr(row, name) for name in key}
    rows: Any = row._meta.model._default_manager
    before: Row | None = rows.filter(**same, version=versioned.version - 1).first()
    return before


def with_changes(
    rows: list[Row],
    *key: str,
    names: Mapping[str, str],
    shown: Callable[[Row, str], Any] = getattr,
) -> list[tuple[Row, list[Changed]]]:
    """Return versions of one key, newest first, each with its changes; the first one without.

    `names`: column → its name for people, in display order; `shown` formats the value of a column.
    One query, for the version before the last of them.
    """
    if not rows:
        return []
    befores = [*rows[1:], version_before(rows[-1], *key)]
    return [
        (row, _changes(before, row, names, shown) if before else [])
        for row, before in zip(rows, befores, strict=True)
    ]


def _changes(
    before: Row, after: Row, names: Mapping[str, str], shown: Callable[[Row, str], Any]
) -> list[Changed]:
    return [
        Changed(words, shown(before, name), shown(after, name))
        for name, words in names.items()
        if getattr(before, name) != getattr(after, name)
    ]
