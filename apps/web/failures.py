"""What failed in the last seven days, by error code: the card of the home page.

Each domain registers its failed rows in `AppConfig.ready()`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.translation import gettext

from apps.common.grouping import grouped
from apps.common.registry import Registry
from apps.web.dashboard import SHOWN, Figure
from apps.web.pieces import Link
from apps.web.tones import title_of

if TYPE_CHECKING:
    from apps.accounts.models import User

DAY, WEEK = timedelta(days=1), timedelta(days=7)
#: The newest failures of a domain that are counted: an exact count of a large table is slow.
MOST = 10_000


@dataclass(frozen=True)
class Failures:
    """Failed rows of a domain. `rows`: those that a user may see, failed ones only; `code` and `at`
    are the columns of the error code and of the time of the failure. `listed(code)` is the URL of
    the list of the rows with this code; without a code, of all that failed."""

    key: str
    title: str
    rows: "Callable[[User], QuerySet[Any]]"
    listed: Callable[[str], str]
    order: int
    code: str = "error_code"
    at: str = "settled_at"


@dataclass(frozen=True)
class Failed:
    """The failures of one code: their number in the last day and in the last week."""

    title: str
    words: str
    href: str
    day: int
    week: int
    newest: datetime


_failures = Registry[Failures]("failures of the home page")


def register(*failures: Failures) -> None:
    """Register failed rows. Raises ImproperlyConfigured when a key is taken."""
    for one in failures:
        _failures.add(one.key, one)


def registered() -> list[Failures]:
    """Return all that are registered, sorted by order."""
    return sorted(_failures.values(), key=lambda one: one.order)


def by_code(source: Failures, user: "User", *, as_of: datetime) -> list[Failed]:
    """Return the user's failures of the last week by code, in no order. One query of the newest
    MOST rows."""
    found = source.rows(user).filter(
        **{f"{source.at}__gte": as_of - WEEK, f"{source.at}__lte": as_of}
    )
    newest = found.order_by(f"-{source.at}").values_list(source.code, source.at)[:MOST]
    return [
        Failed(
            title=source.title,
            words=title_of(code) if code else gettext("No code"),
            href=source.listed(code),
            day=day,
            week=week,
            newest=at,
        )
        for code, day, week, at in grouped(
            newest,
            "code, moment",
            by=("code",),
            figures="count(*) FILTER (WHERE moment >= %s), count(*), max(moment)",
            values=[as_of - DAY],
        )
    ]


def failures_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the card: a row for each of the most frequent codes, those of the last day first."""
    sources = registered()
    found, more = [], False
    for source in sources:
        rows = by_code(source, user, as_of=as_of)
        more |= sum(one.week for one in rows) >= MOST
        found += rows
    found.sort(key=lambda one: (-one.day, -one.week, one.title, one.words))
    number = sum(one.week for one in found)
    return {
        "title": gettext("Failed"),
        "rows": found[:SHOWN],
        "others": len(found[SHOWN:]),
        "others_week": sum(one.week for one in found[SHOWN:]),
        "several": len(sources) > 1,
        "links": [
            Link(one.title if len(sources) > 1 else gettext("All of them"), one.listed(""))
            for one in sources
        ],
        "most": MOST if more else 0,
        "figures": [
            Figure(
                f"{number:,}{'+' if more else ''}",
                gettext("failed in seven days"),
                "#home-failed",
                order=40,
                tone="bad" if found else "",
            )
        ],
    }
