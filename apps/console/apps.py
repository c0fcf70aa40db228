from django.apps import AppConfig

from apps.common.language import lazy as _


class ConsoleConfig(AppConfig):
    name = "apps.console"
    label = "console"
    verbose_name = _("Console")

    def ready(self) -> None:
        from django.contrib import admin

        from apps.console import registration

        registration.register()

        # The breadcrumbs are enough for navigation; the lists need the width.
        admin.site.enable_nav_sidebar = False
        admin.site.site_url = "/"
        admin.site.index_title = "All records"
