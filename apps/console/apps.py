from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "apps.console"
    label = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        from django.contrib import admin

        from apps.console import registration

        registration.register()

        # The breadcrumbs lead everywhere; the width belongs to the lists.
        admin.site.enable_nav_sidebar = False
        admin.site.site_url = "/"
        admin.site.index_title = "All records"
