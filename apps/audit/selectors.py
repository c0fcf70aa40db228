"""Reads of the trail: search, and how far the chain is sealed and verified. Fast at any size."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from apps.audit.models import AuditCheck, AuditEntry, AuditEntryQuerySet, AuditPending, AuditSeal
from apps.common.errors import Invalid
from apps.common.language import lazy as _

VIEW_PERMISSION = "audit.view_auditentry"
#: Order of `apps.common.pagination` that the indexes are made for.
ORDER = "entries"
#: Waiting entries are counted up to here.
MOST_WAITING = 1000
#: What the sealer leaves unsealed so long, or the verifier unlooked at, is late.
SEAL_LATE = timedelta(minutes=1)
#: So many different values of a column are offered.
MOST_OFFERED = 300
_OFFERED = {"action", "subject_type", "code"}


@dataclass(frozen=True)
class EntryFilter:
    """Search terms; empty fields match everything. `actors`: any of these ids.

    `since` is included, `until` is not.
    """

    actors: tuple[str, ...] = ()
    action: str = ""
    subject_type: str = ""
    subject_id: str = ""
    outcome: str = ""
    code: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The fields that are set, for the audit entry of an export."""
        return {name: value for name, value in asdict(self).items() if value}


def entries_search(wanted: EntryFilter) -> AuditEntryQuerySet:
    """The matching entries with their seals; page them by ORDER. Invalid `invalid_text`."""
    rows = AuditEntry.objects.select_related("seal")
    texts = {
        name: getattr(wanted, name)
        for name in ("action", "subject_type", "subject_id", "outcome", "code")
    }
    if any("\0" in text for text in (*texts.values(), *wanted.actors)):
        raise Invalid(_("A filter holds characters that are nowhere."), code="invalid_text")
    if texts["subject_id"] and not texts["subject_type"]:
        # The index on subjects begins with the type.
        rows = rows.filter(subject_type__in=offered("subject_type"))
    rows = rows.filter(**{name: text for name, text in texts.items() if text})
    if wanted.actors:
        rows = rows.filter(actor_id__in=wanted.actors)
    if wanted.since:
        rows = rows.filter(at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(at__lt=wanted.until)
    return rows


def entries_about(*subjects: tuple[str, object]) -> AuditEntryQuerySet:
    """The trail of all of these (type, id), the newest first."""
    about = Q(pk__in=[])
    for subject_type, subject_id in subjects:
        about |= Q(subject_type=subject_type, subject_id=str(subject_id))
    return AuditEntry.objects.filter(about).order_by("-id")


def entries_none() -> AuditEntryQuerySet:
    """No entries, for a page whose filter cannot be read."""
    return AuditEntry.objects.none()


def newest_entry_id() -> int:
    """The id of the newest entry; 0 while there is none."""
    return AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0


def offered(column: str) -> list[str]:
    """The different values of an indexed column, read by skipping from one to the next."""
    if column not in _OFFERED:
        raise ValueError(f"{column} is not offered")
    # Without "" for the code: its index is partial.
    some = "WHERE code <> ''" if column == "code" else ""
    beyond = f"WHERE {column} > seen.value" + (" AND code <> ''" if some else "")
    statement = f"""
        WITH RECURSIVE seen AS (
            (SELECT {column} AS value FROM audit_auditentry {some} ORDER BY {column} LIMIT 1)
            UNION ALL
            SELECT (SELECT {column} FROM audit_auditentry {beyond} ORDER BY {column} LIMIT 1)
            FROM seen WHERE seen.value IS NOT NULL
        )
        SELECT value FROM seen WHERE value IS NOT NULL LIMIT %s
    """  # noqa: S608 - one of three names, checked above
    with connection.cursor() as cursor:
        cursor.execute(statement, [MOST_OFFERED])
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True)
class ChainState:
    """How far the chain is sealed and verified, and whether it holds. `waiting` up to 1,000."""

    sealed: int
    sealed_at: datetime | None
    waiting: int
    waiting_since: datetime | None
    verified: int
    verified_at: datetime | None
    whole_at: datetime | None
    problems: list[str]
    problem_count: int
    broken_since: datetime | None
    seal_late: bool
    check_late: bool

    @property
    def broken(self) -> bool:
        return self.problem_count > 0

    def covers(self, sequence: int | None) -> bool:
        """Whether the seal was verified. While the chain is broken this is False."""
        return sequence is not None and sequence <= self.verified and not self.broken

    @property
    def many_waiting(self) -> bool:
        return self.waiting >= MOST_WAITING


def chain_state(*, as_of: datetime | None = None) -> ChainState:
    """Read in a handful of index look-ups; it verifies nothing by itself."""
    now = as_of or timezone.now()
    head = AuditSeal.objects.order_by("-sequence").values_list("sequence", "sealed_at").first()
    waiting = AuditPending.objects.order_by()[:MOST_WAITING].count()
    oldest = AuditPending.objects.order_by("pk").values_list("entry__at", flat=True).first()
    check = AuditCheck.objects.filter(pk=AuditCheck.ONLY).first() or AuditCheck()
    patience = timedelta(seconds=max(60.0, 6 * settings.AUDIT_VERIFY_SECONDS))
    return ChainState(
        sealed=head[0] if head else 0,
        sealed_at=head[1] if head else None,
        waiting=waiting,
        waiting_since=oldest,
        verified=check.sequence,
        verified_at=check.at,
        whole_at=check.whole_at,
        problems=check.problems,
        problem_count=check.problem_count,
        broken_since=check.broken_since,
        seal_late=oldest is not None and now - oldest > SEAL_LATE,
        check_late=check.at is None or now - check.at > patience,
    )
