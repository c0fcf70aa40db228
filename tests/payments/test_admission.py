"""Admission while the inference service is away: a probe now and then, whichever events fail."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.payments.models import Intake
from apps.payments.services import breaker
from apps.payments.services.admission import PROBE_HOLD, events_admit
from apps.payments.services.intake import events_take
from tests.payments.samples import a_message, an_event

pytestmark = pytest.mark.django_db(transaction=True)


def open_the_breaker() -> None:
    for _ in range(breaker.FAILURES):
        breaker.failed("fraud", "away")


def test_an_event_that_fails_for_ever_does_not_hold_the_probe(settings: Any) -> None:
    settings.INFERENCE_PROBE_SECONDS = 10.0
    settings.PAYMENTS_MAX_OPEN = 3
    events_take([a_message(an_event(f"stripe:p-{n}"), offset=n) for n in range(6)])
    open_the_breaker()
    assert [events_admit(), events_admit()] == [1, 0]
    for admitted in (1, 1, 0):
        # Nobody has had an answer for so long; never more than may be open at all.
        at = timezone.now() - timedelta(seconds=PROBE_HOLD * 10 + 1)
        Intake.objects.filter(admitted_at__isnull=False).update(admitted_at=at)
        assert events_admit() == admitted
        assert events_admit() == 0
