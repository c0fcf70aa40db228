"""What an edit changes in an event, and how much a person has to answer for it. Pure functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apps.common.exact_json import written

#: More than a person reads; an edit that changes more is refused.
MOST_CHANGES = 200
LONGEST_VALUE = 400


class FieldClass(StrEnum):
    """`locked`: what the event is, which no edit changes; `sensitive`: money, people, status and
    times; `free`: the rest."""

    LOCKED = "locked"
    SENSITIVE = "sensitive"
    FREE = "free"


LOCKED = frozenset({"event_id", "provider_event_id"})
SENSITIVE = frozenset(
    {
        *("amount_cents", "currency", "status", "event_type", "provider"),
        *("customer_id", "merchant_id", "payment_method_type", "card_brand", "card_last_four"),
        *("provider_created_at", "processed_at", "schema_version"),
    }
)


@dataclass(frozen=True)
class Change:
    """A value that an edit changes. `before` and `after` are JSON, cut; None where there is no
    value."""

    path: str
    before: str | None
    after: str | None

    @property
    def field_class(self) -> FieldClass:
        name = self.path.partition(".")[0].partition("[")[0]
        if name in LOCKED:
            return FieldClass.LOCKED
        # The document as a whole has everything in it.
        return FieldClass.SENSITIVE if name in SENSITIVE or not name else FieldClass.FREE

    def as_json(self) -> dict[str, str | None]:
        return {"path": self.path, "before": self.before, "after": self.after}


def changes_of(before: Any, after: Any) -> list[Change]:
    """Return what differs, in the order of the paths; one more than MOST_CHANGES at most. A number
    that is written otherwise differs, and so do 1 and true."""
    found = []
    for change in _compared("", before, after):
        found.append(change)
        if len(found) > MOST_CHANGES:
            break
    return found


def class_of(changes: list[Change]) -> FieldClass:
    """Return the strictest class among the changes; `free` without any."""
    classes = {change.field_class for change in changes}
    return next((one for one in FieldClass if one in classes), FieldClass.FREE)


def visible(text: str, *, but: str = "") -> str:
    """Return the text with what nobody can see as escapes of JSON, `but` for these characters."""
    return "".join(
        sign if sign.isprintable() or sign in but else f"\\u{ord(sign):04x}" for sign in text
    )


def _compared(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            inner = f"{path}.{name}" if path else str(name)
            if name not in after:
                yield Change(inner, _shown(before[name]), None)
            elif name not in before:
                yield Change(inner, None, _shown(after[name]))
            else:
                yield from _compared(inner, before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            inner = f"{path}[{place}]"
            if place >= len(after):
                yield Change(inner, _shown(before[place]), None)
            elif place >= len(before):
                yield Change(inner, None, _shown(after[place]))
            else:
                yield from _compared(inner, before[place], after[place])
    elif written(before) != written(after):
        yield Change(path, _shown(before), _shown(after))


def _shown(value: Any) -> str:
    text = written(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
