"""The card of a domain on the home page: its figures of today, and a chart of the last 24 hours."""

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.formats import number_format
from django.utils.translation import gettext

from apps.common.dates import hour_words
from apps.common.hours import HOURS, MOST, WEEKS, Hour, LastDay, last_day
from apps.web.charts import BarChart, Value, bars
from apps.web.dashboard import Card, Domain, Place, Series

if TYPE_CHECKING:
    from apps.accounts.models import User

HEIGHT = 96
#: The axis has a time for every so many hours.
EVERY = 6


def domain_card(domain: Domain) -> Card:
    """Return the domain's card, to be registered with the others."""
    return Card(
        key=domain.key,
        template="web/_domain_card.html",
        context=partial(_context, domain),
        place=Place.SIDE,
        order=domain.order,
        permission=domain.permission,
        topics=domain.topics,
    )


def _context(domain: Domain, user: "User", as_of: datetime) -> dict[str, Any]:
    today = domain.today(user, as_of)
    context = {"domain": domain, "today": today, "figures": today.above}
    if domain.series is None:
        return context
    series = domain.series
    found = last_day(series.rows(user), as_of=as_of, marked=series.marked)
    return {**context, "chart": _chart(series, found), "words": words(series, found)}


def words(series: Series, found: LastDay) -> list[str]:
    """Return the sentences below the chart: the figures, and what is usual."""
    if found.more:
        return [
            gettext("More than {most:,} in the last {hours} hours; so many are not drawn.").format(
                most=MOST, hours=HOURS
            )
        ]
    said = [series.sentence.format(count=found.count, marked=found.marked)]
    if not found.count:
        said = [series.none]
    return [*said, _usual(found)]


def _usual(found: LastDay) -> str:
    if found.usual is None:
        return gettext("The same hours of the last {weeks} weeks had none.").format(weeks=WEEKS)
    if found.weeks == 1:
        return gettext("A week ago there were {usual:,.0f} in the same hours.").format(
            usual=found.usual
        )
    return gettext(
        "Usual for these hours of the week: {usual:,.0f}, the mean of the last {weeks} weeks."
    ).format(usual=found.usual, weeks=found.weeks)


def _chart(series: Series, found: LastDay) -> BarChart | None:
    if found.more:
        return None
    values = [
        Value(one.count, one.marked, _title(series, one), one.begins, one.usual)
        for one in found.hours
    ]
    axis = [
        found.hours[0].begins + timedelta(hours=number) for number in range(0, HOURS + 1, EVERY)
    ]
    return bars(values, height=HEIGHT, axis=axis)


def _title(series: Series, one: Hour) -> str:
    text = (
        gettext("{hour}: {count}; {marked_title}: {marked}")
        if one.usual is None
        else gettext("{hour}: {count}; {marked_title}: {marked}; usual: {usual}")
    )
    return text.format(
        hour=hour_words(one.begins),
        count=one.count,
        marked_title=series.marked_title,
        marked=one.marked,
        usual=None if one.usual is None else number_format(f"{one.usual:.1f}"),
    )
