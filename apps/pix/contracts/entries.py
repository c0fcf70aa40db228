"""What crosses between the services of entries and their workflows. Standard library only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from apps.engine.contracts import Between, Timings
from apps.pix.contracts import LONGEST_ID, ChangeKind, ChangeStatus

ATTENTION_KIND = "entry_change.attention"
#: Wakes a creation whose owner has proved to have the phone or mailbox, or is to prove it later.
SIGNAL_POSSESSION = "possession_changed"
#: The workflows give up after a day; a call of an activity has 30 s.
DAY, CALL = 24 * 3600.0, 30.0
#: The directory's word for what people and programs here ask for.
USER_REQUESTED = "USER_REQUESTED"

Word = Annotated[str, Between(0, 100)]


class Step(StrEnum):
    """Steps of a change, in their order."""

    POSSESSION = "possession"
    DIRECTORY = "directory"
    ENTRY = "entry"


class CallState(StrEnum):
    """What is known of a change's call. `sent`: its answer is not known."""

    NEVER = ""
    SENT = "sent"
    DONE = "done"


def _timings() -> Timings:
    return Timings(activity=CALL, heartbeat=CALL, deadline=DAY)


@dataclass(frozen=True)
class AccountGiven:
    """An account as it is typed or sent; the services clean it."""

    participant: Word = ""
    branch: Word | None = None
    number: Word = ""
    type: Word = ""


@dataclass(frozen=True)
class OwnerGiven:
    """An owner as typed or sent; the services clean it."""

    type: Word = ""
    tax_id: Word = ""
    name: str = ""
    trade_name: str | None = None


@dataclass(frozen=True)
class CreateEntryRequest:
    """Input of `CreateEntryWorkflow`: the shape of the API. A row that is there wins over it, so
    that the site's own starts name nothing: a key would be read in the engine."""

    key_type: Word = ""
    key: Annotated[str, Between(0, 200)] | None = None
    account: AccountGiven = field(default_factory=AccountGiven)
    owner: OwnerGiven = field(default_factory=OwnerGiven)
    entry_id: Annotated[str, Between(0, LONGEST_ID)] = ""
    reason: Word = USER_REQUESTED
    timings: Timings = field(default_factory=_timings)


@dataclass(frozen=True)
class UpdateEntryRequest:
    """Input of `UpdateEntryWorkflow`: what is left out stays as it is."""

    entry_id: Annotated[str, Between(0, LONGEST_ID)] = ""
    account: AccountGiven | None = None
    owner: OwnerGiven | None = None
    reason: Word = USER_REQUESTED
    timings: Timings = field(default_factory=_timings)


@dataclass(frozen=True)
class DeleteEntryRequest:
    """Input of `DeleteEntryWorkflow`."""

    entry_id: Annotated[str, Between(0, LONGEST_ID)] = ""
    reason: Word = USER_REQUESTED
    timings: Timings = field(default_factory=_timings)


Request = CreateEntryRequest | UpdateEntryRequest | DeleteEntryRequest


@dataclass(frozen=True)
class OpenInput:
    """Find or make the row of a workflow. The request of `kind` is there."""

    workflow_id: str
    kind: ChangeKind
    as_of: datetime
    create: CreateEntryRequest | None = None
    update: UpdateEntryRequest | None = None
    delete: DeleteEntryRequest | None = None


@dataclass(frozen=True)
class ChangeInput:
    """Input of steps that need only the change. `as_of` is the workflow's clock."""

    change_id: str
    as_of: datetime


@dataclass(frozen=True)
class EndInput:
    """End a change that came to nothing, and why; or ask a person about it."""

    change_id: str
    as_of: datetime
    code: str
    detail: str
    status: ChangeStatus = ChangeStatus.FAILED


@dataclass(frozen=True)
class OwnershipInput:
    """Give the entry of a completed claim to its claimer. `owned_since`, `created_at`: of the
    directory, where it was asked."""

    claim: str
    as_of: datetime
    created_at: datetime | None = None
    owned_since: datetime | None = None


@dataclass(frozen=True)
class ChangeFacts:
    """What the database knows of a change. No key: histories are read by many.

    `code_until`: until when its code is waited for; `call`: a CallState; `attention`: status of the
    newest review item.
    """

    change_id: str
    entry_id: str
    status: str
    entry_status: str
    code_until: datetime | None = None
    call: str = ""
    attention: str = ""
    code: str = ""
    detail: str = ""

    @property
    def settled(self) -> bool:
        """Return whether nothing is left to do."""
        return ChangeStatus(self.status).ended

    @property
    def waits(self) -> bool:
        """Return whether its owner has yet to prove to have the phone or mailbox."""
        return self.status == ChangeStatus.WAITING


@dataclass(frozen=True)
class EntryResult:
    """Result of the workflows: the entry's status, and why nothing was changed."""

    entry_id: str
    status: str
    change: str
    code: str = ""
    error: str = ""
