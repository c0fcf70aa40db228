from django.apps import AppConfig

from apps.common.language import lazy as _


class WalletsConfig(AppConfig):
    name = "apps.wallets"
    label = "wallets"
    verbose_name = _("Wallets")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.wallets import leader_tasks
        from apps.wallets.registration import adjustments, search, shell, texts, topups

        texts.register()
        shell.register()
        search.register()
        adjustments.register()
        topups.register()
        leader_tasks.register_all()
