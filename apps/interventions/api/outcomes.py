"""The API of outcomes. Mounted at /api/v1/interventions, before the operations of one of them."""

from datetime import date
from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from apps.accounts.auth import require
from apps.common.outcomes import Found
from apps.common.windows import window_of
from apps.interventions.scopes import Scope
from apps.interventions.services.analytics import OUTCOMES, By
from apps.web.outcomes import outcomes_shape

router = Router(tags=["interventions"])


@router.get("/outcomes", response=outcomes_shape(OUTCOMES, "Intervention"), by_alias=True)
def outcomes_read(
    request: HttpRequest,
    from_: Annotated[date | None, Query(alias="from")] = None,
    to: date | None = None,
    by: By = By.POLICY,
) -> Found:
    """What ended on these days (the last 30 unless given, at most 366), of what the caller may
    see. Days are those of the site's time zone, both included."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    window = window_of(first=from_, last=to, as_of=timezone.now())
    return OUTCOMES.of(user=user, window=window, by=by)
