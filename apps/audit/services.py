"""Services of the audit trail: write entries and refusals, seal, erase a body."""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import override

from apps.audit import anchors
from apps.audit.chain import GENESIS, body_digest, clean_text, covered, instant, seal_hash, storable
from apps.audit.checking import chain_check
from apps.audit.contracts import Actor, Outcome
from apps.audit.models import AuditEntry, AuditPending, AuditSeal
from apps.audit.verify import ERASE, ChainReport, chain_verify
from apps.common import correlation
from apps.common.errors import Conflict, DomainError, Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _

__all__ = [
    "ChainReport",
    "body_erase",
    "chain_check",
    "chain_verify",
    "entry_record",
    "pending_seal",
    "refusals",
]

log = correlation.get_logger(__name__)

#: Name of the lock that makes the sealer one, in PostgreSQL's space of advisory locks.
SEALER_LOCK = 0x5EA1_0001


def entry_record(
    *,
    action: str,
    subject_type: str,
    subject_id: object,
    by: Actor | None,
    via: str = "",
    body: dict[str, Any] | None = None,
    outcome: str = Outcome.DONE,
    code: str = "",
) -> AuditEntry:
    """Write one unsealed entry. Joins the caller's transaction: it is kept if the verb is.

    `by=None`: nobody known. Texts are cut to the columns' lengths and cleaned, never refused.
    """
    salt = token_hex(32)
    content = storable(body or {})
    return AuditEntry.objects.create(
        actor_id=_fit("actor_id", by.audit_id if by else ""),
        actor_label=_fit("actor_label", str(by) if by else "unknown"),
        via=_fit("via", via),
        action=_fit("action", action),
        outcome=outcome,
        code=_fit("code", code),
        subject_type=_fit("subject_type", subject_type),
        subject_id=_fit("subject_id", str(subject_id)),
        correlation_id=_fit("correlation_id", correlation.current()),
        salt=salt,
        body=content,
        digest=body_digest(content, salt),
    )


@contextmanager
def refusals(
    *, action: str, subject_type: str, subject_id: object, by: Actor | None, via: str
) -> Iterator[None]:
    """Audit a DomainError that passes through as a refusal, and raise it again.

    Use it OUTSIDE the verb's transaction: inside, the entry would be rolled back (and the durable
    transaction here raises RuntimeError). Other errors are failures, not refusals, and are not
    recorded. If the entry cannot be written, the refusal is raised all the same and logged.
    """
    try:
        # What rows keep is put into words in the site's language; a refusal, when it is read.
        with override(settings.LANGUAGE_CODE):
            yield
    except DomainError as error:
        try:
            with transaction.atomic(durable=True):
                entry_record(
                    action=action,
                    subject_type=subject_type,
                    subject_id=subject_id,
                    by=by,
                    via=via,
                    outcome=Outcome.REFUSED,
                    code=error.code,
                    body={**error.extra, "detail": error.recorded},
                )
        except DatabaseError:
            log.exception(
                "refusal_not_recorded",
                action=action,
                subject=f"{subject_type} {subject_id}",
                actor=by.audit_id if by else "",
                code=error.code,
            )
        error.audited = True
        raise


def pending_seal(*, limit: int = 1000) -> int:
    """Seal up to `limit` waiting entries in the order of their ids; return how many.

    Outermost verb of the sealer. A second call at the same time returns 0. A killed call changes
    nothing. An entry that becomes visible late is sealed later, whatever its id. Anchors the head
    of the chain after the commit, when that is due.
    """
    with transaction.atomic():
        if not _lock_taken():
            return 0
        # After the lock and in a statement of its own: it must see what the last holder wrote.
        head = AuditSeal.objects.order_by("-sequence").first()
        sequence, previous = (head.sequence, head.hash) if head else (0, GENESIS)
        waiting, entries = _waiting(limit)
        sealed = set(
            AuditSeal.objects.filter(entry_id__in=waiting).values_list("entry_id", flat=True)
        )
        now = timezone.now()
        seals = []
        for entry in entries:
            if entry.pk in sealed:
                continue
            sequence += 1
            value = seal_hash(
                sequence=sequence,
                previous=previous,
                sealed_at=instant(now),
                entry=covered(entry),
            )
            seals.append(
                AuditSeal(
                    sequence=sequence, entry=entry, previous=previous, hash=value, sealed_at=now
                )
            )
            previous = value
        AuditSeal.objects.bulk_create(seals)
        AuditPending.objects.filter(pk__in=[entry.pk for entry in entries]).delete()
        if sequence:
            # Also when nothing was sealed now: the last entries of a busy minute want an anchor.
            transaction.on_commit(lambda: anchors.head_anchor(sequence=sequence, hash=previous))
    return len(seals)


def body_erase(*, entry_id: int, by: Actor, reason: str, via: str = "command") -> AuditEntry:
    """Erase an entry's body and salt for good, and audit who did so. The chain still verifies.

    Raises Invalid `reason_required`, NotFound, Conflict `already_erased`.
    """
    record: dict[str, Any] = {
        "action": ERASE,
        "subject_type": "audit_entry",
        "subject_id": entry_id,
        "by": by,
        "via": via,
    }
    with refusals(**record), transaction.atomic(durable=True):
        if not reason.strip():
            raise Invalid(_("Say why the body is erased."), code="reason_required")
        entry = AuditEntry.objects.select_for_update().filter(pk=entry_id).first()
        if entry is None:
            raise NotFound(filled(_("There is no audit entry {entry_id}."), entry_id=entry_id))
        if entry.erased_at is not None:
            raise Conflict(_("The body is erased already."), code="already_erased")
        entry.body = entry.salt = None
        entry.erased_at = timezone.now()
        entry.save(update_fields=["body", "salt", "erased_at"])
        entry_record(**record, body={"reason": reason})
    return entry


def _lock_taken() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
        return bool(cursor.fetchone()[0])


def _waiting(limit: int) -> tuple[list[int], list[AuditEntry]]:
    """Ids and entries of the next batch; rows whose entry is gone stay for `verifyaudit`."""
    after = 0
    while True:
        ids = list(
            AuditPending.objects.filter(pk__gt=after)
            .order_by("pk")
            .values_list("pk", flat=True)[:limit]
        )
        entries = list(AuditEntry.objects.filter(pk__in=ids).order_by("pk")) if ids else []
        if entries or not ids:
            return ids, entries
        after = ids[-1]


_LENGTHS: dict[str, int] = {
    field.name: length
    for field in AuditEntry._meta.fields
    if (length := field.max_length) is not None
}


def _fit(field: str, value: str) -> str:
    return clean_text(value)[: _LENGTHS[field]]
