"""People, accounts and calls that the tests of the directory's rules share."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.bridge.shapes import (
    CompletedClaim,
    DirectoryAccount,
    DirectoryClaim,
    DirectoryEntry,
    DirectoryOwner,
)
from tests.directory import OTHER, OURS, SimulatedDirectory

PERSON = DirectoryOwner("NATURAL_PERSON", "11122233396", "João Silva")
STRANGER = DirectoryOwner("NATURAL_PERSON", "98765432100", "Joana Pereira Lima")
COMPANY = DirectoryOwner("LEGAL_PERSON", "11222333000181", "Padaria Aurora Ltda", "Aurora")
PHONE = "+5561988880000"


def account(participant: str = OURS, number: str = "0007654321") -> DirectoryAccount:
    return DirectoryAccount(participant, number, "CACC", "0001")


def create(directory: SimulatedDirectory, key: str = PHONE, **other: Any) -> DirectoryEntry:
    """Register a phone of PERSON's at OURS, or what else is said."""
    participant = other.pop("participant", OURS)
    words: dict[str, Any] = {
        "request_id": str(uuid4()),
        "key_type": "PHONE",
        "account": account(participant),
        "owner": PERSON,
        "reason": "USER_REQUESTED",
    }
    return directory.client.entry_create(participant=participant, key=key, **{**words, **other})


def claim(
    directory: SimulatedDirectory, type: str, *, by: str = OTHER, key: str = "", **other: Any
) -> DirectoryClaim:
    """Claim PHONE of OURS: for STRANGER, or (PORTABILITY) for PERSON."""
    words: dict[str, Any] = {
        "key_type": "PHONE",
        "claimer_account": account(by, "99"),
        "claimer": STRANGER if type == "OWNERSHIP" else PERSON,
    }
    return directory.client.claim_create(
        participant=by, type=type, key=key or PHONE, **{**words, **other}
    )


def claim_in(
    directory: SimulatedDirectory, type: str, state: str, *, by: str = OTHER
) -> DirectoryClaim:
    """A claim that has come to that state by its own way, the donor being OURS."""
    create(directory)
    made = claim(directory, type, by=by)
    if state == "OPEN":
        return made
    if state == "CANCELLED":
        return cancel(directory, made, by, "FRAUD")
    made = directory.client.claim_acknowledge(participant=OURS, claim_id=made.id)
    if state == "WAITING_RESOLUTION":
        return made
    made = confirm(directory, made, OURS, "USER_REQUESTED")
    if state == "CONFIRMED":
        return made
    return complete(directory, made, by).claim


def confirm(
    directory: SimulatedDirectory, made: DirectoryClaim, by: str, reason: str
) -> DirectoryClaim:
    return directory.client.claim_confirm(participant=by, claim_id=made.id, reason=reason)


def cancel(
    directory: SimulatedDirectory, made: DirectoryClaim, by: str, reason: str
) -> DirectoryClaim:
    return directory.client.claim_cancel(participant=by, claim_id=made.id, reason=reason)


def complete(
    directory: SimulatedDirectory, made: DirectoryClaim, by: str, request_id: str = ""
) -> CompletedClaim:
    return directory.client.claim_complete(
        participant=by, claim_id=made.id, request_id=request_id or str(uuid4())
    )


def refusal(call: Callable[..., Any], *args: Any, **words: Any) -> str:
    """The directory's own word for why not; "" when it did it."""
    try:
        call(*args, **words)
    except DirectoryRefused as refused:
        return refused.problem_type
    return ""
