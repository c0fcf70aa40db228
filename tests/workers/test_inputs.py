"""What fits a type hint, and what does not. No server."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter

from apps.engine.contracts import Between, Count, Seconds, SignalEnvelope
from workers.inputs import MOST_BYTES, MOST_TEXT, Misfit, signature_of

CONVERTER = pydantic_data_converter.payload_converter


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    seconds: Seconds = 1.0


@dataclass(frozen=True)
class Thing:
    name: str
    inner: Inner = field(default_factory=Inner)
    at: datetime | None = None
    numbers: tuple[int, ...] = ()
    pair: tuple[int, str] | None = None
    colour: Colour = Colour.RED
    on: bool = False
    some: Count = 1
    which: int | str = 0
    words: dict[str, str] = field(default_factory=dict)
    text: Annotated[str, Between(1, 1_000)] = "x"
    id: UUID | None = None
    mode: Literal["a", "b"] = "a"


def takes(thing: Thing) -> None: ...


def takes_none() -> None: ...


def takes_more(name: str, number: int = 0) -> None: ...


def json(data: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=data.encode())


def misfit(fn: Any, *payloads: Payload | str) -> str:
    given = [json(one) if isinstance(one, str) else one for one in payloads]
    try:
        signature_of(fn, method=False).check(given, CONVERTER)
    except Misfit as error:
        return str(error)
    return ""


FITS = (
    '{"name": "x"}',
    '{"name": "", "inner": {}, "at": null, "numbers": [1, 2], "pair": [1, "x"], "on": true}',
    '{"name": "x", "inner": {"seconds": 3}, "at": "2026-01-31T09:30:00+00:00", "colour": "red"}',
    '{"name": "x", "at": "2026-01-31T09:30:00Z", "which": "x", "words": {"a": "b"}, "mode": "b"}',
    '{"name": "x", "id": "0198f7a0-0000-7000-8000-000000000000", "text": "' + 900 * "x" + '"}',
    # During a deployment the next version's inputs have fields more.
    '{"name": "x", "not_known_yet": {"a": 1}}',
)
#: What is sent, and the word of ours that says why not.
MISFITS = {
    "null": "not an object",
    "7": "not an object",
    '"x"': "not an object",
    "[]": "not an object",
    "{}": "name is missing",
    '{"stranger": 1}': "name is missing",
    '{"name": 7}': "name is not a text",
    '{"name": null}': "name is not a text",
    '{"name": "x", "inner": {"stranger": 1}}': "inner has none of the declared fields",
    '{"name": "x", "inner": {"seconds": 0}}': "seconds is not between",
    '{"name": "x", "inner": {"seconds": -5}}': "seconds is not between",
    '{"name": "x", "inner": {"seconds": "3"}}': "seconds is not a number",
    '{"name": "x", "inner": {"seconds": true}}': "seconds is not a number",
    '{"name": "x", "inner": {"seconds": NaN}}': "NaN or Infinity",
    '{"name": "x", "inner": {"seconds": -Infinity}}': "NaN or Infinity",
    '{"name": "x", "inner": {"seconds": 1e999}}': "a number beyond",
    '{"name": "x", "inner": {"seconds": 1e300}}': "a number beyond",
    '{"name": "x", "some": 2147483648}': "a number beyond",
    '{"name": "x", "some": ' + 5_000 * "9" + "}": "a number beyond",
    '{"name": "x", "some": 1.0}': "some is not a whole number",
    '{"name": "x", "some": 0}': "some is not between",
    '{"name": "x", "at": 0}': "not a moment",
    '{"name": "x", "at": "2026-01-31T09:30:00"}': "not a moment with its offset",
    # Python's own reading of a date takes it, the converter's does not.
    '{"name": "x", "at": "2026-W05-6T09:30:00+00:00"}': "cannot be decoded",
    '{"name": "x", "numbers": {}}': "numbers is not a list",
    '{"name": "x", "numbers": [1, "2"]}': "numbers[2] is not a whole number",
    '{"name": "x", "pair": [1]}': "pair is not a list of 2",
    '{"name": "x", "colour": "blue"}': "one of the declared values",
    '{"name": "x", "colour": ["red"]}': "one of the declared values",
    '{"name": "x", "mode": "c"}': "one of the declared values",
    '{"name": "x", "on": 1}': "not true or false",
    '{"name": "x", "which": 1.5}': "none of the declared types",
    '{"name": "x", "words": {"a": 1}}': "not a text",
    '{"name": "x", "words": []}': "words is not an object",
    '{"name": "x", "id": "x"}': "not a UUID",
    '{"name": "x", "text": ""}': "has not 1 to 1,000 characters",
    '{"name": "a\\u0000b"}': "NUL",
    '{"name": "\\ud800"}': "half a surrogate pair",
    '{"name": "x", "new": "\\u0000"}': "NUL",
    '{"name": "' + (MOST_TEXT + 1) * "x" + '"}': "has not 0 to 400 characters",
    '{"name": "' + 100 * "\U0001f600" + '"}': "more than 900 bytes",
    '{"name": "' + MOST_BYTES * "x" + '"}': "more than 65,536 bytes",
    "{": "not JSON",
    "": "not JSON",
    20_000 * "[": "not JSON",
    '{"name": "x"} {}': "not JSON",
}


@pytest.mark.parametrize("data", FITS)
def test_what_fits_is_let_through(data: str) -> None:
    assert misfit(takes, data) == ""


@pytest.mark.parametrize("data", MISFITS, ids=lambda data: str(data)[:50])
def test_what_does_not_fit_is_refused_without_being_quoted(data: str) -> None:
    said = misfit(takes, data)
    assert MISFITS[data] in said
    assert len(said) < 100
    assert "stranger" not in said


def test_the_number_of_arguments_counts() -> None:
    assert misfit(takes) == "no arguments given, 1 argument taken"
    assert misfit(takes, FITS[0], FITS[0]) == "2 arguments given, 1 argument taken"
    assert misfit(takes_none) == ""
    assert misfit(takes_none, "null") == "1 argument given, no arguments taken"
    assert misfit(takes_more, '"x"') == misfit(takes_more, '"x"', "1") == ""
    assert misfit(takes_more) == "no arguments given, 1 to 2 arguments taken"


@pytest.mark.parametrize("encoding", [b"", b"binary/plain", b"binary/encrypted", b"json/protobuf"])
def test_what_is_not_json_is_refused(encoding: bytes) -> None:
    payload = Payload(metadata={"encoding": encoding}, data=FITS[0].encode())
    assert misfit(takes, payload) == "is not JSON"


def test_the_clients_own_null_is_a_null() -> None:
    payload = CONVERTER.to_payload(None)
    assert misfit(takes, payload) == "argument 1 is not an object"


def test_bytes_that_are_no_text_are_refused() -> None:
    for data in (b"\xff\xfe{", '{"name": "x"}'.encode("utf-16")):
        payload = Payload(metadata={"encoding": b"json/plain"}, data=data)
        assert misfit(takes, payload) == "is not JSON"


def test_what_our_own_client_sends_fits() -> None:
    for sent in (Thing("x", at=datetime.fromisoformat("2026-01-31T09:30:00+00:00")), Thing("x")):
        assert misfit(takes, CONVERTER.to_payload(sent)) == ""

    def signal(envelope: SignalEnvelope) -> None: ...

    assert misfit(signal, CONVERTER.to_payload(SignalEnvelope("x"))) == ""


def test_a_handler_that_cannot_be_checked_is_an_error_of_ours() -> None:
    def untyped(x) -> None: ...  # type: ignore[no-untyped-def]
    def many(*x: int) -> None: ...
    def odd(x: complex) -> None: ...
    def bare(x: list) -> None: ...  # type: ignore[type-arg]

    for fn in (untyped, many, odd, bare):
        with pytest.raises(TypeError):
            signature_of(fn, method=False)
