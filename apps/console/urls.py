"""URLs of the console."""

from django.urls import URLPattern, URLResolver, path

from apps.console import audit, search, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("home/live/", views.home_live, name="home_live"),
    path("audit/", audit.audit, name="audit"),
    path("audit/export/", audit.audit_export, name="audit_export"),
    path("counts/", views.counts, name="counts"),
    path("search/", search.search_page, name="search"),
    path("navigation/rail/", views.rail, name="rail"),
]
