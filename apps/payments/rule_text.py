"""Describes business rules in words, for the admin."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext, ngettext

#: Entries of a list that are shown; the others are counted.
MOST_SHOWN = 20
#: The parameter of a rule that is a list.
LISTS = {
    "required_fields": "fields",
    "currency_allowed": "currencies",
    "method_known": "methods",
    "customer_blocklist": "blocked",
    "merchant_blocklist": "blocked",
}


def rule_in_words(code: str, parameters: Mapping[str, Any]) -> str:
    """Describe the parameters in a line; long lists are cut."""
    if code == "amount_bounds":
        return gettext("{least} to {most} minor units").format(
            least=f"{parameters['least']:,}", most=f"{parameters['most']:,}"
        )
    if code == "timestamp_bounds":
        return gettext("at most {seconds} seconds ahead").format(
            seconds=f"{parameters['ahead_seconds']:,}"
        )
    if code in LISTS:
        return entries_in_words(parameters[LISTS[code]])
    return gettext("the statuses that have scores, and those that need none")


def entries_in_words(entries: Sequence[str]) -> str:
    """Return the first MOST_SHOWN entries, and how many more there are."""
    if not entries:
        return gettext("nobody")
    text = ", ".join(entries[:MOST_SHOWN])
    if (more := len(entries) - MOST_SHOWN) > 0:
        text = ngettext("{entries} and {more} more", "{entries} and {more} more", more).format(
            entries=text, more=f"{more:,}"
        )
    return text
