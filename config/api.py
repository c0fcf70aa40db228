"""The API: assembles the apps' routers, reads bodies strictly, guards its own description."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser

from apps.accounts.auth import api_auth, authenticate
from apps.approvals.api import router as approvals_router
from apps.automations.api import router as automations_router
from apps.automations.workflow_api import router as workflow_router
from apps.bookings.api import bookings_router, trips_router
from apps.common.strict_json import document_of
from apps.console.api import audit_router
from apps.console.search import search_router
from apps.filters.api import router as filters_router
from apps.interventions.api import (
    batches_router,
    budgets_router,
    features_router,
    outcomes_router,
    policies_router,
)
from apps.interventions.api import router as interventions_router
from apps.notifications.api import notifications_router
from apps.notifications.api import router as webhooks_router
from apps.payments.api import router as payments_router
from apps.payments.quarantine_api import router as quarantine_router
from apps.payments.replay_api import router as replays_router
from apps.pix.api.claims import router as claims_router
from apps.pix.api.entries import router as pix_entries_router
from apps.pix.api.infractions import router as infractions_router
from apps.pix.api.syncs import router as syncs_router
from apps.wallets.api import adjustments_router as wallet_adjustments_router
from apps.wallets.api import riders_router
from apps.wallets.api import router as wallets_router
from apps.wallets.topup_api import invoices_router, paystack_router
from apps.wallets.topup_api import router as topups_router
from config import problems

DESCRIPTION = """\
Authenticate with a key in `X-API-Key`; inside a signed-in browser session unsafe methods need the
CSRF token in `X-CSRFToken`. Money is decimal in major units, as strings. Lists answer
`{items, next}`; pass `next` as `cursor`. Errors are problem documents (RFC 9457) with a stable
`code`. Version 1 only grows.
"""

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "With code validation_error: what is wrong, where.",
            "items": {
                "type": "object",
                "required": ["loc", "type", "msg"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "type": {"type": "string"},
                    "msg": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}
_PROBLEM = {
    "description": "A problem document.",
    "content": {problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class StrictParser(Parser):
    """JSON as in RFC 8259, without NaN or Infinity, and without text that PostgreSQL cannot
    store."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the document. The framework turns any exception into a 400; an Invalid keeps its
        code."""
        return document_of(request.body)


class CountersignAPI(NinjaAPI):
    """Uses view names as operation ids, which survive moving a function, and describes the
    errors."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the view function's name, which must be unique in the API:
        `intervention_cancel`."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the description, with the problem documents that every operation can answer."""
        schema = super().get_openapi_schema(**options)
        for path in schema["paths"].values():
            for operation in path.values():
                answers = operation["responses"]
                for status in [*answers, *problems.DOCUMENTED]:
                    if str(status).isdigit() and int(status) >= 400:
                        answers[status] = _PROBLEM
        schema["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
        return schema


def guarded(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Guard the description and its page: 401 for unknown callers; browsers are sent to sign in."""

    @wraps(view, assigned=())
    def inner(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        try:
            user = authenticate(request)
        except Exception as error:
            return api.on_exception(request, error)
        if user is not None:
            return view(request, **kwargs)
        match = request.resolver_match
        if match is not None and match.url_name == "openapi-view":
            return redirect_to_login(request.get_full_path())
        return problems.problem(status=401, code="not_authenticated")

    return inner


@csrf_exempt
def unknown_address(request: HttpRequest, **_: Any) -> HttpResponse:
    """Answer 404 for any other URL below /api/; the middleware makes it a problem document."""
    raise Http404


api = CountersignAPI(
    title="Countersign",
    version="1",
    description=DESCRIPTION,
    auth=api_auth,
    parser=StrictParser(),
    docs_decorator=guarded,
)
problems.install(api)
api.add_router("/approvals", approvals_router)
# Before `/{intervention_id}`, because the first matching route answers.
api.add_router("/interventions", outcomes_router)
api.add_router("/interventions", interventions_router)
api.add_router("/intervention-batches", batches_router)
api.add_router("/policies", policies_router)
api.add_router("/budgets", budgets_router)
api.add_router("/bookings", bookings_router)
api.add_router("/features", features_router)
api.add_router("/trips", trips_router)
api.add_router("/audit", audit_router)
api.add_router("/search", search_router)
api.add_router("/filters", filters_router)
# Before `/webhooks/{webhook_id}`: Paystack signs and has no key.
api.add_router("/webhooks/paystack", paystack_router)
api.add_router("/webhooks", webhooks_router)
api.add_router("/notifications", notifications_router)
api.add_router("/payment-events", payments_router)
api.add_router("/quarantine", quarantine_router)
api.add_router("/replay-runs", replays_router)
api.add_router("/automations", automations_router)
api.add_router("/pix/claims", claims_router)
api.add_router("/workflow", workflow_router)
api.add_router("/pix/infractions", infractions_router)
api.add_router("/riders", riders_router)
api.add_router("/wallets", wallets_router)
api.add_router("/wallets", topups_router)
api.add_router("/invoices", invoices_router)
api.add_router("/wallet-adjustments", wallet_adjustments_router)
api.add_router("/pix/entries", pix_entries_router)
api.add_router("/pix/sync-runs", syncs_router)
