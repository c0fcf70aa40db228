"""API of rules: list versions, create one, preview one."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Query, Schema
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals import kinds, services
from apps.approvals.api.base import READ, router
from apps.approvals.models import ApprovalRule
from apps.approvals.rule_preview import Preview, rule_preview
from apps.approvals.rule_text import rule_in_words
from apps.approvals.scopes import Scope
from apps.audit.services import refusals
from apps.common.api import AmountText, Cursor, Limit, PersonOut, Words
from apps.common.errors import NotAllowed
from apps.common.language import lazy as _
from apps.common.pagination import page

VIEW_PERMISSION = "approvals.view_approvalrule"
ADD_PERMISSION = "approvals.add_approvalrule"
CHANGE_PERMISSION = "approvals.change_approvalrule"


class RuleLine(Schema):
    """A version of a rule. `words` describe its `bands` (docs/contracts/rules.md), lowest amount
    first. `put_by` null: no user created it."""

    id: int
    kind: str
    scope: str
    version: int
    currency: str
    active: bool
    bands: list[dict[str, Any]]
    words: list[Words]
    put_by: PersonOut | None
    created_at: datetime

    @staticmethod
    def resolve_words(rule: ApprovalRule) -> list[str]:
        """Describe the bands in words, lowest amount first."""
        return rule_in_words(rule)


class RulePage(Schema):
    items: list[RuleLine]
    next: str | None


class RuleFilters(Schema):
    kind: Annotated[str, Field(max_length=60, pattern=r"^[a-z0-9_.]*$")] = ""
    scope: Annotated[str | None, Field(max_length=80, pattern=r"^[^\x00]*$")] = None
    active: bool | None = None
    cursor: Cursor = None
    limit: Limit = 50


class NewRule(Schema):
    """`scope`: such as a policy's code; empty: the kind's general rule."""

    # The schema limits only the size: the service checks the bands and audits refusals.
    kind: Annotated[str, Field(max_length=60)]
    scope: Annotated[str, Field(max_length=80)] = ""
    currency: Annotated[str, Field(max_length=3)] = ""
    bands: Annotated[list[dict[str, Any]], Field(max_length=100)]


class TriedRule(NewRule):
    amount: Annotated[
        AmountText | None,
        Field(description="Which band would it match?"),
    ] = None


class TierSeen(Schema):
    """`people`: how many users can sign the tier today."""

    group: str
    quorum: int
    people: int
    warning: str
    severe: bool


class BandSeen(Schema):
    words: Words
    tiers: list[TierSeen]
    warning: str
    matches: bool


class RuleChange(Schema):
    kind: str = Field(description="was, is, or empty where nothing changes")
    words: Words


class RulePreview(Schema):
    """`before`: the version in force. `trial`: what `amount` would need."""

    bands: list[BandSeen]
    changes: list[RuleChange]
    changed: bool
    before: int | None
    trial: str
    notes: list[Words]


@router.get("/rules", response=RulePage, summary="Versions of rules, newest first")
def rule_list(request: HttpRequest, filters: Query[RuleFilters]) -> dict[str, Any]:
    """Refusals: 403 `permission_denied`; 422 `bad_cursor`."""
    require(request, scope=READ, permission=VIEW_PERMISSION)
    rows = ApprovalRule.objects.select_related("put_by")
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    if filters.scope is not None:
        rows = rows.filter(scope=filters.scope)
    if filters.active is not None:
        rows = rows.filter(active=filters.active)
    return page(rows, cursor=filters.cursor, limit=filters.limit)


@router.post("/rules", response=RuleLine, summary="Put a rule: its next version")
def rule_create(request: HttpRequest, body: NewRule) -> ApprovalRule:
    """Create the rule's next version, for requests opened from now on; open requests keep theirs.
    Bands equal to the active version's return that version. A version never frees its own author's
    requests.

    Refusals: 403 `permission_denied`; 422 `unknown_kind`, `scope_invalid`, `currency_invalid`, and
    with the number of the `band` (from 0) `bands_invalid`, `above_invalid`,
    `above_not_increasing`, `tiers_invalid`, `group_unknown`, `quorum_invalid`,
    `reason_required_invalid`, `expires_hours_invalid`, `due_hours_invalid`,
    `reminder_hours_invalid`, `escalation_invalid`.
    """
    user = require(request, scope=Scope.RULES_WRITE)
    with (
        refusals(
            action="approval.rule_put",
            subject_type="approval_rule",
            subject_id="",
            by=user,
            via="api",
        ),
        transaction.atomic(durable=True),
    ):
        _check(user, body)
        rule = services.rule_put(
            kind=body.kind,
            scope=body.scope,
            currency=body.currency,
            bands=body.bands,
            by=user,
            via="api",
        )
    return rule


@router.post("/rules/preview", response=RulePreview, summary="What a rule would mean")
def rule_try(request: HttpRequest, body: TriedRule) -> dict[str, Any]:
    """Preview a version without changing anything. Refusals: those of creating one, and 422
    `currency_mismatch`, `amount_missing`."""
    user = require(request, scope=READ, permission=VIEW_PERMISSION)
    _check(user, body)
    kinds.get(body.kind)
    services.rule_validate(body.bands, currency=body.currency)
    shown: Preview = rule_preview(
        kind=body.kind,
        scope=body.scope,
        currency=body.currency,
        bands=body.bands,
        before=_active(body),
        amount=None if body.amount is None else Decimal(body.amount),
    )
    return {
        "bands": shown.bands,
        "changes": shown.changes,
        "changed": shown.changed,
        "before": shown.before.version if shown.before else None,
        "trial": shown.trial,
        "notes": shown.notes,
    }


def _active(body: NewRule) -> ApprovalRule | None:
    return ApprovalRule.objects.filter(kind=body.kind, scope=body.scope, active=True).first()


def _check(user: User, body: NewRule) -> None:
    """Check the permission as the admin does: "add" for a new rule, "change" for a next version."""
    if user.has_perm(ADD_PERMISSION):
        return
    if not (user.has_perm(CHANGE_PERMISSION) and _active(body)):
        raise NotAllowed(_("You may not put this rule."), code="permission_denied")
