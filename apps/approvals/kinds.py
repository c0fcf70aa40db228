"""What a domain registers so that its requests can be shown, signed and settled.

Registered in the domain's `AppConfig.ready()`; approvals never imports a domain.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse

from apps.approvals.contracts import Verdict
from apps.common.errors import Invalid
from apps.common.registry import Registry

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.approvals.models import ApprovalRequest

#: What is signed is read by people: seldom more than a page.
PAYLOAD_BYTES = 256 * 1024
_REASON_CODE = re.compile(r"[A-Za-z0-9_]{1,60}", re.ASCII)


@dataclass(frozen=True)
class Fact:
    """A line about the subject as it is now. Facts are shown, never hashed and never signed."""

    label: str
    value: str
    tone: str = ""
    href: str = ""


def status_fact(row: Any, url_name: str) -> Fact:
    """Where the row stands, with the way to its page."""
    href = reverse(url_name, args=[row.pk])
    return Fact("Status", row.status.replace("_", " "), href=href)


@dataclass(frozen=True)
class TierRule:
    """`quorum` different authorities out of the people of one group."""

    group: str
    quorum: int = 1


@dataclass(frozen=True)
class Reason:
    """A coded reason of one verdict.

    `code` is kept for good and sent to programs, such as a directory's `FRAUD`; `label` is its text
    for people. `text_required`: the code alone does not say why. Any other code stands for the text
    where a rule asks for a reason.
    """

    code: str
    label: str
    verdict: Verdict
    text_required: bool = False


@dataclass(frozen=True)
class EditableField:
    """A field of the payload that may be edited while it waits. `type`: text, prose, decimal."""

    name: str
    label: str
    type: str = "text"


@dataclass(frozen=True)
class Edited:
    """What is asked after an edit, as the domain has accepted and written it to its own row."""

    title: str
    amount: Decimal | None
    currency: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Simulation:
    """What would happen if it were approved now. Live: shown, never hashed, never signed.

    `outcome` in one sentence; `tone` good, warn or bad; `steps` are what the workflow will do, in
    order; `facts` such as the budget after it and the reservations that compete with it.
    """

    outcome: str
    tone: str = ""
    steps: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class ApprovalKind:
    """A kind of request.

    `on_settled(request=…, by=…, via=…, as_of=…)` runs in the transaction of the deciding
    signature, after the request's row is written; an error in it undoes the decision. It is not
    called on expiry and cancellation: there the domain itself is the caller.
    `lock(subject_id)` locks the domain's row, before the request's row is locked. A domain whose
    verbs lock their row and then call `request_cancel` must give it: with the two locks in
    opposite orders a decision and a cancellation deadlock.
    `default_tiers` apply while no rule is active for the kind; without them opening is refused.
    `edit(request=…, changes=…, by=…, via=…, as_of=…)` checks and writes the changes (a mapping of
    `editable` names to text) to the domain's row, in the transaction of the edit, and returns what
    is asked from then on; it raises Invalid for what cannot be meant. None: not editable.
    `simulate(request, user)` tells what approving it now would do, with nothing of others that the
    user may not see; None: nothing is known.
    `clocked`: the domain's own workflow keeps the request's clock (ticks, and settles its row on
    expiry); otherwise a workflow of the app approvals does, and `on_settled` is called for an
    expiry too, with `by=None`.
    `carried_out_by(request)` names the workflows that do what was approved, besides the one that
    waited for it: their events stand in the request's timeline once it is approved.
    `subject_type` is what the kind's subjects are called in links and searches; `topic` the live
    topic under which a subject's own changes are told, with `{id}` in it.
    `rules_of`: the kind whose rules judge requests of this one; no rule is put for it itself.
    `payload_bytes`: how large a payload may be, for a kind that lists much.
    `reasons`: the coded reasons to choose from, each for one verdict. A verdict that has some needs
    one of them; with `reasons_required=False` it may have one.
    `always_signed`: they apply as well where the rule asks for no signature or cannot judge the
    amount. For items that report trouble: a rule must not make them disappear.
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
    reasons: tuple[Reason, ...] = ()
    reasons_required: bool = True
    edit: Callable[..., Edited] | None = None
    editable: tuple[EditableField, ...] = ()
    simulate: "Callable[[ApprovalRequest, User], Simulation] | None" = None
    clocked: bool = False
    carried_out_by: "Callable[[ApprovalRequest], tuple[str, ...]] | None" = None
    subject_type: str = ""
    topic: str = ""
    rules_of: str = ""
    payload_bytes: int = PAYLOAD_BYTES

    def reasons_for(self, verdict: str) -> tuple[Reason, ...]:
        """The coded reasons of that verdict, in the order in which they are offered."""
        return tuple(reason for reason in self.reasons if reason.verdict == verdict)

    def reason(self, verdict: str, code: object) -> Reason | None:
        """The coded reason of that verdict; None for a code that the kind does not have."""
        return next((one for one in self.reasons_for(verdict) if one.code == code), None)


_kinds = Registry[ApprovalKind]("approval kind")


def register(kind: ApprovalKind) -> None:
    """Make the kind known. ImproperlyConfigured when the name is taken by another one, and for a
    reason's code that is not 1 to 60 letters, digits and _, or is there twice for one verdict."""
    codes = [(reason.verdict, reason.code) for reason in kind.reasons]
    if len(set(codes)) < len(codes) or not all(_REASON_CODE.fullmatch(code) for _, code in codes):
        raise ImproperlyConfigured(f"The reasons of {kind.name} have codes that do not fit.")
    _kinds.add(kind.name, kind)


def get(name: str) -> ApprovalKind:
    """The kind of that name; Invalid `unknown_kind` if no installed app registered it."""
    kind = _kinds.get(name)
    if kind is None:
        raise Invalid(f"There is no approval kind {name!r}.", code="unknown_kind")
    return kind


def find(name: str) -> ApprovalKind | None:
    """The kind of that name, or None: an old request's app may be gone."""
    return _kinds.get(name)


def registered() -> list[ApprovalKind]:
    """Every kind, by title: the choices of a filter."""
    return sorted(_kinds.values(), key=lambda kind: kind.title)


def judged() -> list[ApprovalKind]:
    """Those that rules can be put for, by title."""
    return [kind for kind in registered() if not kind.rules_of]


def title_of(name: str) -> str:
    """The kind's title, or its bare name when the app that registered it is gone."""
    kind = find(name)
    return kind.title if kind else name


def reason_label(name: str, verdict: str, code: str) -> str:
    """A coded reason in words, or the bare code when the kind or the code is gone."""
    kind = find(name)
    reason = kind.reason(verdict, code) if kind else None
    return reason.label if reason else code
