"""Continuous verification: new seals as they are made, and the whole chain over and over.

`verifyaudit` verifies at once and compares with anchors. This runs by itself and records how far
the chain was verified.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from apps.audit.models import AuditCheck, AuditSeal
from apps.audit.verify import MOST_PROBLEMS, part_verify, removed_unsealed
from apps.common.correlation import get_logger

log = get_logger(__name__)

#: Seals of one turn: new ones, and those that are verified again. A turn takes a fraction of a
#: second; a million are walked through in under an hour and a half of ten-second turns.
NEW_SEALS = 2000
AGAIN_SEALS = 2000
#: A chain that stays broken is told to the log again after so long.
TELL_AGAIN = timedelta(minutes=10)


def chain_check(*, new: int = NEW_SEALS, again: int = AGAIN_SEALS) -> bool:
    """Verify one batch; True when more new seals wait. Outermost verb of the verifier.

    A second call at the same time does nothing. A killed call changes nothing. Over time it finds
    what `chain_verify` finds, and a tail that was cut off after it had been verified.
    """
    AuditCheck.objects.get_or_create(pk=AuditCheck.ONLY)
    with transaction.atomic():
        check = (
            AuditCheck.objects.select_for_update(skip_locked=True)
            .filter(pk=AuditCheck.ONLY)
            .first()
        )
        if check is None:
            return False
        now = timezone.now()
        problems = [*_place(check), *removed_unsealed()]
        if not problems:
            more, found = _new(check, new)
            problems += found
            problems += _again(check, again, now)
        else:
            more = False
        _settle(check, problems, now)
    return more


def _place(check: AuditCheck) -> list[str]:
    """Check that the seal where the last batch ended is still there and unchanged."""
    if not check.sequence:
        return []
    seal = AuditSeal.objects.filter(pk=check.sequence).first()
    if seal is None:
        return [f"sequence {check.sequence}: verified before and not in the chain: cut off"]
    if seal.hash != check.hash:
        return [f"sequence {check.sequence}: it had another hash when it was verified"]
    return []


def _new(check: AuditCheck, limit: int) -> tuple[bool, list[str]]:
    report = part_verify(after=check.sequence, hash=check.hash, limit=limit)
    if report.whole:
        check.sequence, check.hash = report.head_sequence, report.head_hash
    return report.whole and report.entries == limit, report.problems


def _again(check: AuditCheck, limit: int, now: datetime) -> list[str]:
    if check.again_began_at is None:
        check.again_began_at = now
    report = part_verify(
        after=check.again_sequence, hash=check.again_hash, upto=check.sequence, limit=limit
    )
    if not report.whole:
        return report.problems
    check.again_sequence, check.again_hash = report.head_sequence, report.head_hash
    if check.again_sequence >= check.sequence:
        check.whole_at, check.again_began_at = check.again_began_at, None
        check.again_sequence, check.again_hash = 0, ""
    return []


def _settle(check: AuditCheck, problems: list[str], now: datetime) -> None:
    problems = list(dict.fromkeys(problems))
    known, check.problems = check.problems, problems[:MOST_PROBLEMS]
    check.problem_count = len(problems)
    check.at = now
    if not problems:
        if check.broken_since is not None:
            log.warning("audit_chain_mended", since=check.broken_since.isoformat())
        check.broken_since = check.told_at = None
    else:
        check.broken_since = check.broken_since or now
        silent = check.told_at is not None and now - check.told_at < TELL_AGAIN
        if not silent or known != check.problems:
            check.told_at = now
            log.error(
                "audit_chain_broken",
                alert=True,
                count=check.problem_count,
                problems=check.problems[:5],
                since=check.broken_since.isoformat(),
            )
    check.save()
