"""Inserts commands into the outbox, and checks them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from apps.common import correlation
from apps.common.canonical_json import canonical_json, plain
from apps.common.errors import Conflict, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.contracts import CommandKind
from apps.engine.models import EngineCommand

#: Widths of the columns; Temporal itself allows longer ids.
_LENGTHS = {"key": 200, "workflow_id": 200, "workflow_type": 80, "task_queue": 80, "name": 80}

#: Ids follow the list, because the relay sends each workflow's oldest command first. Rows are
#: inserted in the order of their keys, so that two transactions with the same keys do not deadlock.
_INSERT = """
WITH given AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('engine_enginecommand', 'id')) AS id, one.*
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::jsonb[], %s::jsonb[], %s::text[], %s::text[])
         AS one(key, kind, workflow_id, workflow_type, task_queue, name, args, options,
                subject_type, subject_id)
)
INSERT INTO engine_enginecommand (
    id, key, kind, workflow_id, workflow_type, task_queue, name, args, options, subject_type,
    subject_id, correlation_id, state, attempts, strikes, next_try_at, error, run_id, behind_run,
    created_at)
SELECT id, key, kind, workflow_id, workflow_type, task_queue, name, args, options, subject_type,
       subject_id, %s, 'pending', 0, 0, clock_timestamp(), '', '', '', clock_timestamp()
FROM given ORDER BY key, id
ON CONFLICT (key) DO NOTHING
RETURNING *
"""


@dataclass(frozen=True)
class NewCommand:
    """A command to be written by `services.commands_enqueue`."""

    key: str
    kind: CommandKind
    workflow_id: str
    task_queue: str
    subject_type: str
    subject_id: str
    workflow_type: str = ""
    name: str = ""
    args: Sequence[Any] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def commands_enqueue(commands: Sequence[NewCommand]) -> list[EngineCommand]:
    """Write the commands in one statement, or return those that have their keys; in their order.

    Joins the caller's transaction. A second statement reads the commands whose keys existed. Waits
    for a concurrent transaction with the same key. Raises Conflict `command_key_reused` (also for a
    key that occurs twice in the list with different content; the others are written by then, so the
    caller must roll back), Invalid `invalid_command` / `invalid_text`, and
    TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "a command is written in the transaction that decides it"
        )
    new = [_fields(command) for command in commands]
    if not new:
        return []
    rows = {row.key: row for row in EngineCommand.objects.raw(_INSERT, _columns(new))}
    existed = [fields["key"] for fields in new if fields["key"] not in rows]
    if existed:
        rows |= {row.key: row for row in EngineCommand.objects.filter(key__in=existed)}
    for fields in new:
        row = rows[fields["key"]]
        if any(getattr(row, name) != value for name, value in fields.items()):
            raise Conflict(
                filled(_("the key {key!r} belongs to another command"), key=row.key),
                code="command_key_reused",
            )
    return [rows[fields["key"]] for fields in new]


def command_enqueue(command: NewCommand) -> EngineCommand:
    """As `commands_enqueue`, for one command."""
    return commands_enqueue([command])[0]


def _fields(command: NewCommand) -> dict[str, Any]:
    """Return the row's fields as they are stored."""
    texts = {
        "key": command.key,
        "workflow_id": command.workflow_id,
        "workflow_type": command.workflow_type,
        "task_queue": command.task_queue,
        "name": command.name,
        "subject_type": command.subject_type,
        "subject_id": str(command.subject_id),
    }
    content = {"args": _as_json(list(command.args)), "options": _as_json(dict(command.options))}
    _check(texts, content)
    return {"kind": command.kind.value, **texts, **content}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    def column(name: str) -> list[Any]:
        return [fields[name] for fields in rows]

    return [
        *map(column, ("key", "kind", "workflow_id", "workflow_type", "task_queue", "name")),
        *([canonical_json(value) for value in column(name)] for name in ("args", "options")),
        *map(column, ("subject_type", "subject_id")),
        correlation.current(),
    ]


def _check(texts: Mapping[str, str], content: Mapping[str, Any]) -> None:
    for name in ("key", "workflow_id", "task_queue"):
        if not texts[name]:
            raise Invalid(filled(_("{name} must not be empty"), name=name), code="invalid_command")
    for name, most in _LENGTHS.items():
        if len(texts[name]) > most:
            raise Invalid(
                filled(_("{name} is longer than {most} characters"), name=name, most=most),
                code="invalid_command",
            )
    # PostgreSQL cannot store NUL, in text or in jsonb.
    if "\x00" in "".join(texts.values()) or "\\u0000" in canonical_json(content):
        raise Invalid(_("a command must not contain NUL characters"), code="invalid_text")


def _as_json(value: Any) -> Any:
    """Return JSON as the pydantic converter reads it: dataclasses as objects, Decimals and dates as
    text."""
    return plain(_without_dataclasses(value))


def _without_dataclasses(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {key: _without_dataclasses(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_dataclasses(item) for item in value]
    return value
