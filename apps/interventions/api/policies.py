"""API of policies. Mounted at /api/v1/policies."""

from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.common.api import Cursor, Limit, exactly
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.interventions.api.base import reader
from apps.interventions.models import Policy
from apps.interventions.scopes import Scope
from apps.interventions.services.policy_terms import signatures_of

router = Router(tags=["policies"])

VIEW_POLICIES = "interventions.view_policy"


class PolicyVersion(Schema):
    """Amounts are decimals in major units of `currency`; null, or an empty list, means no limit."""

    version: int
    active: bool
    name: str
    currency: str
    reversible: bool
    min_amount: str | None
    max_amount: str | None
    target_limit: str | None = Field(description="Most for one target within `target_days`.")
    target_days: int | None
    valid_from: date | None
    valid_until: date | None = Field(description="The last day, in the site's time zone.")
    regions: list[str] = Field(description="ISO 3166; a country covers its parts.")
    created_at: datetime

    resolve_min_amount = exactly("min_amount")
    resolve_max_amount = exactly("max_amount")
    resolve_target_limit = exactly("target_limit")


class PolicyRow(PolicyVersion):
    """`signatures`: what each amount needs by the current rule, in words, from the lowest amount
    up."""

    code: str
    signatures: list[str]


class PolicyOut(PolicyRow):
    """The newest version, and a page of all versions, newest first."""

    versions: list[PolicyVersion]
    next: str | None


class PolicyPage(Schema):
    items: list[PolicyRow]
    next: str | None


@router.get("", response=PolicyPage)
def policy_list(request: HttpRequest, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    """List the active versions, newest first."""
    _reader(request)
    found = page(Policy.objects.filter(active=True), cursor=cursor, limit=limit)
    _signed(found["items"])
    return found


@router.get("/{code}", response=PolicyOut)
def policy_read(request: HttpRequest, code: str, cursor: Cursor = None, limit: Limit = 50) -> Any:
    """Return one policy as it is now, also if inactive, and its versions."""
    _reader(request)
    versions = Policy.objects.filter(code=code[:81])
    newest = versions.order_by("-version").first() if "\x00" not in code else None
    if newest is None:
        raise NotFound(_("There is no such policy."))
    (policy,) = _signed([newest])
    found = page(versions, cursor=cursor, limit=limit)
    policy.versions, policy.next = found["items"], found["next"]
    return policy


def _reader(request: HttpRequest) -> None:
    reader(request, Scope.INTERVENTIONS_READ, VIEW_POLICIES, "You may not see policies.")


def _signed(policies: list[Any]) -> list[Any]:
    """Set on each policy who signs under it, which PolicyRow reads; one query for all of them."""
    found = signatures_of(policies)
    for policy in policies:
        policy.signatures = found[policy.code]
    return policies
