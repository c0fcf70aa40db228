"""Actors and outcomes of audit entries."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """Whether it was done, or refused with a code."""

    DONE = "done"
    REFUSED = "refused"


class Actor(Protocol):
    """Protocol of what an audit entry can name; `accounts.User` follows it."""

    @property
    def audit_id(self) -> str: ...


@dataclass(frozen=True)
class SystemActor:
    """A part of the system that acts without a person, e.g. a saga or the relay."""

    name: str

    @property
    def audit_id(self) -> str:
        return f"system:{self.name}"

    def __str__(self) -> str:
        return self.name


ENGINE = SystemActor("engine")
