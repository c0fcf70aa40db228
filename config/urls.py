"""The site's URLs. Each app has its own; this module includes them."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path, re_path
from django.utils.module_loading import module_has_submodule

from config.api import api, unknown_address

urlpatterns = [
    # Of every app of ours that has pages, in the order of INSTALLED_APPS.
    *(
        path("", include(f"{app.name}.urls"))
        for app in apps.get_app_configs()
        if app.name.startswith("apps.") and module_has_submodule(app.module, "urls")
    ),
    path("api/v1/", api.urls),
    re_path(r"^api/", unknown_address),
    path("admin/", admin.site.urls),
]
