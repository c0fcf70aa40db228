"""Stretches of time in words."""

import pytest

from apps.common.durations import duration_in_words

HOUR = 3600


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (336 * HOUR, "14 days"),
        (24 * HOUR, "1 day"),
        (36 * HOUR, "1 day and 12 hours"),
        (47.5 * HOUR, "1 day and 23 hours"),
        (HOUR, "1 hour"),
        (4.5 * HOUR, "4 hours and 30 minutes"),
        (90, "1 minute and 30 seconds"),
        (86_401, "1 day"),
        (0.4, "0 seconds"),
        (-5, "0 seconds"),
        (3650 * 24 * HOUR, "3650 days"),
    ],
)
def test_the_largest_units_that_say_it(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words
