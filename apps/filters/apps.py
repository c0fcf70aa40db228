from django.apps import AppConfig

from apps.common.language import lazy as _


class FiltersConfig(AppConfig):
    name = "apps.filters"
    label = "filters"
    verbose_name = _("Saved filters")

    def ready(self) -> None:
        """Register the app with the shared site."""
        from apps.filters import registration

        registration.register()
