"""Durations in words."""

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def duration_in_words(seconds: float) -> str:
    """Return a duration such as `14 days`, `1 day and 12 hours`, `1 minute and 30 seconds`.

    Rounds to the second and uses at most two adjacent units: after days, seconds do not matter.
    """
    left = max(round(seconds), 0)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " and ".join(parts) or "0 seconds"
