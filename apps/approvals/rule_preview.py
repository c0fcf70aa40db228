"""Previews a rule before it is saved: its words, who could sign, and what changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.models import DECIDE_PERMISSION, ApprovalRule
from apps.approvals.rule_text import bands_in_words
from apps.approvals.rules import band_index, rule_for
from apps.common import versions
from apps.common.canonical_json import digest
from apps.common.money import shown

#: The backend that knows groups and permissions; the others only authenticate.
PERMISSIONS = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class TierPeople:
    """How many users can sign a tier today; `warning` if they are too few or just enough."""

    group: str
    quorum: int
    people: int
    warning: str = ""
    severe: bool = False


@dataclass(frozen=True)
class BandPreview:
    """One band of the rule in words; a band without tiers needs no signature."""

    words: str
    tiers: tuple[TierPeople, ...] = ()
    warning: str = ""
    matches: bool = False


@dataclass(frozen=True)
class Change:
    """A line of the comparison: only in the old version (`was`), only in the new (`is`), or both
    (``)."""

    kind: str
    words: str


@dataclass(frozen=True)
class Preview:
    """`trial` says what the tried amount would need. `stamp` identifies the previewed content."""

    bands: list[BandPreview]
    changes: list[Change]
    before: ApprovalRule | None
    trial: str = ""
    stamp: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Return whether any line differs from the previous version."""
        return any(change.kind for change in self.changes)


def rule_preview(
    *,
    kind: str,
    scope: str,
    currency: str,
    bands: list[dict[str, Any]],
    before: ApprovalRule | None,
    amount: Decimal | None = None,
) -> Preview:
    """Preview bands that `rules.rule_validate` accepts. `before`: the version to compare with.

    Counts the users who can sign now. Reads only.
    """
    words = bands_in_words(bands, currency)
    offset = len(words) - len(bands)
    people = _people_of({tier["group"] for band in bands for tier in band["tiers"]})
    unsaved = ApprovalRule(kind=kind, scope=scope, currency=currency, bands=bands)
    hit: int | None = None
    trial = ""
    if amount is not None:
        index = band_index(unsaved, amount=amount, currency=currency)
        hit = 0 if index is None else index + offset
        trial = f"{shown(amount, currency)} → {words[hit]}".strip()
    lines = [
        BandPreview(words=line, matches=number == hit) for number, line in enumerate(words[:offset])
    ]
    for number, band in enumerate(bands, start=offset):
        lines.append(_band(words[number], band, people, matches=number == hit))
    return Preview(
        bands=lines,
        changes=_changes(before, words=words, currency=currency),
        before=before,
        trial=trial,
        stamp=digest(
            {
                "kind": kind,
                "scope": scope,
                "currency": currency,
                "bands": bands,
                "before": before.pk if before else 0,
            }
        ),
        notes=_notes(kind, scope, bands),
    )


def version_before(rule: ApprovalRule) -> ApprovalRule | None:
    """Return the version that was active before this one."""
    return versions.version_before(rule, "kind", "scope")


def _people_of(groups: set[str]) -> dict[str, set[int]]:
    """Return the users who could sign for each group today: active members who may decide."""
    able = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS)
    found: dict[str, set[int]] = {name: set() for name in groups}
    rows = User.groups.through.objects.filter(
        group__name__in=groups, user_id__in=able.values("pk")
    ).values_list("group__name", "user_id")
    for name, user_id in rows:
        found[name].add(user_id)
    return found


def _band(
    words: str, band: dict[str, Any], people: dict[str, set[int]], *, matches: bool
) -> BandPreview:
    tiers = tuple(
        _tier(tier["group"], tier.get("quorum", 1), len(people[tier["group"]]))
        for tier in band["tiers"]
    )
    needed = sum(tier.quorum for tier in tiers)
    together = len(set().union(*(people[tier.group] for tier in tiers)))
    warning = ""
    if together < needed and not any(tier.severe for tier in tiers):
        # No user signs twice, even one who is in several groups.
        warning = gettext(
            "The tiers need {needed} different people, and together only {together} "
            "can sign: such requests would wait for ever."
        ).format(needed=needed, together=together)
    return BandPreview(words=words, tiers=tiers, warning=warning, matches=matches)


def _tier(group: str, quorum: int, people: int) -> TierPeople:
    if people < quorum:
        text = gettext("The quorum cannot be met: {quorum} must sign and {people} can.").format(
            quorum=quorum, people=people
        )
        return TierPeople(group, quorum, people, text, severe=True)
    if people == quorum:
        text = gettext(
            "Just enough: the quorum cannot be met when one of them asks, edits or is away."
        )
        return TierPeople(group, quorum, people, text)
    return TierPeople(group, quorum, people)


def _changes(before: ApprovalRule | None, *, words: Sequence[str], currency: str) -> list[Change]:
    if before is None:
        return []
    old = bands_in_words(before.bands, before.currency)
    changes = []
    if before.currency != currency:
        changes += [
            Change(
                "was",
                gettext("amounts in {currency}").format(
                    currency=before.currency or gettext("any currency")
                ),
            ),
            Change(
                "is",
                gettext("amounts in {currency}").format(
                    currency=currency or gettext("any currency")
                ),
            ),
        ]
    for tag, a, b, c, d in SequenceMatcher(a=old, b=list(words), autojunk=False).get_opcodes():
        if tag == "equal":
            changes += [Change("", line) for line in old[a:b]]
        else:
            changes += [Change("was", line) for line in old[a:b]]
            changes += [Change("is", line) for line in words[c:d]]
    return changes


def _notes(kind: str, scope: str, bands: list[dict[str, Any]]) -> list[str]:
    notes = [gettext("Requests that are open keep the tiers they were opened with.")]
    known = kinds.find(kind)
    freed = not bands or bands[0].get("above") is not None
    if freed and known is not None and known.always_signed:
        notes.append(
            gettext(
                "Requests of this kind are always signed: where the rule asks for "
                "nobody, the kind's own tiers apply."
            )
        )
    elif freed:
        notes.append(
            gettext(
                "Where no signature is needed, whoever saves this version still needs "
                "one for what they ask for themselves."
            )
        )
    if scope:
        general = rule_for(kind=kind, scope="")
        goes = (
            gettext("goes before {general}").format(general=general)
            if general
            else gettext("has no general rule behind it")
        )
        notes.append(gettext("For {scope} this {goes}.").format(scope=scope, goes=goes))
    return notes
