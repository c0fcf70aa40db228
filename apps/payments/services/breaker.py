"""The breaker of calls to the inference service: a row a step, which all workers and the admission
share. No lock is held during a call."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.payments.models import InferenceBreaker

#: Failures in a row that open it.
FAILURES = 5

#: One statement, so that of many who ask at once one is the probe.
_PROBE = """
UPDATE payments_inference_breaker
   SET open_until = %s
 WHERE step = %s AND open_until <= %s
RETURNING step
"""


@dataclass(frozen=True)
class Look:
    """Whether a call should be made now, whether one failed lately, and whether this call is the
    only one that is made now."""

    may_call: bool
    troubled: bool = False
    probe: bool = False


def look(step: str) -> Look:
    """Look at the step's breaker before a call: it is closed, or the time of the next probe has
    come and this call is the probe."""
    row = InferenceBreaker.objects.filter(step=step, failures__gt=0).first()
    if row is None:
        return Look(True)
    if row.open_until is None:
        return Look(True, troubled=True)
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_PROBE, [now + _pause(), step, now])
        return Look(cursor.fetchone() is not None, troubled=True, probe=True)


def is_closed() -> bool:
    """Return whether every step's breaker is closed: only then are further events admitted, but for
    the few that probe."""
    return not InferenceBreaker.objects.filter(open_until__isnull=False).exists()


def succeeded(step: str) -> None:
    """Close the breaker, after a call before which it was troubled."""
    InferenceBreaker.objects.filter(step=step).update(failures=0, open_until=None, last_error="")


def failed(step: str, error: str) -> None:
    """Count a failure; the fifth in a row opens the breaker, and a probe's keeps it open."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO payments_inference_breaker AS known (step, failures, last_error)
            VALUES (%s, 1, %s)
            ON CONFLICT (step) DO UPDATE SET
                failures = known.failures + 1,
                last_error = EXCLUDED.last_error,
                open_until = CASE WHEN known.failures + 1 >= %s THEN %s END
            """,
            [step, error[:300], FAILURES, timezone.now() + _pause()],
        )


def _pause() -> timedelta:
    return timedelta(seconds=settings.INFERENCE_PROBE_SECONDS)
