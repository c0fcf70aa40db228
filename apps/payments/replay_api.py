"""API of replays of quarantined events. Mounted at /api/v1/replay-runs."""

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Failing, Key, Unjudged
from apps.common.errors import Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.run_api import ProgressOut, run_routes
from apps.payments.contracts import ReplayItemStatus, ReplayStatus
from apps.payments.forms import QuarantineFilter, ReplayFilter
from apps.payments.models import QuarantinedEvent, ReplayRun
from apps.payments.scopes import Scope
from apps.payments.services import replays
from apps.payments.services.replays import RATE, RUN, STOP_SHARE, Pace

router = Router(tags=["quarantine"])

#: Ids of one request; a filter or a group has more.
MOST_IDS = 1000


class ReplayIn(Schema):
    """Which events: `ids`, or else the open ones that `group` and `filter` match (`q`, `stage`,
    `code`, `event_id`, as in the list); one of them is required. `rate`: events a second after a
    ramp of 1, 5 and 20; the replay pauses when more than `stop_share` of at least five have failed
    again."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(max_length=MOST_IDS)] = []
    group: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    filter: dict[str, str] = {}
    rate: int = RATE
    stop_share: float = STOP_SHARE
    reason: Unjudged = ""
    idempotency_key: Key = ""


class ReplayRef(Failing):
    """A replay, in short."""

    id: UUID
    status: ReplayStatus
    workflow_id: str


class ReplayOut(ProgressOut, ReplayRef):
    """total = waiting + running + done + failed + cancelled."""

    chosen: dict[str, Any]
    rate: int
    stop_share: float
    reason: str
    requested_by: str = Field(validation_alias="requested_by.username")
    created_at: datetime
    settled_at: datetime | None


class ReplayItemOut(Failing):
    """An event of a replay. `version`: that is carried; 0: as it came."""

    number: int
    status: ReplayItemStatus
    event: UUID = Field(validation_alias="event_id")
    version: int = Field(validation_alias="edit")
    begun_at: datetime | None
    settled_at: datetime | None


@router.post("", response={200: ReplayRef, 201: ReplayRef})
def replay_create(request: HttpRequest, body: ReplayIn) -> Status[ReplayRun]:
    """Replay many events: by their ids, of a group, or what a filter matches now. Repeating key and
    body returns the first replay, with 200.

    Refusals: 403 `permission_denied`; 404 `quarantined_event_not_found` (extra ids); 409
    `idempotency_key_reused`; 422 `no_items`, `too_many_items`, `nothing_chosen`, `filter_invalid`,
    `rate_invalid`, `stop_share_invalid`, `reason_invalid`.
    """
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    if not user.has_perm("payments.view_quarantinedevent"):
        raise NotAllowed(_("You may not replay events."), code="permission_denied")
    events, said = _chosen(body, user)
    run, created = replays.replay_make(
        events=events,
        said=said,
        pace=Pace(body.rate, body.stop_share),
        reason=body.reason,
        idempotency_key=body.idempotency_key,
        by=user,
        via="api",
        as_of=timezone.now(),
    )
    return Status(201 if created else 200, run)


run_routes(
    router,
    RUN,
    name="replay",
    rows=lambda user: ReplayRun.objects.visible_to(user).select_related("requested_by"),
    filters=ReplayFilter,
    answers=(ReplayOut, ReplayOut, ReplayItemOut),
    statuses=ReplayItemStatus,
    scopes=(Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE),
)


# --- helpers --------------------------------------------------------------------------------------
def _chosen(body: ReplayIn, user: User) -> tuple[Any, dict[str, Any]]:
    if body.ids:
        if body.group or body.filter:
            raise Invalid(_("Send ids, or else a group and a filter."), code="nothing_chosen")
        return _by_ids(body.ids)
    given = {**body.filter, **({"group": str(body.group)} if body.group else {})}
    if not given:
        raise Invalid(_("Say which events: ids, a group, or a filter."), code="nothing_chosen")
    form = QuarantineFilter(given)
    if unknown := set(given) - set(QuarantineFilter.lookups) | ({"state"} & set(given)):
        raise Invalid(
            filled(_("There is no filter {names}."), names=", ".join(sorted(unknown))[:200]),
            code="filter_invalid",
        )
    if not form.is_valid():
        raise Invalid(_("The filter makes no sense."), code="filter_invalid")
    return form.chosen(user), form.said()


def _by_ids(ids: list[UUID]) -> tuple[Any, dict[str, Any]]:
    rows = QuarantinedEvent.objects.filter(pk__in=ids)
    known = set(rows.values_list("pk", flat=True))
    if unknown := sorted(set(map(str, ids)) - set(map(str, known))):
        raise NotFound(
            filled(_("{count} of these events are not there."), count=len(unknown)),
            code="quarantined_event_not_found",
            ids=unknown[:20],
        )
    listed = sha256(" ".join(sorted(map(str, known))).encode()).hexdigest()
    return rows, {"ids": len(known), "digest": listed}
