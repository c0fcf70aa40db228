"""Tells people that an infraction was reported, and programs of its status."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.common.dates import moment_words
from apps.common.language import in_site_language
from apps.notifications.services import notify_group
from apps.pix.contracts import INFRACTION
from apps.pix.models import Infraction
from apps.pix.services import infraction_rows as rows
from apps.pix.services.infraction_signing import infraction_title

TOLD_KIND = "infraction.reported"
TOLD_GROUP = "key officer"


def reported_tell(*, row_id: UUID | str) -> None:
    """Tell the key officers, once, that somebody has reported the side that is ours. The other
    side's participant hears of a report by the directory's lists."""
    with transaction.atomic(durable=True):
        infraction = rows.lock(row_id)
        if infraction.decides and not infraction.has_ended:
            _officers_tell(infraction)


@in_site_language
def _officers_tell(infraction: Infraction) -> None:
    notify_group(
        key=f"{INFRACTION}:{infraction.pk}:reported",
        group=TOLD_GROUP,
        kind=TOLD_KIND,
        title=infraction_title(infraction),
        text=gettext("It has to be decided by {at}.").format(at=moment_words(infraction.due_at)),
        url=reverse("infraction", args=[infraction.pk]),
    )


def is_undecided(key: str) -> bool:
    """Return whether the message of this key is still true."""
    pk = key.split(":")[1]
    return Infraction.objects.unsettled().filter(pk=pk).exists()


def event_publish(*, row_id: UUID | str, as_of: datetime) -> None:
    """Write the event of the row's status if none has told of it, as after a repair by hand."""
    with transaction.atomic(durable=True):
        infraction = rows.lock(row_id)
        if rows.event_of_status(infraction, as_of=as_of):
            rows.record(infraction, f"{INFRACTION}.published", status=infraction.status)
