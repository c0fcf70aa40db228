"""The insert into the outbox, and what may go in."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction

from apps.common import correlation
from apps.common.canonical_json import canonical_json, plain
from apps.common.errors import Conflict, Invalid
from apps.engine.contracts import CommandKind
from apps.engine.models import EngineCommand

#: Widths of the columns; Temporal itself takes longer ids.
_LENGTHS = {"key": 200, "workflow_id": 200, "workflow_type": 80, "task_queue": 80, "name": 80}

_INSERT = """
INSERT INTO engine_enginecommand (
    key, kind, workflow_id, workflow_type, task_queue, name, args, options, subject_type,
    subject_id, correlation_id, state, attempts, strikes, next_try_at, error, run_id, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s, %s, 'pending', 0, 0,
        clock_timestamp(), '', '', clock_timestamp())
ON CONFLICT (key) DO NOTHING
RETURNING *
"""


def command_enqueue(
    *,
    key: str,
    kind: CommandKind,
    workflow_id: str,
    workflow_type: str = "",
    task_queue: str,
    name: str = "",
    args: Sequence[Any] = (),
    options: Mapping[str, Any] | None = None,
    subject_type: str,
    subject_id: str,
) -> EngineCommand:
    """Write the command, or give the one that has this key; joins the caller's transaction.

    One statement when the key is new. A concurrent twin is waited for: it commits or not. Raises
    Conflict `command_key_reused`, Invalid `invalid_command` / `invalid_text`, and
    TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "a command is written in the transaction that decides it"
        )
    texts = {
        "key": key,
        "workflow_id": workflow_id,
        "workflow_type": workflow_type,
        "task_queue": task_queue,
        "name": name,
        "subject_type": subject_type,
        "subject_id": str(subject_id),
    }
    content = {"args": _as_json(list(args)), "options": _as_json(dict(options or {}))}
    _check(texts, content)
    values = [
        *(key, kind.value, workflow_id, workflow_type, task_queue, name),
        *(canonical_json(content["args"]), canonical_json(content["options"])),
        *(subject_type, str(subject_id), correlation.current()),
    ]
    for inserted in EngineCommand.objects.raw(_INSERT, values):
        return inserted
    existing = EngineCommand.objects.get(key=key)
    same = existing.kind == kind and all(
        getattr(existing, field) == value for field, value in (texts | content).items()
    )
    if not same:
        raise Conflict(f"the key {key!r} belongs to another command", code="command_key_reused")
    return existing


def _check(texts: Mapping[str, str], content: Mapping[str, Any]) -> None:
    for field in ("key", "workflow_id", "task_queue"):
        if not texts[field]:
            raise Invalid(f"{field} must not be empty", code="invalid_command")
    for field, most in _LENGTHS.items():
        if len(texts[field]) > most:
            raise Invalid(f"{field} is longer than {most} characters", code="invalid_command")
    # PostgreSQL keeps no NUL, neither in text nor in jsonb.
    if "\x00" in "".join(texts.values()) or "\\u0000" in canonical_json(content):
        raise Invalid("a command must not contain NUL characters", code="invalid_text")


def _as_json(value: Any) -> Any:
    """Dataclasses as objects, Decimals and dates as text: what the pydantic converter reads."""
    return plain(_without_dataclasses(value))


def _without_dataclasses(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {key: _without_dataclasses(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_dataclasses(item) for item in value]
    return value
