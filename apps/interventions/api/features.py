"""The API of the feature store. Mounted at /api/v1/features."""

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.contracts import Scope
from apps.errors import NotAllowed, NotFound
from apps.interventions.services.online import features_online

router = Router(tags=["features"])

VIEW_FEATURES = "interventions.view_featurevalue"
#: As the column.
LONGEST_ENTITY = 200


class FeaturesOut(Schema):
    """`source`: `redis` is the online copy, which may be a moment behind; `postgres` the store."""

    entity: str
    features: dict[str, str] = Field(description="Decimals by name.")
    source: Literal["redis", "postgres"]


@router.get("/{path:entity}", response=FeaturesOut)
def features_read(request: HttpRequest, entity: str) -> dict[str, Any]:
    """What is known of a target, by its name as payments have it."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    if not user.has_perm(VIEW_FEATURES):
        raise NotAllowed("You may not see features.", code="permission_denied")
    if len(entity) > LONGEST_ENTITY or "\x00" in entity or not _is_text(entity):
        raise NotFound("Nothing is known of that target.")
    found = features_online(entity)
    if not found.values:
        raise NotFound("Nothing is known of that target.")
    return {
        "entity": entity,
        "features": {name: f"{value:f}" for name, value in found.values.items()},
        "source": found.source,
    }


def _is_text(text: str) -> bool:
    # A path may name bytes that are no UTF-8: PostgreSQL cannot be asked for those.
    return not any("\ud800" <= character <= "\udfff" for character in text)
