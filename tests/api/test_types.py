"""Limits and patterns of the API's fields stand in one place."""

import re
from pathlib import Path

from django.conf import settings

#: Of an amount as text, of a page's size, of a cursor, and of a text that only a service judges.
OWN = re.compile(r"\{1,16\}|ge=1, le=200|max_length=(300|20_000)\b")


def test_no_api_has_limits_of_its_own_for_what_all_of_them_take() -> None:
    apps = Path(settings.BASE_DIR) / "apps"
    files = [*apps.glob("*/api.py"), *apps.glob("*/api/*.py")]
    own = [
        f"{file.relative_to(apps)}:{number}"
        for file in files
        if file != apps / "common" / "api.py"
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if OWN.search(line)
    ]
    assert own == []
