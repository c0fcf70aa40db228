from django.apps import AppConfig

from apps.common.language import lazy as _


class AutomationsConfig(AppConfig):
    name = "apps.automations"
    label = "automations"
    verbose_name = _("Automations")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.automations import leader_tasks, registration

        registration.register()
        leader_tasks.register_all()
