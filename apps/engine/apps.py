from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "apps.engine"
    label = "engine"
    verbose_name = "Engine"

    def ready(self) -> None:
        from apps.engine import registration
        from apps.live.topics import Topic, register

        registration.register()
        register(Topic("engine", permission="engine.view_enginecommand"))
