"""What is found of interventions, batches, transfers, budgets and policies."""

import re
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.common.language import lazy as _
from apps.common.money import shown
from apps.interventions.models import (
    Budget,
    BudgetTransfer,
    Intervention,
    InterventionBatch,
    Policy,
)
from apps.interventions.scopes import Scope
from apps.web import search
from apps.web.search import (
    BY_UUID,
    CODE,
    Found,
    Source,
    among,
    asked,
    by_text,
    by_value,
    everything,
)
from apps.web.search_query import Query
from apps.web.tones import words_of

#: Only codes of errors are words with `_` between them.
_CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")


def _intervention(row: Intervention) -> Found:
    error = row.error_code if row.error_code != row.status else ""
    return asked(row, "intervention", row.target, words_of(error) if error else "")


def _failed_alike(query: Query) -> str:
    """Return the list of interventions with this error; empty for a text that is no code."""
    if not _CODE.fullmatch(query.text):
        return ""
    return f"{reverse('interventions')}?{urlencode({'error': query.text})}"


INTERVENTIONS = Source(
    key="interventions",
    title=_("Interventions"),
    hint=_("id or workflow id, who is paid, or the code of an error"),
    scope=Scope.INTERVENTIONS_READ,
    order=10,
    find=among(
        lambda: Intervention.objects.select_related("requested_by"),
        BY_UUID,
        by_value("error_code", ("-created_at", "-id"), like=CODE),
        by_text("target"),
        found=_intervention,
        seen=Intervention.objects.seen_by,
    ),
    more=_failed_alike,
)

BATCHES = Source(
    key="batches",
    title=_("Batches"),
    hint=_("id or workflow id, or a part of the title"),
    scope=Scope.INTERVENTIONS_READ,
    order=30,
    find=among(
        lambda: InterventionBatch.objects.select_related("requested_by"),
        BY_UUID,
        by_text("title"),
        found=lambda row: asked(
            row,
            "batch",
            str(row),
            ngettext("{total:,} payment", "{total:,} payments", row.total).format(total=row.total),
        ),
        seen=InterventionBatch.objects.seen_by,
    ),
)

TRANSFERS = Source(
    key="transfers",
    title=_("Transfers"),
    hint=_("id"),
    scope=Scope.BUDGETS_READ,
    order=40,
    find=among(
        lambda: BudgetTransfer.objects.select_related("requested_by", "source", "destination"),
        BY_UUID,
        found=lambda row: asked(
            row,
            "transfer",
            gettext("{source} to {destination}").format(
                source=row.source, destination=row.destination
            ),
        ),
        seen=BudgetTransfer.objects.seen_by,
    ),
)

BUDGETS = Source(
    key="budgets",
    title=_("Budgets"),
    hint=_("a part of the code or the name"),
    permission="interventions.view_budget",
    scope=Scope.BUDGETS_READ,
    order=45,
    find=among(
        lambda: Budget.objects.all(),
        by_text("code", "name", order=("-created_at", "-id")),
        found=lambda row: Found(
            title=row.name,
            href=reverse("budget", args=[row.code]),
            key=row.code,
            notes=(
                row.period,
                gettext("{amount} free").format(amount=shown(row.available, row.currency)),
            ),
        ),
        seen=everything,
    ),
)

POLICIES = Source(
    key="policies",
    title=_("Policies"),
    hint=_("a part of the code or the name"),
    permission="interventions.view_policy",
    scope=Scope.INTERVENTIONS_READ,
    order=48,
    find=among(
        # The active versions are few, and have an index of their own.
        lambda: Policy.objects.filter(active=True),
        by_text("code", "name"),
        found=lambda row: Found(
            title=row.name,
            href=reverse("policy", args=[row.code]),
            key=row.code,
            notes=(gettext("version {version}").format(version=row.version), row.currency),
            at=row.created_at,
        ),
        seen=everything,
    ),
)


def register() -> None:
    """Register the sources. Called once, when Django is ready."""
    search.register(INTERVENTIONS, BATCHES, TRANSFERS, BUDGETS, POLICIES)
