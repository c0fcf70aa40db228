"""Charts drawn by the server: SVG coordinates for `web/_bars.html` and `web/_line.html`.

The style sheet sets the colours. Every chart also gives its figures in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import ceil
from typing import Any, NamedTuple

WIDTH = 480
LINE_WIDTH, LINE_HEIGHT = 640, 160
#: The most points of a line: nobody can distinguish more.
MOST_POINTS = 60


@dataclass(frozen=True)
class Value:
    """The value of a bar: `marked` of the `count` are drawn in the chart's tone. `at`: the bar's
    hour or day, as the table and the axis have it. `usual`: what is usual for it, if that is
    known."""

    count: int
    marked: int
    title: str
    at: datetime | date | None = None
    usual: float | None = None


@dataclass(frozen=True)
class Bar:
    """A bar in the coordinates of its drawing. `usual_y`: the height of what is usual; None: not
    drawn."""

    x: float
    width: float
    y: int
    height: int
    marked_y: int
    marked_height: int
    title: str
    usual_y: int | None = None

    @property
    def right(self) -> float:
        """Return where the bar ends."""
        return round(self.x + self.width, 2)


@dataclass(frozen=True)
class BarChart:
    """Bars and their figures: the total, the marked ones, and `most`, the value at the top of the
    axis. `values` are for the table, `axis` for the words below the bars, evenly spaced."""

    bars: list[Bar]
    total: int
    marked: int
    most: int
    height: int
    values: Sequence[Value] = ()
    axis: Sequence[Any] = ()
    width: int = WIDTH

    @property
    def drawable(self) -> bool:
        """Return whether there is anything to see: a bar, or what is usual."""
        return self.most > 0

    @property
    def compared(self) -> bool:
        """Return whether the chart shows what is usual."""
        return any(value.usual is not None for value in self.values)


@dataclass(frozen=True)
class AmountsBar:
    """A total with a spent and a reserved part, in one currency."""

    label: str
    total: Decimal
    spent: Decimal
    reserved: Decimal
    currency: str

    @property
    def free(self) -> Decimal:
        """Return what is left."""
        return self.total - self.spent - self.reserved

    @property
    def spent_width(self) -> str:
        """Return the width of the spent part, where the reserved one begins."""
        return self._percent(self.spent)

    @property
    def reserved_width(self) -> str:
        """Return the width of the reserved part, which follows the spent one."""
        return self._percent(self.reserved)

    def _percent(self, part: Decimal) -> str:
        share = part * 100 / self.total if self.total > 0 else Decimal(0)
        return f"{max(Decimal(0), min(Decimal(100), share)):.2f}%"


def bars(values: Sequence[Value], *, height: int, axis: Sequence[Any] = ()) -> BarChart:
    """Return a bar for each value, from left to right; the highest value, or what is usual if that
    is more, fills the chart."""
    usual = [value.usual for value in values if value.usual is not None]
    most = max([ceil(max(usual, default=0)), *(value.count for value in values)])
    step = WIDTH / max(len(values), 1)
    gap = min(4.0, step / 4)

    def high(count: float) -> int:
        # At least two units: a bar of one must differ from a bar of none.
        return max(2, round(count * (height - 4) / most)) if count else 0

    return BarChart(
        bars=[
            Bar(
                x=round(number * step + gap / 2, 2),
                width=round(step - gap, 2),
                y=height - high(value.count),
                height=high(value.count),
                marked_y=height - high(value.marked),
                marked_height=high(value.marked),
                title=value.title,
                usual_y=None if value.usual is None else height - high(value.usual),
            )
            for number, value in enumerate(values)
        ],
        total=sum(value.count for value in values),
        marked=sum(value.marked for value in values),
        most=most,
        height=height,
        values=values,
        axis=axis,
    )


class Reading(NamedTuple):
    """An amount at the end of a day."""

    day: date
    amount: Decimal


@dataclass(frozen=True)
class LineChart:
    """A line through the readings, from the first to `ends_on`, and a dashed line ahead.

    `line`, `area` and `ahead` are points of SVG polylines and polygons; empty: not drawn.
    """

    readings: list[Reading]
    starts_on: date
    ends_on: date
    line: str
    area: str
    ahead: str
    last_x: float
    width: int = LINE_WIDTH
    height: int = LINE_HEIGHT

    @property
    def drawable(self) -> bool:
        """Return whether there is a line: a single day would be an empty frame."""
        return len(self.readings) > 1


def line(
    readings: Sequence[Reading], *, ends_on: date | None = None, ahead: Reading | None = None
) -> LineChart:
    """Draw at most MOST_POINTS of the readings, which are sorted and not empty, always including
    the last. `ahead`: the end of the dashed line. Negative amounts are drawn at zero."""
    first = readings[0].day
    end = max(ends_on or readings[-1].day, readings[-1].day)
    span = max((end - first).days, 1)
    most = max(*(reading.amount for reading in readings), Decimal(0))

    def place(reading: Reading) -> str:
        high = float(max(reading.amount, Decimal(0)) / most) if most else 0.0
        return f"{x_of(reading):.1f},{LINE_HEIGHT - high * (LINE_HEIGHT - 8):.1f}"

    def x_of(reading: Reading) -> float:
        return (reading.day - first).days * LINE_WIDTH / span

    step = ceil(len(readings) / MOST_POINTS)
    chosen = list(readings[::-1][::step][::-1])
    points = " ".join(map(place, chosen))
    last = chosen[-1]
    return LineChart(
        readings=chosen,
        starts_on=first,
        ends_on=end,
        line=points,
        area=f"{x_of(chosen[0]):.1f},{LINE_HEIGHT} {points} {x_of(last):.1f},{LINE_HEIGHT}",
        ahead=f"{place(last)} {place(ahead)}" if ahead else "",
        last_x=x_of(last),
    )
