"""Payment events as they came, as they are kept, and those that failed."""

from apps.payments.models.batches import BatchScores, PaymentBatch
from apps.payments.models.edits import QuarantineEdit
from apps.payments.models.events import Intake, PaymentEvent
from apps.payments.models.inference import InferenceBreaker
from apps.payments.models.quarantine import (
    QuarantineAttempt,
    QuarantinedEvent,
    QuarantineGroup,
    QuarantineHour,
)
from apps.payments.models.replays import ReplayItem, ReplayRun
from apps.payments.models.rules import PaymentRule

__all__ = [
    "BatchScores",
    "InferenceBreaker",
    "Intake",
    "PaymentBatch",
    "PaymentEvent",
    "PaymentRule",
    "QuarantineAttempt",
    "QuarantineEdit",
    "QuarantineGroup",
    "QuarantineHour",
    "QuarantinedEvent",
    "ReplayItem",
    "ReplayRun",
]
