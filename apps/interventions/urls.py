"""Addresses of the app `interventions`."""

from django.urls import URLPattern, URLResolver, path

from apps.interventions.views import budgets, interventions

urlpatterns: list[URLPattern | URLResolver] = [
    path("interventions/", interventions.interventions, name="interventions"),
    path("interventions/live/", interventions.interventions_live, name="interventions_live"),
    path("interventions/new/", interventions.intervention_new, name="intervention_new"),
    path(
        "interventions/<uuid:intervention_id>/",
        interventions.intervention_page,
        name="intervention",
    ),
    path(
        "interventions/<uuid:intervention_id>/live/",
        interventions.intervention_live,
        name="intervention_live",
    ),
    path("budgets/", budgets.budgets, name="budgets"),
    path("budgets/live/", budgets.budgets_live, name="budgets_live"),
    path("budgets/<slug:code>/", budgets.budget_page, name="budget"),
    path("budgets/<slug:code>/live/", budgets.budget_live, name="budget_live"),
]
