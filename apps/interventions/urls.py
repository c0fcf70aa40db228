"""Addresses of the app `interventions`."""

from django.urls import URLPattern, URLResolver, path

from apps.interventions import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("interventions/", views.interventions, name="interventions"),
    path("interventions/live/", views.interventions_live, name="interventions_live"),
    path("interventions/new/", views.intervention_new, name="intervention_new"),
    path("interventions/<uuid:intervention_id>/", views.intervention_page, name="intervention"),
    path(
        "interventions/<uuid:intervention_id>/live/",
        views.intervention_live,
        name="intervention_live",
    ),
    path("budgets/", views.budgets, name="budgets"),
    path("budgets/live/", views.budgets_live, name="budgets_live"),
    path("budgets/<slug:code>/", views.budget_page, name="budget"),
    path("budgets/<slug:code>/live/", views.budget_live, name="budget_live"),
]
