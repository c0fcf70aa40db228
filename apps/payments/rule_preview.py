"""Previews a business rule before it is saved: what changes, and which kept events would fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext, ngettext

from apps.common.canonical_json import digest
from apps.payments.models import PaymentEvent, PaymentRule
from apps.payments.rule_parameters import REQUIRABLE, Parameters
from apps.payments.rule_text import LISTS, entries_in_words, rule_in_words
from apps.payments.rules import CHECKS, rule_of

#: The newest kept events on which a changed rule is tried.
MOST_TRIED = 1000


@dataclass(frozen=True)
class Change:
    """A line of the comparison: only so before (`was`), or only so afterwards (`is`)."""

    kind: str
    words: str


@dataclass(frozen=True)
class RulePreview:
    """`effect` says how many kept events would fail. `stamp` identifies what was previewed."""

    changes: list[Change]
    effect: str
    stamp: str
    version: int
    notes: list[str] = field(default_factory=list)


def rule_preview(row: PaymentRule, parameters: Parameters, *, enabled: bool) -> RulePreview:
    """Preview parameters that `parameters_checked` has returned. Reads only: one query, of at most
    MOST_TRIED events."""
    return RulePreview(
        changes=_changes(row, parameters, enabled=enabled),
        effect=_effect(row, parameters, enabled=enabled),
        stamp=digest(
            {
                "code": row.code,
                "version": row.version,
                "parameters": parameters,
                "enabled": enabled,
            }
        ),
        version=row.version,
        notes=[
            gettext("Events that are kept already stay. From saving on, events are checked by it.")
        ],
    )


def failing_count(code: str, *variants: Parameters) -> tuple[int, list[int]]:
    """Return how many kept events were tried, the newest MOST_TRIED at most, and how many of them
    fail the rule with each of these parameters. Their time is that of their being kept."""
    rules = [rule_of(code, parameters) for parameters in variants]
    counts = [0] * len(rules)
    rows = list(
        PaymentEvent.objects.order_by("-ingested_at", "-id").values(*REQUIRABLE, "ingested_at")[
            :MOST_TRIED
        ]
    )
    for event in rows:
        for number, rule in enumerate(rules):
            counts[number] += bool(CHECKS[code](event, rule.parameters, event["ingested_at"]))
    return len(rows), counts


# --- helpers --------------------------------------------------------------------------------------
def _changes(row: PaymentRule, parameters: Mapping[str, Any], *, enabled: bool) -> list[Change]:
    changes: list[Change] = []
    if row.enabled != enabled:
        states = {True: gettext("in force"), False: gettext("switched off")}
        changes += [Change("was", states[row.enabled]), Change("is", states[enabled])]
    if row.parameters == parameters:
        return changes
    name = LISTS.get(row.code)
    if name is None:
        return [
            *changes,
            Change("was", rule_in_words(row.code, row.parameters)),
            Change("is", rule_in_words(row.code, parameters)),
        ]
    before, after = row.parameters[name], parameters[name]
    gone = sorted(set(before) - set(after))
    new = sorted(set(after) - set(before))
    changes += [Change("was", entries_in_words(gone))] if gone else []
    changes += [Change("is", entries_in_words(new))] if new else []
    if not gone and not new:
        changes.append(Change("is", gettext("the same entries in another order")))
    return changes


def _effect(row: PaymentRule, parameters: Parameters, *, enabled: bool) -> str:
    tried, (failing, failing_now) = failing_count(row.code, parameters, dict(row.parameters))
    if not tried:
        return gettext("No event is kept yet on which it could be tried.")
    text = ngettext(
        "Tried on the newest kept event: {failing} would fail it, and {now} the rule as it is now.",
        "Tried on the {tried} newest kept events, no more: {failing} would fail it, and {now} the "
        "rule as it is now.",
        tried,
    ).format(
        tried=f"{tried:,}",
        failing=f"{failing if enabled else 0:,}",
        now=f"{failing_now if row.enabled else 0:,}",
    )
    return text
