"""The newest executions of automations."""

from collections.abc import Sequence
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery

from apps.accounts.models import User
from apps.automations.models import Automation, AutomationVersion, Execution

#: Versions of an automation whose executions are looked for.
MOST_VERSIONS = 20


def with_last_run(user: User) -> "QuerySet[Automation]":
    """Return the automations, each with `last_run`: the id of its newest execution that the user
    may see, of its newest versions. An index gives the newest one of each version."""
    newest = (
        Execution.objects.visible_to(user)
        .filter(definition=OuterRef("pk"))
        .order_by("-created_at", "-id")
    )
    versions = (
        AutomationVersion.objects.filter(
            automation=OuterRef("pk"), number__gt=OuterRef("newest") - MOST_VERSIONS
        )
        .annotate(
            run=Subquery(newest.values("pk")[:1]), at=Subquery(newest.values("created_at")[:1])
        )
        .order_by(F("at").desc(nulls_last=True))
    )
    return Automation.objects.annotate(last_run=Subquery(versions.values("run")[:1]))


def runs_by_id(ids: Sequence[Any]) -> dict[Any, Execution]:
    """Return these executions by id, without what they were given and what they gave."""
    rows = Execution.objects.filter(pk__in=ids).defer("params", "result")
    return {row.pk: row for row in rows}


def latest_runs(automation: Automation, user: User, *, most: int) -> list[Execution]:
    """Return the newest executions of the automation that the user may see, newest first."""
    newest = automation.versions.values_list("pk", flat=True)[:MOST_VERSIONS]
    # One range of the index for each version: together they would be sorted, however many.
    parts = [
        Execution.objects.visible_to(user)
        .filter(definition=version)
        .order_by("-created_at", "-id")
        .values_list("created_at", "pk")[:most]
        for version in newest
    ]
    found = sorted(parts[0].union(*parts[1:], all=True), reverse=True)[:most]
    rows = Execution.objects.filter(pk__in=[pk for _at, pk in found]).for_list()
    return list(rows)
