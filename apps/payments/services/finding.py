"""What an event in the quarantine is found by."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.payments.services.messages import Message
from apps.payments.services.payloads import document_in

#: Trigrams of longer texts cost more than they find.
LONGEST = 1000
#: Names of the payload that people look for.
NAMES = (
    *("provider_event_id", "provider", "event_type", "customer_id", "merchant_id"),
    *("payment_method_type", "failure_code"),
)


class Failing(Protocol):
    """A message that failed, as `quarantine.Failed` has it."""

    @property
    def message(self) -> Message: ...

    @property
    def event_id(self) -> str | None: ...

    @property
    def errors(self) -> Sequence[Mapping[str, str]]: ...

    @property
    def wrapped(self) -> bool: ...


def search_text_of(one: Failing) -> str:
    """Return the searchable text: ids and names of the payload, codes and sentences of what is
    wrong, and where the message was."""
    document = document_in(one.message.raw, wrapped=one.wrapped)
    names = [document.get(name) for name in NAMES] if isinstance(document, dict) else []
    texts = [
        one.event_id,
        *(name for name in names if isinstance(name, str)),
        *(text for error in one.errors for text in (error.get("code"), error.get("message"))),
        one.message.topic,
    ]
    found = " ".join(text for text in texts if text)
    return "".join(sign if sign.isprintable() else " " for sign in found)[:LONGEST]


def event_unknown() -> NotFound:
    """Return the refusal of an id that no quarantined event has."""
    return NotFound(
        _("There is no such event in the quarantine."), code="quarantined_event_not_found"
    )
