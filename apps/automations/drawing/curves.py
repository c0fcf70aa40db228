"""The lines of a drawing as SVG paths. Standard library only."""

from collections.abc import Callable, Sequence
from itertools import pairwise

#: Along the edges and across them, or x and y.
Point = tuple[float, float]
#: x and y: whole numbers, which every language writes alike.
Pixel = tuple[int, int]
#: Turns a point along and across into x and y.
Place = Callable[[Point], Point]

#: Pixels across that nobody sees.
NEARLY = 0.5
#: Where a label is on the way to the next layer: alone, and where labels beside each other would
#: touch, by turns.
LABEL, CLOSE_LABELS = 0.38, (0.25, 0.68)
#: Of a line from a node to itself: how wide it is at most, and how far another one is from it.
LOOP_WIDTH, NEXT_LOOP = 36, 31


def path(points: Sequence[Point], place: Place) -> str:
    """Return the path through points along and across. It has the direction of the axis along in
    each of them."""
    bends = [points[0]]
    for point, after in pairwise(points[1:]):
        if not bends[-1][1] == point[1] == after[1]:
            bends.append(point)
    drawn = [f"M{_written(place(points[0]))}"]
    for (begin, left), (end, right) in pairwise([*bends, points[-1]]):
        if abs(left - right) <= NEARLY:
            drawn.append(f"L{_written(place((end, right)))}")
        else:
            middle = (begin + end) / 2
            drawn.append(_cubic(place, (middle, left), (middle, right), (end, right)))
    return "".join(drawn)


def label(points: Sequence[Point], time: float, place: Place) -> Pixel:
    """Return the middle of the label: on the line, at that time of its way to the next layer."""
    (begin, left), (end, right) = points[:2]
    along = 1.5 * time * (1 - time) + time**3
    across = time * time * (3 - 2 * time)
    return pixel(place((begin + (end - begin) * along, left + (right - left) * across)))


def loop(end: Point, side: int, size: int, number: int, place: Place) -> tuple[str, Pixel]:
    """Return the path of a node's edge to itself, and the middle of its label. It leaves and comes
    back on the side that is `side` long and ends at `end`, and goes `size` away from it; `number`:
    how many such edges the node already has."""
    width = min(LOOP_WIDTH, side * 2 / 3)
    room = max(1, side * 7 / 8 - width)
    along, across = end[0] - side / 8 - number * NEXT_LOOP % room, end[1]
    # A cubic curve comes three quarters of the way to its control points.
    far = across + size / 0.75
    begin, finish = (along - width, across), (along, across)
    drawn = _cubic(place, (begin[0], far), (finish[0], far), finish)
    middle = pixel(place((along - width / 2, across + size / 2)))
    return f"M{_written(place(begin))}{drawn}", middle


def pixel(point: Point) -> Pixel:
    """Return the point in whole pixels."""
    return round(point[0]), round(point[1])


def _cubic(place: Place, *points: Point) -> str:
    return f"C{' '.join(_written(place(point)) for point in points)}"


def _written(point: Point) -> str:
    return " ".join(f"{part:.1f}".removesuffix(".0") for part in point)
