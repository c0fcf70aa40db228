"""Names, statuses and values of cancelled trips and of what accompanies a trip. Standard library
only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from apps.engine.contracts import Between, Timings

#: The workflow of a cancellation, its subject and the kind of its signatures; the workflow that
#: accompanies a trip, under both of its names.
CANCELLATION_WORKFLOW = "TripCancellationWorkflow"
CANCELLATION, CANCELLATION_KIND = "trip_cancellation", "trip.cancellation"
FLEET_WORKFLOW, FLEET_ALIAS = "FleetWorkflow", "fleetWorkflow"
SIGNAL_TRIP_CHANGED = "trip_changed"


class CancellationStatus(StrEnum):
    """Status of a trip's cancellation. Once it is signed the trip is cancelled; the rest is a run
    over its bookings."""

    AWAITING_APPROVAL = "awaiting_approval"
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (
            CancellationStatus.COMPLETED,
            CancellationStatus.REJECTED,
            CancellationStatus.CANCELLED,
        )


class ItemStatus(StrEnum):
    """Status of a booking on a cancelled trip."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class CancellationRef:
    """Input of the workflow of a trip's cancellation. `chunk`: the most bookings at once."""

    cancellation_id: Annotated[str, Between(1, 36)]
    timings: Timings = field(default_factory=Timings)
    chunk: Annotated[int, Between(1, 10_000)] = 100


@dataclass(frozen=True)
class CancellationChunk:
    """The next bookings to cancel: at most `limit`, none after `seconds`."""

    cancellation_id: str
    limit: int
    seconds: float


@dataclass(frozen=True)
class CancellationProgress:
    """How far the bookings of a cancelled trip are. `over`: the run is not, or no more, running."""

    status: str
    over: bool
    done: int = 0
    failed: int = 0


@dataclass(frozen=True)
class FleetRef:
    """Input of the workflow that accompanies a trip."""

    tripId: Annotated[str, Between(1, 36)]
    timings: Timings = field(default_factory=Timings)


class FleetStep(StrEnum):
    """What is done for a trip at its times, in order; the names of the activities."""

    OPEN_MANIFEST = "openManifest"
    CLOSE_SALES = "closeSales"
    HAND_OVER_MANIFEST = "handOverManifest"
    CLOSE_TRIP = "closeTrip"


@dataclass(frozen=True)
class FleetInput:
    """Do what is due for the trip at `as_of`, by the workflow's clock."""

    trip_id: str
    as_of: datetime


@dataclass(frozen=True)
class FleetFacts:
    """What comes next for a trip, and when. Empty: nothing any more. `status`: the trip's."""

    status: str
    step: str = ""
    due_at: datetime | None = None
