"""Models of Pix keys, by noun."""

from apps.pix.models.claims import Claim
from apps.pix.models.entries import Entry, EntryChange, EntryChangeStep, PossessionCode
from apps.pix.models.infractions import Infraction, InfractionSignal
from apps.pix.models.participants import DirectoryCall, DirectoryCursor, Participant
from apps.pix.models.rulebooks import ClaimRulebook
from apps.pix.models.sync import (
    CidEvent,
    SyncBucket,
    SyncChunk,
    SyncDifference,
    SyncRun,
    SyncVerdict,
)

__all__ = [
    "CidEvent",
    "Claim",
    "ClaimRulebook",
    "DirectoryCall",
    "DirectoryCursor",
    "Entry",
    "EntryChange",
    "EntryChangeStep",
    "Infraction",
    "InfractionSignal",
    "Participant",
    "PossessionCode",
    "SyncBucket",
    "SyncChunk",
    "SyncDifference",
    "SyncRun",
    "SyncVerdict",
]
