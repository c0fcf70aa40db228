from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "apps.live"
    label = "live"
    verbose_name = "Live pages"

    def ready(self) -> None:
        from apps.live.topics import Topic, register

        register(Topic("home"))
