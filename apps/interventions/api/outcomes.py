"""API of outcomes. Mounted at /api/v1/interventions, before the operations of a single
intervention."""

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
    """Return figures of the interventions that the caller may see and that ended on these days: the
    last 30 by default, at most 366. Days are in the site's time zone, first and last included."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    window = window_of(first=from_, last=to, as_of=timezone.now())
    return OUTCOMES.of(user=user, window=window, by=by)
