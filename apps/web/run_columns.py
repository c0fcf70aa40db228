"""Columns of lists of runs, and of the items of a run."""

from django.utils.translation import ngettext

from apps.common.language import lazy as _
from apps.web.tables import Column, Read


def _items(number: int) -> str:
    return ngettext("{} item", "{} items", number)


#: How far a run is, for lists of runs on which `RunPages.complete` has set the `bar`.
RUN_COLUMNS = (
    Column(
        head=_("Progress"),
        value=lambda run: run.bar.ended,
        form="bar",
        part="web/_run_bar.html",
        file="ended",
    ),
    Column(head=_("Items"), value=lambda run: run.bar.total, form="aside", text=_items),
    Column(
        head=_("Failed"),
        value=lambda run: run.bar.failed or None,
        form="count",
        text=_("{} failed"),
        wide=True,
    ),
)


#: The number of an item, and when it ended.
ITEM_NUMBER = Column(head=_("No."), value="number", form="count", text=_("no. {}"))
ITEM_ENDED = Column(head=_("Ended"), value="settled_at", form="age", text=_("ended {}"), wide=True)


def item_why(words: Read) -> Column:
    """Return the column that says why an item failed, with its code; `words` says something more
    about an item, or nothing."""
    return Column(head=_("Why"), value=words, form="why", part="web/_item_why.html")
