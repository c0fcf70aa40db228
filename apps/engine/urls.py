"""URLs of the engine."""

from django.urls import URLPattern, URLResolver, path

from apps.engine import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("health", views.health, name="health"),
    path("ready", views.ready, name="ready"),
]
