"""`manage.py consumeevents`: takes payment events in from their topics until SIGTERM."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.payments.consuming import payments_consumer, source_of_settings
from apps.streams.serving import ConsumerProcess


class Command(BaseCommand):
    help = "Take payment events in from PAYMENTS_SOURCE until SIGTERM or SIGINT."
    # They load every page and form, which this process never serves.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        source = source_of_settings()
        ConsumerProcess(
            payments_consumer(source), lag=source.lag, port=settings.CONSUMER_HEALTH_PORT
        ).run()
