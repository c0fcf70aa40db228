"""Charts as the server draws them, in the coordinates of their SVG."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from apps.web.charts import LINE_HEIGHT, LINE_WIDTH, MOST_POINTS, WIDTH, Reading, Value, bars, line

DAY = date(2026, 3, 1)


def readings(*amounts: int) -> list[Reading]:
    return [Reading(DAY + timedelta(days=n), Decimal(a)) for n, a in enumerate(amounts)]


def test_the_highest_bar_fills_the_chart_and_one_is_never_like_none() -> None:
    chart = bars([Value(1000, 500, "a"), Value(1, 0, "b"), Value(0, 0, "c")], height=64)
    assert [bar.height for bar in chart.bars] == [60, 2, 0]
    assert [bar.marked_height for bar in chart.bars] == [30, 0, 0]
    assert all(bar.y + bar.height == bar.marked_y + bar.marked_height == 64 for bar in chart.bars)
    assert (chart.total, chart.marked, chart.most) == (1001, 500, 1000)
    assert [bar.title for bar in chart.bars] == ["a", "b", "c"]


def test_bars_stand_side_by_side_inside_the_chart() -> None:
    for number in (1, 24, 31, 92):
        chart = bars([Value(1, 1, "")] * number, height=64)
        edges = [(bar.x, bar.x + bar.width) for bar in chart.bars]
        assert edges[0][0] >= 0 and edges[-1][1] <= WIDTH
        assert all(right < left for (_, right), (left, _) in pairwise(edges))


def test_what_is_usual_is_drawn_beside_a_single_bar_and_without_any() -> None:
    single = bars([Value(1, 0, "", usual=4.0), Value(0, 0, "", usual=0.0)], height=64)
    assert (single.most, single.compared, single.drawable) == (4, True, True)
    assert [(bar.height, bar.usual_y) for bar in single.bars] == [(15, 4), (0, 64)]
    none = bars([Value(0, 0, "", usual=0.25)], height=64)
    assert (none.total, none.most, none.drawable) == (0, 1, True)
    assert bars([Value(0, 0, "")], height=64).drawable is False


def test_without_values_there_is_nothing_to_draw() -> None:
    assert bars([], height=64).bars == []
    assert bars([Value(0, 0, "")], height=64).total == 0


def test_a_line_ends_with_the_last_reading_and_leads_on_from_there() -> None:
    chart = line(
        readings(100, 75, 50), ends_on=DAY + timedelta(days=4),
        ahead=Reading(DAY + timedelta(days=4), Decimal(0)),
    )  # fmt: skip
    assert chart.line == "0.0,8.0 160.0,46.0 320.0,84.0"
    assert chart.area == f"0.0,{LINE_HEIGHT} {chart.line} 320.0,{LINE_HEIGHT}"
    assert chart.ahead == f"320.0,84.0 {LINE_WIDTH}.0,{LINE_HEIGHT}.0"
    assert (chart.last_x, chart.starts_on) == (320.0, DAY)


def test_below_zero_is_drawn_at_zero_and_all_zero_is_no_error() -> None:
    assert line(readings(100, -50)).line.endswith(f",{LINE_HEIGHT}.0")
    assert line(readings(0, 0)).line == f"0.0,{LINE_HEIGHT}.0 {LINE_WIDTH}.0,{LINE_HEIGHT}.0"
    assert line(readings(-1)).drawable is False


def test_a_long_line_has_few_points_and_its_last_reading() -> None:
    chart = line(readings(*range(366)))
    assert len(chart.readings) <= MOST_POINTS
    assert chart.readings[-1].amount == 365
    assert chart.line.count(",") == len(chart.readings)
