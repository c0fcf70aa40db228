from django.apps import AppConfig

from apps.common.language import lazy as _


class EngineConfig(AppConfig):
    name = "apps.engine"
    label = "engine"
    verbose_name = _("Engine")

    def ready(self) -> None:
        from apps.engine import database_sessions, registration
        from apps.live.topics import Topic, register

        database_sessions.tell_every_session()
        registration.register()
        register(Topic("engine", permission="engine.view_enginecommand"))
