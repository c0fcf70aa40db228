"""What an edit changes, and how much a person has to answer for it."""

from decimal import Decimal
from typing import Any

import pytest

from apps.payments.differences import FieldClass, changes_of, class_of


def found(before: Any, after: Any) -> list[tuple[str, str | None, str | None]]:
    return [(one.path, one.before, one.after) for one in changes_of(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),
        ({"a": 1}, {"a": "1"}, [("a", "1", '"1"')]),
        ({"a": Decimal("1.10")}, {"a": Decimal("1.1")}, [("a", "1.10", "1.1")]),
        ({"a": None}, {}, [("a", "null", None)]),
        (
            {"m": {"x": [1, 2]}},
            {"m": {"x": [1, 3, 4]}},
            [("m.x[1]", "2", "3"), ("m.x[2]", None, "4")],
        ),
        ({"m": [1]}, {"m": {"0": 1}}, [("m", "[1]", '{"0":1}')]),
        ("text", {"a": 1}, [("", '"text"', '{"a":1}')]),
    ],
)
def test_what_differs_is_named_by_its_path(before: Any, after: Any, expected: Any) -> None:
    assert found(before, after) == expected


def test_more_changes_than_a_person_reads_are_cut() -> None:
    assert len(changes_of({"m": list(range(3000))}, {"m": list(range(1, 3001))})) == 201


@pytest.mark.parametrize(
    ("before", "after", "strictest"),
    [
        ({"event_id": "a"}, {"event_id": "b"}, FieldClass.LOCKED),
        ({"amount_cents": 1, "x": 1}, {"amount_cents": 2, "x": 2}, FieldClass.SENSITIVE),
        ({"metadata": {"event_id": 1}}, {"metadata": {"event_id": 2}}, FieldClass.FREE),
        ({"failure_message": "a"}, {"failure_message": "b"}, FieldClass.FREE),
        ([], {"a": 1}, FieldClass.SENSITIVE),
        ({}, {}, FieldClass.FREE),
    ],
)
def test_the_strictest_change_says_who_must_sign(
    before: Any, after: Any, strictest: FieldClass
) -> None:
    assert class_of(changes_of(before, after)) is strictest
