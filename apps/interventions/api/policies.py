"""The API of policies. Mounted at /api/v1/policies."""

from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.common.api import Cursor, Limit
from apps.common.errors import NotFound
from apps.common.money import exact_or_none
from apps.common.pagination import page
from apps.interventions.api.base import reader
from apps.interventions.models import Policy
from apps.interventions.scopes import Scope
from apps.interventions.services.policy_terms import signatures_of

router = Router(tags=["policies"])

VIEW_POLICIES = "interventions.view_policy"


class PolicyVersion(Schema):
    """Amounts are decimals in major units of `currency`; null, or an empty list, is no limit."""

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


class PolicyRow(PolicyVersion):
    """`signatures`: what an amount needs by the rule of now, in words, from the lowest up."""

    code: str
    signatures: list[str]


class PolicyOut(PolicyRow):
    """The newest version, and a page of all of them, the newest first."""

    versions: list[PolicyVersion]
    next: str | None


class PolicyPage(Schema):
    items: list[PolicyRow]
    next: str | None


@router.get("", response=PolicyPage)
def policy_list(request: HttpRequest, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    """The versions that apply now, the newest first."""
    _reader(request)
    found = page(Policy.objects.filter(active=True), cursor=cursor, limit=limit)
    signatures = signatures_of(found["items"])
    return {
        "items": [_row(one, signatures) for one in found["items"]],
        "next": found["next"],
    }


@router.get("/{code}", response=PolicyOut)
def policy_read(
    request: HttpRequest, code: str, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """One policy as it is now, also switched off, and its versions."""
    _reader(request)
    versions = Policy.objects.filter(code=code[:81])
    newest = versions.order_by("-version").first() if "\x00" not in code else None
    if newest is None:
        raise NotFound("There is no such policy.")
    found = page(versions, cursor=cursor, limit=limit)
    return {
        **_row(newest, signatures_of([newest])),
        "versions": [_version(one) for one in found["items"]],
        "next": found["next"],
    }


def _reader(request: HttpRequest) -> None:
    reader(request, Scope.INTERVENTIONS_READ, VIEW_POLICIES, "You may not see policies.")


def _row(policy: Policy, signatures: dict[str, list[str]]) -> dict[str, Any]:
    return {"code": policy.code, "signatures": signatures[policy.code], **_version(policy)}


def _version(policy: Policy) -> dict[str, Any]:
    amounts = {
        name: exact_or_none(getattr(policy, name), policy.currency)
        for name in ("min_amount", "max_amount", "target_limit")
    }
    others = (
        *("version", "active", "name", "currency", "reversible", "target_days", "valid_from"),
        *("valid_until", "regions", "created_at"),
    )
    return {**amounts, **{name: getattr(policy, name) for name in others}}
