from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "apps.engine"
    label = "engine"
    verbose_name = "Engine"

    def ready(self) -> None:
        from apps.live.topics import Topic, register

        register(Topic("engine", permission="engine.view_enginecommand"))
