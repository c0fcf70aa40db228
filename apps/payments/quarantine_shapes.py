"""What the API of the quarantine takes and answers."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

from apps.common.api import Key, Unjudged
from apps.payments.contracts import EditStatus, QuarantineState
from apps.payments.differences import FieldClass
from apps.payments.services.imports import LineOutcome


class Problem(Schema):
    code: str
    field: str = ""
    message: str = ""


class QuarantinedOut(Schema):
    """A message that failed. `code` and `field` are those of the first of `errors`; `event_id` is
    null where none could be read; `seen`: how often the message came."""

    id: UUID
    event_id: str | None
    state: QuarantineState
    stage: str
    code: str
    field: str
    errors: list[Problem]
    group: int
    attempt: int
    seen: int
    size: int
    source: str
    topic: str
    partition: int | None
    offset: str
    created_at: datetime


class AttemptOut(Schema):
    """How an event failed. `version`: what was carried; 0: as it came."""

    number: int
    version: int
    stage: str
    code: str
    field: str
    errors: list[Problem]
    failed_at: datetime


class QuarantinedDetail(QuarantinedOut):
    """With `raw`, the bytes as they came, in base64; null without the permission to see contents,
    for a message without a value, and when they are deleted (`raw_deleted_at`)."""

    raw: str | None
    raw_deleted_at: datetime | None
    digest: str
    attempts: list[AttemptOut]


class EditIn(Schema):
    """`text`: the whole event as JSON, kept digit by digit."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=2 * 1024 * 1024)]
    reason: Unjudged = ""
    idempotency_key: Key = ""


class ChangeOut(Schema):
    """A value that differs from the event as it came, as JSON; empty where there is none."""

    path: str
    before: str
    after: str


class EditOut(Schema):
    """A version of an event. `text` and the values of `changes` need the permission to see
    contents."""

    id: UUID
    number: int
    status: EditStatus
    field_class: FieldClass
    digest: str
    base: str
    changes: list[ChangeOut]
    text: str | None
    reason: str
    requested_by: str
    created_at: datetime
    settled_at: datetime | None
    approval: UUID | None


class EditPage(Schema):
    items: list[EditOut]
    next: str | None


class TrialIn(Schema):
    """`text`: an event to try in place of the newest version."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str | None, Field(max_length=2 * 1024 * 1024)] = None


class TrialOut(Schema):
    """What a replay would do: keep the event (`code` is empty), or fail. `failures`: of all rules;
    `known`: where another event has its id; `row`: what would be written, without scores."""

    event: UUID
    event_id: str | None
    version: int
    code: str
    detail: str
    failures: list[Problem]
    known: str
    row: dict[str, Any]


class ImportPlace(Schema):
    reason: Unjudged = ""


class ImportedOut(Schema):
    """What became of a line. `version`: the number of the edit; `code` and `detail` say why one was
    refused."""

    line: int
    outcome: LineOutcome
    row: UUID | None
    version: int | None
    code: str
    detail: str


class ImportedAll(Schema):
    """In the order of the lines."""

    items: list[ImportedOut]


class QuarantinedPage(Schema):
    items: list[QuarantinedOut]
    next: str | None


class GroupOut(Schema):
    """Events that failed alike, counted by state."""

    id: int
    stage: str
    code: str
    field: str
    open: int
    replaying: int
    replayed: int
    discarded: int
    superseded: int
    retargeted: int
    first_at: datetime
    last_at: datetime


class GroupPage(Schema):
    items: list[GroupOut]
    next: str | None


class Reason(Schema):
    """Why, in a sentence."""

    model_config = ConfigDict(extra="forbid")

    reason: str = ""


class Retarget(Schema):
    """Where the message goes, and why."""

    model_config = ConfigDict(extra="forbid")

    topic: str = ""
    reason: str = ""
