"""The card of keys on the home page."""

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext

from apps.common.windows import midnight, site_day
from apps.pix.contracts import ChangeStatus, EntryStatus
from apps.pix.models import Entry, EntryChange
from apps.web.dashboard import Figure, Today
from apps.web.lists import counted_each

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User


def keys_today(user: "User", as_of: datetime) -> Today:
    """Return how many keys wait for a code, how many changes are under way, and how many failed
    today. One query."""
    changes = EntryChange.objects.all()
    since = midnight(site_day(as_of))
    proving, running, failed = counted_each(
        Entry.objects.filter(status=EntryStatus.POSSESSION),
        changes.filter(status=ChangeStatus.RUNNING),
        changes.filter(status=ChangeStatus.FAILED, settled_at__gte=since),
    )
    return Today(
        [
            Figure(
                proving,
                gettext("wait for a code"),
                f"{reverse('entries')}?status={EntryStatus.POSSESSION}",
            ),
            Figure(running, gettext("on their way to the directory")),
            Figure(failed, gettext("failed today"), tone="" if failed == "0" else "bad"),
        ]
    )


def failed_changes(user: "User") -> "QuerySet[EntryChange]":
    """Return the failed changes that the user may see."""
    return EntryChange.objects.visible_to(user).filter(status=ChangeStatus.FAILED)


def failed_keys(code: str) -> str:
    """Return the URL of the list of the keys of which a change failed with the code."""
    query = f"?{urlencode({'error': code})}" if code else ""
    return f"{reverse('entries')}{query}"
