"""What crosses between claims and their workflow. Standard library only.

Keys and owners never cross once a claim has its row: they are personal data, and the engine keeps
its histories.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from apps.approvals.contracts import Waiting
from apps.engine.contracts import Between, Timings
from apps.pix.contracts import LONGEST_ID

CLAIM_KIND, CLAIM_ATTENTION_KIND, CLAIM_SIGNAL_KIND = (
    "pix.claim",
    "pix.claim_attention",
    "pix.claim_signal",
)
#: Signals from outside: the donor's decision.
SIGNAL_CONFIRM, SIGNAL_CANCEL = "confirm", "cancel"
#: The kind of notification about the end of a claim.
CLAIM_ENDED = "claim.ended"
#: Wakes the workflow: the row has changed.
SIGNAL_CHANGED = "claim_changed"


@dataclass(frozen=True)
class ClaimRequest:
    """Input of the workflow. Whoever starts it by hand gives the first five fields, and more if the
    directory is to know of it; where the claim has its row, the row counts."""

    claim_id: Annotated[str, Between(1, LONGEST_ID)]
    claim_type: str = ""
    claimer_ispb: str = ""
    donor_ispb: str = ""
    entry_id: str = ""
    key: str = ""
    key_type: str = ""
    claimer_account: Any = None
    claimer: Any = None
    requested_by: str = ""
    rulebook: str = ""


@dataclass(frozen=True)
class ClaimOpening:
    """Open the claim of this workflow at `as_of`, the workflow's clock."""

    workflow_id: str
    request: ClaimRequest
    as_of: datetime


@dataclass(frozen=True)
class OutsideSignal:
    """A signal that somebody sent to the workflow: `number` counts those of its run."""

    name: str
    run_id: str
    number: int
    argument: Any = None


@dataclass(frozen=True)
class ClaimLook:
    """Look at the row at `as_of`; `signals`: commands of the signals received since the last look;
    `outside`: a decision from outside, to be taken first."""

    row_id: str
    workflow_id: str
    as_of: datetime
    signals: tuple[str, ...] = ()
    outside: OutsideSignal | None = None


@dataclass(frozen=True)
class ClaimFacts(Waiting):
    """State of a claim, as its workflow reads it.

    `step`: what the workflow does next: tell, confirm, complete, cancel, expire, finish, wait, or
    nothing once it is over. `due_at`: when the rulebook's clock acts next; `due_seconds`: how long
    until then, exactly the rulebook's period where it has just begun. `joins`: another workflow
    carries the claim. `outbound`: a step may call the directory.
    """

    row_id: str = ""
    claim_id: str = ""
    entry_id: str = ""
    step: str = ""
    due_at: datetime | None = None
    due_seconds: float | None = None
    joins: bool = False
    outbound: bool = False
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class ClaimResult:
    """Result of the workflow: how the claim ended, and why if it was not completed."""

    claim_id: str
    status: str
    code: str = ""
    detail: str = ""
