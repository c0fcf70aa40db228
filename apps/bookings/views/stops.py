"""What pages of trips and manifests say of stops."""

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from apps.bookings.models import TripStop
from apps.common.dates import zoned_words
from apps.common.language import lazy as _
from apps.web.tables import Column, Table, table


def stop_times(zone: ZoneInfo, last: int) -> tuple[Column, Column]:
    """Return the columns with the times at each stop, in the zone: a trip does not arrive at its
    first stop, and does not leave the last one, whose place is `last`."""

    def arrives(stop: TripStop) -> str:
        return zoned_words(stop.arrives_at, zone) if stop.n > 1 else ""

    def departs(stop: TripStop) -> str:
        return zoned_words(stop.departs_at, zone) if stop.n < last else ""

    return (
        Column(head=_("Arrives"), value=arrives, form="long", text=_("arrives {}")),
        Column(head=_("Departs"), value=departs, form="long", text=_("departs {}")),
    )


def plain_table(
    request: HttpRequest, rows: Iterable[Any], columns: Sequence[Column], **about: Any
) -> Table:
    """Return a table that is not sorted by its heads."""
    return table(request, rows, columns, order="", default="", address="", **about)
