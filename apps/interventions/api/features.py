"""API of the feature store. Mounted at /api/v1/features."""

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.auth import require
from apps.common.errors import Invalid, NotAllowed, NotFound
from apps.common.language import lazy as _
from apps.common.validation import clean_payee
from apps.interventions.scopes import Scope
from apps.interventions.services.online_store import features_online

router = Router(tags=["features"])

VIEW_FEATURES = "interventions.view_featurevalue"


class FeaturesOut(Schema):
    """`source`: `redis` is the cached copy, which may be a moment behind; `postgres` the store
    itself."""

    entity: str
    features: dict[str, str] = Field(description="Decimals by name.")
    source: Literal["redis", "postgres"]


@router.get("/{path:entity}", response=FeaturesOut)
def features_read(request: HttpRequest, entity: str) -> dict[str, Any]:
    """Return the features of a target. The name is normalised as a payment's: NFC, one blank
    between words."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    if not user.has_perm(VIEW_FEATURES):
        raise NotAllowed(_("You may not see features."), code="permission_denied")
    try:
        # Normalised as in the store, so that names that read the same are the same target.
        target = clean_payee(entity)
    except Invalid:
        raise NotFound(_("Nothing is known of that target.")) from None
    found = features_online(target)
    if not found.values:
        raise NotFound(_("Nothing is known of that target."))
    return {
        "entity": target,
        "features": {name: f"{value:f}" for name, value in found.values.items()},
        "source": found.source,
    }
