"""Addresses of the app `interventions`."""

from django.urls import URLPattern, URLResolver, path

from apps.interventions.views import batches, budgets, interventions, outcomes, policies, transfers

urlpatterns: list[URLPattern | URLResolver] = [
    path("interventions/", interventions.interventions, name="interventions"),
    path("interventions/live/", interventions.interventions_live, name="interventions_live"),
    path("interventions/outcomes/", outcomes.outcomes, name="outcomes"),
    path("interventions/batches/", batches.batches, name="batches"),
    path("interventions/batches/live/", batches.batches_live, name="batches_live"),
    path("interventions/batches/new/", batches.batch_new, name="batch_new"),
    *batches.RUNS.paths("interventions/batches/"),
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
    path("policies/", policies.policies, name="policies"),
    # No code begins with `-`: this is no policy's page.
    path("policies/-/live/", policies.policies_live, name="policies_live"),
    path("policies/<slug:code>/", policies.policy_page, name="policy"),
    path("policies/<slug:code>/live/", policies.policy_live, name="policy_live"),
    path("budgets/", budgets.budgets, name="budgets"),
    path("budgets/live/", budgets.budgets_live, name="budgets_live"),
    path("budgets/transfers/", transfers.transfers, name="transfers"),
    path("budgets/transfers/live/", transfers.transfers_live, name="transfers_live"),
    path("budgets/transfers/new/", transfers.transfer_new, name="transfer_new"),
    path("budgets/transfers/<uuid:transfer_id>/", transfers.transfer_page, name="transfer"),
    path(
        "budgets/transfers/<uuid:transfer_id>/live/",
        transfers.transfer_live,
        name="transfer_live",
    ),
    path("budgets/<slug:code>/ledger.csv", budgets.ledger_csv, name="budget_ledger"),
    path("budgets/<slug:code>/", budgets.budget_page, name="budget"),
    path("budgets/<slug:code>/live/", budgets.budget_live, name="budget_live"),
]
