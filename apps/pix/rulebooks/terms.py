"""The words of rulebooks, and what goes into and comes out of the machine. Standard library only.

All times are aware datetimes.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from apps.pix.contracts import ClaimType, Role


class ClaimStatus(StrEnum):
    """Those of all rulebooks; each reaches only its own. In the order in which a claim goes."""

    OPEN = "OPEN"
    WAITING_RESOLUTION = "WAITING_RESOLUTION"
    CONFIRMED = "CONFIRMED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def terminal(self) -> bool:
        return self in {ClaimStatus.COMPLETED, ClaimStatus.CANCELLED, ClaimStatus.EXPIRED}


class Event(StrEnum):
    """ELAPSE is the clock's: what happens when nobody has acted in time."""

    OPEN = "open"
    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    COMPLETE = "complete"
    CANCEL = "cancel"
    ELAPSE = "elapse"


class Actor(StrEnum):
    """Who acts. SIGNAL: somebody outside, by a signal to the engine that says no side."""

    DONOR = "DONOR"
    CLAIMER = "CLAIMER"
    CLOCK = "CLOCK"
    SIGNAL = "SIGNAL"

    @property
    def role(self) -> Role | None:
        """The side that acts; None for the clock and a signal, which are on none themselves."""
        return Role(self.value) if self in {Actor.DONOR, Actor.CLAIMER} else None


class Reason(StrEnum):
    USER_REQUESTED = "USER_REQUESTED"
    ACCOUNT_CLOSURE = "ACCOUNT_CLOSURE"
    FRAUD = "FRAUD"
    DEFAULT_OPERATION = "DEFAULT_OPERATION"
    RFB_VALIDATION = "RFB_VALIDATION"
    RECONCILIATION = "RECONCILIATION"


class Period(StrEnum):
    """RESOLUTION: the donor's, from opening. COMPLETION: begins where RESOLUTION ends; until its
    end an ownership claim is not completed. POSSESSION: the claimer's, from opening."""

    RESOLUTION = "resolution"
    COMPLETION = "completion"
    POSSESSION = "possession"


class Effect(StrEnum):
    """What a move has to do besides changing the status."""

    CREATE_CLAIM = "create_claim"
    NOTIFY_DONOR = "notify_donor"
    SEND_CONFIRMATION = "send_confirmation"
    REMOVE_DONOR_ENTRY = "remove_donor_entry"
    #: The donor's entry becomes the claimer's in one step.
    MOVE_ENTRY = "move_entry"
    CREATE_CLAIMER_ENTRY = "create_claimer_entry"
    KEEP_OWNERSHIP_DATE = "keep_ownership_date"
    RESET_OWNERSHIP_DATE = "reset_ownership_date"
    #: The machine does it: the dates of the move have it.
    COMPLETION_ENDS_NOW = "completion_ends_now"
    #: The directory makes the claimer's entry under a request id of its own.
    NEW_REQUEST_ID = "new_request_id"


@dataclass(frozen=True)
class Dates:
    """Ends of the periods; None where the rulebook's type of claim has no such period."""

    resolution_ends_at: datetime | None
    completion_ends_at: datetime | None = None
    possession_ends_at: datetime | None = None

    def of(self, period: Period) -> datetime | None:
        """Return the end of the period."""
        return {
            Period.RESOLUTION: self.resolution_ends_at,
            Period.COMPLETION: self.completion_ends_at,
            Period.POSSESSION: self.possession_ends_at,
        }[period]


@dataclass(frozen=True)
class ClaimFacts:
    """What the machine has to know of a claim. The ends are the directory's where it gave them;
    None: the rulebook's, counted from `opened_at`."""

    claim_type: ClaimType
    status: ClaimStatus
    opened_at: datetime
    resolution_ends_at: datetime | None = None
    completion_ends_at: datetime | None = None
    possession_ends_at: datetime | None = None


@dataclass(frozen=True)
class Started:
    """A claim that may be opened: its first status, and when its periods end."""

    status: ClaimStatus
    effects: tuple[Effect, ...]
    dates: Dates

    @property
    def resolution_ends_at(self) -> datetime | None:
        return self.dates.resolution_ends_at

    @property
    def completion_ends_at(self) -> datetime | None:
        return self.dates.completion_ends_at

    @property
    def possession_ends_at(self) -> datetime | None:
        return self.dates.possession_ends_at


@dataclass(frozen=True)
class Move:
    """What an event makes of a claim. `role` is the side that acted, the clock for one included;
    None: the engine, by a signal or by an expiry that is nobody's."""

    event: Event
    status: ClaimStatus
    effects: tuple[Effect, ...]
    dates: Dates
    reason: str
    role: Role | None


@dataclass(frozen=True)
class Due:
    """What the clock does next, unless somebody acts before `at`. `reason` as `move` takes it."""

    event: Event
    actor: Actor
    role: Role | None
    reason: Reason
    at: datetime


@dataclass(frozen=True)
class Choice:
    """An event that an actor may choose now, with its reasons. Without reasons none is given;
    `any_reason`: any text, or none."""

    event: Event
    reasons: tuple[Reason, ...] = ()
    any_reason: bool = False
