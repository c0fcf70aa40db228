from django.apps import AppConfig
from django.db.models.signals import post_migrate

from apps.common.language import lazy as _


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"
    verbose_name = _("Payments")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.payments import leader_tasks
        from apps.payments.registration import edits, events, replays, shell, texts

        texts.register()
        events.register()
        edits.register()
        replays.register()
        shell.register()
        leader_tasks.register_all()
        post_migrate.connect(events.rules_ensure, sender=self, dispatch_uid="payments.rules")
