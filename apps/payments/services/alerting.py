"""Tells the quarantine's operators when many events fail alike."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import BigIntegerField, F, Q, Value
from django.db.models.functions import Cast, Greatest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext

from apps.common.dates import moment_words
from apps.common.language import in_site_language
from apps.common.language import lazy as _
from apps.notifications import kinds
from apps.notifications.services import notify_group
from apps.payments.models import QuarantineGroup
from apps.web.tones import words_of

ALERT_KIND = "quarantine.many"
TOLD_GROUP = "quarantine operator"
#: People are told of so many open events, and of ten times as many each time after.
FIRST_LEVEL = 10
#: Of one group.
AT_MOST_EVERY = timedelta(hours=1)
#: Groups of one turn of the leader.
MOST_GROUPS = 100


def groups_alert(*, now: datetime, limit: int = MOST_GROUPS) -> int:
    """Tell people of the groups that have grown to their next level, each at most once an hour, and
    set back the level of those that are empty; return how many groups were looked at closely.

    Each group has a transaction of its own, in which level and notification commit together: of
    two leaders one tells, and a killed one has told nobody or everybody. Reads groups, not events.
    """
    empty = QuarantineGroup.objects.filter(open=0, alerted_level__gt=0)
    set_back = list(empty.order_by("pk").values_list("pk", flat=True)[:limit])
    for pk in set_back:
        empty.filter(pk=pk).update(alerted_level=0)
    grown = QuarantineGroup.objects.filter(_has_grown(now))
    due = list(grown.order_by("pk").values_list("pk", flat=True)[:limit])
    for pk in due:
        _alert(pk, now)
    return max(len(set_back), len(due))


def level_of(count: int) -> int:
    """Return the largest of 10, 100, 1,000 … that the count has reached; 0 below."""
    return 10 ** (len(str(count)) - 1) if count >= FIRST_LEVEL else 0


def group_url(group: QuarantineGroup) -> str:
    """Return the path of the group's page; of its row in the admin where the site has no such
    page."""
    try:
        return reverse("quarantine_group", args=[group.pk])
    except NoReverseMatch:
        return reverse("admin:payments_quarantinegroup_change", args=[group.pk])


def register() -> None:
    """Register the notification kind. Called once, when Django is ready."""
    kinds.register(
        kinds.NotificationKind(
            ALERT_KIND,
            _("Many payment events fail alike"),
            email=True,
            permission="payments.view_quarantinedevent",
            relevant=_still_many,
        )
    )


# --- helpers --------------------------------------------------------------------------------------
def _has_grown(now: datetime) -> Q:
    """Return the condition: the next level is reached, and the last alert is an hour ago."""
    level = Cast(F("alerted_level"), BigIntegerField())
    reached = Q(open__gte=Greatest(level * Value(10), Value(FIRST_LEVEL)))
    return reached & (Q(alerted_at=None) | Q(alerted_at__lte=now - AT_MOST_EVERY))


@in_site_language
def _alert(pk: int, now: datetime) -> None:
    with transaction.atomic(durable=True):
        rows = QuarantineGroup.objects.select_for_update(no_key=True)
        # Again: another leader may have told meanwhile, or a person has emptied the group.
        group = rows.filter(_has_grown(now), pk=pk).first()
        if group is None:
            return
        group.alerted_level, group.alerted_at = level_of(group.open), now
        group.save(update_fields=["alerted_level", "alerted_at"])
        what = words_of(group.code)
        notify_group(
            key=f"quarantine:{group.pk}:{group.alerted_level}:{int(now.timestamp())}",
            group=TOLD_GROUP,
            kind=ALERT_KIND,
            title=gettext("{count} payment events wait in quarantine: {what}").format(
                count=f"{group.open:,}", what=f"{what} ({group.field})" if group.field else what
            ),
            text=gettext(
                "They failed alike: {group}. The first came {first}, the last {last}."
            ).format(
                group=group,
                first=moment_words(group.first_at),
                last=moment_words(group.last_at),
            ),
            url=group_url(group),
        )


def _still_many(key: str) -> bool:
    """Return whether the group in the key still has enough open events for an alert."""
    number = key.split(":")[1]
    return QuarantineGroup.objects.filter(pk=int(number), open__gte=FIRST_LEVEL).exists()
