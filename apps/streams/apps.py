from django.apps import AppConfig

from apps.common.language import lazy as _


class StreamsConfig(AppConfig):
    name = "apps.streams"
    label = "streams"
    verbose_name = _("Streams")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.streams import leader_tasks

        leader_tasks.register_all()
