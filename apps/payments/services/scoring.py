"""Scores of an event by the inference service."""

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F

from apps.common.errors import Conflict, Unavailable
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import document_of
from apps.outbound.calls import Refused
from apps.payments import inference
from apps.payments.inference import Senseless, Step
from apps.payments.models import Intake
from apps.payments.services import breaker
from apps.payments.services.carrying import intake_of

#: So many answers that cannot be understood are an answer: nobody gets a better one.
MOST_SENSELESS = 10


class InferenceAway(Unavailable):
    """The service gives no score now."""

    code = "inference_unavailable"


class InferenceRefused(Conflict):
    """The service will not score this event, however often it is asked."""

    code = "inference_refused"


def score(step: Step, *, event_id: str) -> Any:
    """Return the step's score of the event.

    Raises InferenceAway (to be tried again), InferenceRefused with code `inference_refused` or
    `inference_answer_invalid`, NotFound. No lock and no transaction is open during the call.
    """
    intake = intake_of(event_id)
    before = breaker.look(step.name)
    if not before.may_call:
        # Not all at once: whoever comes first after the pause probes.
        pause = settings.INFERENCE_PROBE_SECONDS * random.uniform(1, 3)  # noqa: S311
        raise InferenceAway(
            _("The inference service does not answer; a probe is sent now and then."),
            retry_after=timedelta(seconds=pause),
        )
    try:
        found = inference.ask(step, event_id, _body(intake))
    except Refused as refused:
        if before.troubled:
            breaker.succeeded(step.name)
        raise InferenceRefused(
            filled(
                _("The inference service refuses the event: {reason}"),
                reason=f"{refused.code}: {refused.reason}"[:300],
            )
        ) from None
    except Senseless as senseless:
        _count_senseless(intake)
        raise InferenceAway(
            filled(_("The inference service's answer makes no sense: {why}"), why=senseless)
        ) from None
    except Unavailable as away:
        breaker.failed(step.name, str(away.detail))
        raise
    if before.troubled:
        breaker.succeeded(step.name)
    return found


def _body(intake: Intake) -> Mapping[str, Any]:
    """Return the event as it came. Not exactly: a score needs no more digits than a float has."""
    document: Mapping[str, Any] = document_of(bytes(intake.raw))
    return document


def _count_senseless(intake: Intake) -> None:
    Intake.objects.filter(pk=intake.pk).update(senseless=F("senseless") + 1)
    if intake.senseless + 1 >= MOST_SENSELESS:
        raise InferenceRefused(
            filled(
                _("{count} answers of the inference service made no sense."), count=MOST_SENSELESS
            ),
            code="inference_answer_invalid",
        )
