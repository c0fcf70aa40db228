from django.apps import AppConfig

from apps.common.language import lazy as _


class EngineConfig(AppConfig):
    name = "apps.engine"
    label = "engine"
    verbose_name = _("Engine")

    def ready(self) -> None:
        from apps.engine import registration
        from apps.live.topics import Topic, register

        registration.register()
        register(Topic("engine", permission="engine.view_enginecommand"))
