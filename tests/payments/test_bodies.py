"""How the body of a request is split into events."""

import json
import random

import pytest

from apps.payments.bodies import events_in


@pytest.mark.parametrize(
    ("body", "lines", "expected"),
    [
        (b'{"a":1}', False, [b'{"a":1}']),
        (b' [ {"a":1} , {"b":[2,{"c":3}]} ] ', False, [b'{"a":1}', b'{"b":[2,{"c":3}]}']),
        (b"[]", False, []),
        (b"[ ]", False, []),
        (b'["a,]", "b\\"]"]', False, [b'"a,]"', b'"b\\"]"']),
        (b"[1,,2]", False, [b"1", b"", b"2"]),
        (b"[1,2", False, [b"[1,2"]),
        (b"[1]]", False, [b"[1]]"]),
        (b"[1] x", False, [b"[1] x"]),
        (b'["open', False, [b'["open']),
        (b"", False, [b""]),
        (b'{"a":1}\n\n{"b":2}\r\n', True, [b'{"a":1}', b'{"b":2}\r']),
        (b"", True, []),
        (b"[" * 100_000, False, [b"[" * 100_000]),
    ],
)
def test_a_body_is_split_without_being_read(
    body: bytes, lines: bool, expected: list[bytes]
) -> None:
    assert events_in(body, lines=lines) == expected


def test_every_array_is_split_into_its_items() -> None:
    numbers = random.Random(7)

    def some(depth: int) -> object:
        kind = numbers.randrange(6 if depth else 3)
        if kind == 0:
            return numbers.randrange(100)
        if kind == 1:
            return "".join(numbers.choice('a"\\[]{},é\n') for _ in range(8))
        if kind in (2, 3):
            return [some(depth - 1) for _ in range(3)] if depth else None
        return {str(n): some(depth - 1) for n in range(3)}

    for _ in range(300):
        items = [some(3) for _ in range(numbers.randrange(1, 6))]
        body = json.dumps(items, indent=numbers.choice((None, 1))).encode()
        assert [json.loads(item) for item in events_in(body, lines=False)] == items
