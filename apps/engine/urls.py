"""URLs of the engine."""

from django.urls import URLPattern, URLResolver, path

from apps.engine.views import commands, health, runs, schedules, workers

urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health.health, name="health"),
    path("ready", health.ready, name="ready"),
    *workers.urls(),
    *runs.LIST_PAGE.urls("workers/runs/"),
    *runs.DETAIL_PAGE.urls("workers/runs/<int:key>/"),
    *runs.VERBS.urls("workers/runs/<int:key>/"),
    *commands.LIST_PAGE.urls("workers/commands/"),
    *commands.DETAIL_PAGE.urls("workers/commands/<int:key>/"),
    *commands.VERBS.urls("workers/commands/<int:key>/"),
    *schedules.urls(),
]
