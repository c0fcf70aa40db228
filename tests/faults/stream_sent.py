"""What a fault test sends to a stream, and what must become of each message. Everything follows
from a number and a seed: nothing here asks the program."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

from apps.payments.contracts import STATUSES, Scoring
from apps.simulators.inference import score_of

BLOCKED = "blocked-by-a-fault-test"
#: In an id that PostgreSQL is told to refuse (`stream.REFUSE`).
UNSTORABLE = "unstorable"
TOO_LARGE = 1024 * 1024 + 1
GOOD, TWIN = "good", "twin"


@dataclass(frozen=True)
class Sent:
    """A message: where to, and what must become of it. `becomes`: GOOD, TWIN, or the code of its
    row in the quarantine, which is of `stage`. `dead`: to the topic of dead letters."""

    event_id: str
    value: bytes | None = field(repr=False)
    becomes: str
    stage: str = ""
    dead: bool = False
    event: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> bytes:
        """Messages of one event come in the order in which they were sent."""
        return self.event_id.encode()

    @property
    def digest(self) -> str:
        return sha256(self.value or b"").hexdigest()

    def scores(self) -> dict[str, dict[str, Any]]:
        """The scores that the event must have, by step, as the simulator gives them."""
        wanted = STATUSES[self.event["status"].lower()]
        steps = ["churn", *([wanted.value] if wanted is not Scoring.NEITHER else [])]
        return {step: score_of(step, self.event_id) for step in steps}


def an_event(event_id: str, number: int, **changes: Any) -> dict[str, Any]:
    """A good one; a change to None leaves a field out."""
    statuses = list(STATUSES)
    event = {
        "event_id": event_id,
        "provider": ("stripe", "adyen", "paystack")[number % 3],
        "provider_event_id": f"evt_{number}",
        "event_type": "payment",
        "status": statuses[number % len(statuses)],
        "currency": ("usd", "EUR", "ngn")[number % 3],
        "amount_cents": 1 + number,
        "customer_id": f"c-{number % 50}",
        "merchant_id": f"m-{number % 7}",
        "payment_method_type": "card",
        "metadata": {"number": number},
        "provider_created_at": "2026-01-01T10:00:00Z",
        "processed_at": "2026-01-01T10:00:01Z",
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def raw(event: Any) -> bytes:
    return json.dumps(event).encode()


# --- what is bad: (id, number) → the message's bytes ----------------------------------------------
Bad = Callable[[str, int], bytes | None]


def _with(**changes: Any) -> Bad:
    return lambda event_id, number: raw(an_event(event_id, number, **changes))


def _text(pattern: str) -> Bad:
    return lambda event_id, number: pattern.replace("ID", event_id).encode()


#: Code → how. Those that are no event, or cannot be taken in.
READ: dict[str, Bad] = {
    "not_json": _text('{"event_id": "ID"'),
    "duplicate_key": _text('{"event_id": "ID", "amount_cents": 1, "amount_\\u0063ents": 999}'),
    "too_deep": _text('{"event_id": "ID", "metadata": ' + '{"a":' * 300 + "1" + "}" * 301),
    "too_large": _with(padding="x" * TOO_LARGE),
    "invalid_text": _with(failure_message="a\0b"),
    "event_id_missing": lambda event_id, number: raw(
        {**an_event(event_id, number), "event_id": None, "was": event_id}
    ),
    "event_id_invalid": lambda event_id, number: raw(an_event(f"é {event_id}", number)),
    "event_id_reserved": lambda event_id, number: raw(
        an_event(f"intervention-{event_id}-execution", number)
    ),
    "wrong_type": _with(amount_cents="12"),
    "schema_unknown": _with(schema_version=2),
    "unstorable": lambda event_id, number: raw(an_event(f"{event_id}:{UNSTORABLE}", number)),
}
#: Messages of a kind of their own with the same code.
MORE_READ: list[tuple[str, Bad]] = [
    ("not_json", lambda event_id, number: None),
    ("not_json", lambda event_id, number: b"\xff\xfe{\x00}\x00"),
    ("not_json", lambda event_id, number: b""),
    ("wrong_type", _with(metadata={"n": 1.0, "huge": int("9" * 60)})),
    ("wrong_type", lambda event_id, number: raw([event_id])),
]
#: Those that fail a rule.
RULES: dict[str, Bad] = {
    "required_fields": _with(provider=None),
    "amount_bounds": _with(amount_cents=0),
    "currency_allowed": _with(currency="XXX"),
    "status_unknown": _with(status="thrilled"),
    "timestamp_bounds": _with(provider_created_at="2999-01-01T00:00:00Z"),
    "method_known": _with(payment_method_type="cowries"),
    "customer_blocklist": _with(customer_id=BLOCKED),
    "merchant_blocklist": _with(merchant_id=BLOCKED),
}


def _dead(event_id: str, number: int) -> bytes:
    return raw(
        {
            "event_id": event_id,
            "original_payload": an_event(event_id, number),
            "validation_errors": [{"code": "amount_bounds", "field": "amount_cents"}],
        }
    )


#: Of the topic of dead letters.
DEAD: dict[str, Bad] = {"amount_bounds": _dead, "upstream": _with()}
#: Every kind in turn: code, stage, how. `event_id_reused` is made from an event that is good.
KINDS: list[tuple[str, str, Bad]] = [
    *((code, "read", how) for code, how in [*READ.items(), *MORE_READ]),
    *((code, "validate", how) for code, how in RULES.items()),
    *((code, "upstream", how) for code, how in DEAD.items()),
    ("event_id_reused", "intake", _with(amount_cents=77_777_777)),
]


def bad(run: str, number: int) -> Sent:
    """The bad message of that number, but for one with another's id."""
    code, stage, how = KINDS[number % len(KINDS)]
    event_id = f"{run}:bad_{number:06}"
    return Sent(event_id, how(event_id, number), code, stage, dead=stage == "upstream")


def good(run: str, number: int) -> Sent:
    event_id = f"{run}:evt_{number:06}"
    event = an_event(event_id, number)
    return Sent(event_id, raw(event), GOOD, event=event)


def followed(first: Sent, number: int, *, twin: bool) -> Sent:
    """A later message with the id of a good event: the same, or with other content."""
    if twin:
        event = {**first.event, "processed_at": f"2026-01-02T10:00:{number % 60:02}Z"}
        return Sent(first.event_id, raw(event), TWIN)
    event = {**first.event, "amount_cents": 77_777_777}
    return Sent(first.event_id, raw(event), "event_id_reused", "intake")


def messages(
    run: str, size: int, *, bad_share: float = 0.02, twin_share: float = 0.05
) -> list[Sent]:
    """So many messages, in an order of their own but the same for the same `run`: the shares that
    are bad, of all kinds in turn, and twins."""
    random = Random(run)
    bads, twins = round(size * bad_share), round(size * twin_share)
    goods = [good(run, number) for number in range(size - bads - twins)]
    reused = [number for number in range(bads) if KINDS[number % len(KINDS)][1] == "intake"]
    alone = [bad(run, number) for number in range(bads) if number not in set(reused)]
    placed = [(random.random(), one) for one in [*goods, *alone]]
    at = {one.event_id: place for place, one in placed}
    # No event is both sent twice and contradicted: which of the two came first would not matter,
    # but one figure would hide the other.
    chosen = random.sample(goods, twins + len(reused))
    for number, first in enumerate(chosen):
        place = random.uniform(at[first.event_id], 1)
        later = followed(first, number, twin=number < twins)
        placed.append((place, later))
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def hostile(run: str, goods: int, after: int) -> tuple[list[Sent], list[Sent]]:
    """`goods` good events with every kind of bad one among them, each twice; and good ones that
    come later."""
    kept = [good(run, number) for number in range(goods)]
    mixed: list[Sent] = list(kept)
    step = max(1, goods // (2 * len(KINDS) + 1))
    for number in range(2 * len(KINDS)):
        one = (
            followed(kept[number // len(KINDS)], number, twin=False)
            if KINDS[number % len(KINDS)][1] == "intake"
            else bad(run, number)
        )
        mixed.insert(2 + number * (step + 1), one)
    return mixed, [good(run, goods + number) for number in range(after)]


def of(sent: Sequence[Sent], becomes: str) -> list[Sent]:
    return [one for one in sent if one.becomes == becomes and not one.stage]
