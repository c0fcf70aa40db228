"""URLs of interventions and budgets."""

from django.urls import URLPattern, URLResolver, path

from apps.interventions.views import batches, budgets, interventions, policies, transfers

urlpatterns: list[URLPattern | URLResolver] = [
    *interventions.LIST_PAGE.urls("interventions/"),
    *interventions.OUTCOMES_PAGE.urls("interventions/outcomes/"),
    *batches.LIST_PAGE.urls("interventions/batches/"),
    *batches.FORM_PAGE.urls("interventions/batches/new/"),
    *batches.RUNS.paths("interventions/batches/"),
    *interventions.FORM_PAGE.urls("interventions/new/"),
    *interventions.DETAIL_PAGE.urls("interventions/<uuid:key>/"),
    # No code begins with `-`, so this is not a policy's page.
    *policies.LIST_PAGE.urls("policies/", live="policies/-/live/"),
    *policies.DETAIL_PAGE.urls("policies/<slug:key>/"),
    *budgets.LIST_PAGE.urls("budgets/"),
    *transfers.LIST_PAGE.urls("budgets/transfers/"),
    *transfers.FORM_PAGE.urls("budgets/transfers/new/"),
    *transfers.DETAIL_PAGE.urls("budgets/transfers/<uuid:key>/"),
    path("budgets/<slug:code>/ledger.csv", budgets.ledger_csv, name="budget_ledger"),
    *budgets.DETAIL_PAGE.urls("budgets/<slug:key>/"),
]
