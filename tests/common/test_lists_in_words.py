"""Lists in words."""

import pytest

from apps.common.lists_in_words import all_of, in_turn, one_of


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([], ("", "", "")),
        (["a"], ("a", "a", "a")),
        (["a", "b"], ("a and b", "a or b", "a, then b")),
        (["a", "b", "c"], ("a, b and c", "a, b or c", "a, then b, then c")),
        # What people wrote is data, not a pattern.
        (["{a}", "b"], ("{a} and b", "{a} or b", "{a}, then b")),
    ],
)
def test_parts_are_joined_in_words(parts: list[str], told: tuple[str, str, str]) -> None:
    assert (all_of(parts), one_of(parts), in_turn(parts)) == told
