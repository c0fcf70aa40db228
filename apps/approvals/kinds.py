"""Approval kinds: what a domain registers so that its requests can be shown, signed and settled.

A domain registers its kinds in `AppConfig.ready()`; approvals never imports a domain.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse
from django.utils.translation import gettext

from apps.approvals.contracts import Verdict
from apps.approvals.signed_words import Words, as_it_stands
from apps.common.errors import Invalid
from apps.common.language import as_written, filled
from apps.common.language import lazy as _
from apps.common.registry import Registry
from apps.web.tones import words_of as words_of_state

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.approvals.models import ApprovalRequest

#: People read what they sign, so payloads seldom exceed a page.
PAYLOAD_BYTES = 256 * 1024
_REASON_CODE = re.compile(r"[A-Za-z0-9_]{1,60}", re.ASCII)


@dataclass(frozen=True)
class Fact:
    """A line about the subject's current state. Facts are shown, never hashed or signed."""

    label: str
    value: str
    tone: str = ""
    href: str = ""


def status_fact(row: Any, url_name: str, name: str = "") -> Fact:
    """Return the row's status as a fact, linked to its page. `name`: of the fact, if there is the
    status of another row beside it."""
    href = reverse(url_name, args=[row.pk])
    return Fact(name or gettext("Status"), words_of_state(row.status), href=href)


@dataclass(frozen=True)
class TierRule:
    """A tier: signatures of `quorum` different authorities from one group."""

    group: str
    quorum: int = 1


@dataclass(frozen=True)
class Reason:
    """A coded reason of one verdict.

    `code` is stored for good and sent to other systems, such as a directory's `FRAUD`; `label` is
    its text for people. `text_required`: the code needs an explanation in words. Any other
    code is enough where a rule asks for a reason.
    """

    code: str
    label: str
    verdict: Verdict
    text_required: bool = False


@dataclass(frozen=True)
class EditableField:
    """A payload field that may be edited while the request is open. `type`: text, prose,
    decimal."""

    name: str
    label: str
    type: str = "text"


@dataclass(frozen=True)
class Edited:
    """What is asked after an edit, as the domain has accepted it and written it to its own row."""

    title: str
    amount: Decimal | None
    currency: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Simulation:
    """What an approval would do now. Live data: shown, never hashed or signed.

    `outcome` is one sentence; `tone` is good, warn or bad; `steps` are the workflow's steps in
    order; `facts` are figures such as the budget afterwards and the reservations that compete with
    it.
    """

    outcome: str
    tone: str = ""
    steps: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()


class SettledRequest(Protocol):
    """What a domain reads of a request that was decided, or has expired."""

    @property
    def pk(self) -> UUID: ...

    @property
    def subject_id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def settled_words(self) -> str: ...


@dataclass(frozen=True)
class ApprovalKind:
    """A kind of request.

    `on_settled(request=…, by=…, via=…, as_of=…)` runs in the transaction of the deciding
    signature, after the request's row is written; an error in it rolls the decision back. It is not
    called on expiry and cancellation: there the domain itself is the caller.
    `lock(subject_id)` locks the domain's row before the request's row is locked. A domain whose
    verbs lock their row and then call `request_cancel` must provide it: with the locks taken in
    opposite orders a decision and a cancellation deadlock.
    `default_tiers` apply while no rule is active for the kind; without them opening is refused.
    `edit(request=…, changes=…, by=…, via=…, as_of=…)` checks the changes (a mapping of `editable`
    names to text) and writes them to the domain's row, in the transaction of the edit, and returns
    what is asked from then on; it raises Invalid for invalid changes. None: not editable.
    `simulate(request, user)` returns what an approval would do now, without anything that the user
    may not see; None: no preview.
    `clocked`: the domain's own workflow keeps the request's clock (ticks, and settles its row on
    expiry); otherwise a workflow of approvals does, and `on_settled` is called for an expiry too,
    with `by=None`.
    `restarts`: the domain starts its workflow again for a decision that the workflow did not live
    to hear of, so a request whose workflow has ended can still be decided.
    `carried_out_by(request)` returns the ids of workflows that carry out the approval, besides the
    one that waited for it: their events are in the request's timeline once it is approved.
    `subject_type` is the type of the kind's subjects in links and searches, `opens` the text of a
    link to one; `topic` is the live topic of a subject's changes, with `{id}` in it.
    `rules_of`: the kind whose rules apply to this one, which then has no rules of its own.
    `payload_bytes`: the largest payload, for a kind that lists much.
    `words(request)` returns what says the payloads of the request in words; without it they are
    shown as they stand.
    `reasons`: the coded reasons to choose from, each for one verdict. A verdict that has some needs
    one of them; with `reasons_required=False` it may have one.
    `always_signed`: the default tiers also apply where the rule asks for no signature or cannot
    judge the amount. For items that report failures: a rule must not make them disappear.
    `expires`: without it no rule lets a request expire, because a clock must not decide.
    """

    name: str
    title: str
    on_settled: Callable[..., None]
    facts: "Callable[[ApprovalRequest], list[Fact]]"
    subject_url: Callable[[str], str]
    signal: str = ""
    task_queue: str = ""
    lock: Callable[[str], None] | None = None
    default_tiers: tuple[TierRule, ...] = ()
    always_signed: bool = False
    expires: bool = True
    reasons: tuple[Reason, ...] = ()
    reasons_required: bool = True
    edit: Callable[..., Edited] | None = None
    editable: tuple[EditableField, ...] = ()
    simulate: "Callable[[ApprovalRequest, User], Simulation] | None" = None
    clocked: bool = False
    restarts: bool = False
    carried_out_by: "Callable[[ApprovalRequest], tuple[str, ...]] | None" = None
    subject_type: str = ""
    opens: str = _("Open what it is about")
    topic: str = ""
    rules_of: str = ""
    payload_bytes: int = PAYLOAD_BYTES
    words: "Callable[[ApprovalRequest], Words] | None" = None

    def reasons_for(self, verdict: str) -> tuple[Reason, ...]:
        """Return the coded reasons of the verdict, in the order in which they are offered."""
        return tuple(reason for reason in self.reasons if reason.verdict == verdict)

    def reason(self, verdict: str, code: object) -> Reason | None:
        """Return the coded reason of the verdict; None if the kind does not have the code."""
        return next((one for one in self.reasons_for(verdict) if one.code == code), None)


_kinds = Registry[ApprovalKind]("approval kind")


def register(kind: ApprovalKind) -> None:
    """Register the kind. Raises ImproperlyConfigured when another kind has the name, and for reason
    codes that are not 1 to 60 letters, digits and _, or that occur twice for one verdict."""
    codes = [(reason.verdict, reason.code) for reason in kind.reasons]
    if len(set(codes)) < len(codes) or not all(_REASON_CODE.fullmatch(code) for _, code in codes):
        raise ImproperlyConfigured(f"The reasons of {kind.name} have codes that do not fit.")
    _kinds.add(kind.name, kind)


def get(name: str) -> ApprovalKind:
    """Return the kind of that name. Raises Invalid `unknown_kind` if no installed app registered
    it."""
    kind = _kinds.get(name)
    if kind is None:
        raise Invalid(
            filled(_("There is no approval kind {name!r}."), name=name), code="unknown_kind"
        )
    return kind


def find(name: str) -> ApprovalKind | None:
    """Return the kind of that name, or None: the app of an old request may be gone."""
    return _kinds.get(name)


def registered() -> list[ApprovalKind]:
    """Return every kind, sorted by title as the code has it, so that the order is the same in every
    language."""
    return sorted(_kinds.values(), key=lambda kind: as_written(kind.title))


def judged() -> list[ApprovalKind]:
    """Return the kinds that can have rules of their own, sorted by title."""
    return [kind for kind in registered() if not kind.rules_of]


def words_of(request: "ApprovalRequest") -> Words:
    """Return what says the request's payloads in words."""
    kind = find(request.kind)
    return kind.words(request) if kind and kind.words else as_it_stands


def title_of(name: str) -> str:
    """Return the kind's title, or its name when the kind is not registered."""
    kind = find(name)
    return str(kind.title) if kind else name


def reason_label(name: str, verdict: str, code: str) -> str:
    """Return the coded reason's label, or the code when the kind or the code is not registered."""
    kind = find(name)
    reason = kind.reason(verdict, code) if kind else None
    return str(reason.label) if reason else code
