from django.apps import AppConfig

from apps.common.language import lazy as _


class PixConfig(AppConfig):
    name = "apps.pix"
    label = "pix"
    verbose_name = _("Pix keys")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.pix.registration import claims, infractions, keys, shell, syncs

        shell.register()
        keys.register()
        claims.register()
        infractions.register()
        syncs.register()
