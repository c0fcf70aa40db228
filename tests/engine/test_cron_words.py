"""Cron expressions in words; what has no short wording is shown as it is."""

import pytest

from apps.engine.cron_words import cron_words


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("7 * * * *", "Every hour at minute 7"),
        ("0 */6 * * *", "Every 6 hours, at minute 0, UTC"),
        ("30 2 * * *", "Every day at 02:30, UTC"),
        ("0 9 * * 1", "Every Monday at 09:00, UTC"),
        ("0 9 * * 7", "Every Sunday at 09:00, UTC"),
        ("0 9 * * mon-fri", "From Monday to Friday at 09:00, UTC"),
        ("0 9 * * 1,3,5", "On Monday, Wednesday, Friday at 09:00, UTC"),
        ("0 0 1 * *", "On day 1 of every month at 00:00, UTC"),
        ("0 0 31 12 *", "Every year on 31 December at 00:00, UTC"),
        ("0 0 31 DEC *", "Every year on 31 December at 00:00, UTC"),
        ("0 9 1 * 1", "0 9 1 * 1, UTC"),
        ("0 9-17 * * *", "0 9-17 * * *, UTC"),
        ("1,2 * * * *", "1,2 * * * *, UTC"),
        ("0 9 * * 9", "0 9 * * 9, UTC"),
        ("0 0 1 13 *", "0 0 1 13 *, UTC"),
        ("0 9 * * x,y", "0 9 * * x,y, UTC"),
        ("nonsense", "nonsense, UTC"),
    ],
)
def test_cron_in_words(cron: str, words: str) -> None:
    assert cron_words(cron, "UTC") == words


def test_the_time_zone_is_named() -> None:
    assert cron_words("0 2 * * *", "America/Sao_Paulo") == "Every day at 02:00, America/Sao Paulo"
