"""Keeps events without a workflow, as its last activity does."""

from apps.payments.contracts import PersistInput
from apps.payments.models import Intake, PaymentEvent
from apps.payments.services.carrying import event_persist


def keep(intake: Intake) -> PaymentEvent:
    event_persist(PersistInput(event_id=intake.event_id))
    return PaymentEvent.objects.get(intake=intake)
