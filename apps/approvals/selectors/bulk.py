"""Previews a bulk decision before anybody signs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from apps.approvals import kinds
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors.signing import (
    Hands,
    authorities_with,
    hands_of,
    person_refusal,
    state_refusal,
)
from apps.approvals.selectors.simulation import after_one_more
from apps.approvals.selectors.tiers import current_payload
from apps.common.errors import DomainError
from apps.engine import services as engine

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class BulkLine:
    """One request. `authorities`: those under which the user could sign, only their own if that
    suffices; none: `refusal` says why. `after`: who signs next after an approval; empty: nobody."""

    request: ApprovalRequest
    kind_title: str
    payload_hash: str
    tier: int
    authorities: "list[User]"
    refusal: DomainError | None
    after: str


@dataclass(frozen=True)
class Sum:
    """The sum in one currency; `count` requests have an amount in it."""

    currency: str
    amount: Decimal
    count: int


@dataclass(frozen=True)
class BulkPreview:
    """`signable` and `barred` lines in the list's order; `sums` cover the `signable` ones."""

    signable: list[BulkLine] = field(default_factory=list)
    barred: list[BulkLine] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)

    @property
    def reason_required(self) -> bool:
        return any(line.request.reason_required for line in self.signable)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Return the refusal codes with their counts, most frequent first."""
        counted: dict[str, int] = {}
        for line in self.barred:
            code = line.refusal.code if line.refusal else ""
            counted[code] = counted.get(code, 0) + 1
        return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def bulk_preview(
    user: "User", request_ids: "Iterable[UUID | str]", *, as_of: datetime
) -> BulkPreview:
    """Preview the user's signature on each of these requests. Leaves out requests that the user may
    not see. The number of queries does not depend on the number of requests."""
    found = ApprovalRequest.objects.visible_to(user).for_signing().filter(pk__in=list(request_ids))
    rows = list(found.order_by("-created_at", "-pk"))
    closed = engine.workflows_closed(workflow_ids=[row.workflow_id for row in rows])
    hands = replace(hands_of(user, as_of=as_of), others=_holders(rows, as_of=as_of))
    lines = [_line(row, user, hands, closed=closed, as_of=as_of) for row in rows]
    signable = [line for line in lines if line.authorities]
    return BulkPreview(
        signable=signable,
        barred=[line for line in lines if not line.authorities],
        sums=_sums(signable),
    )


def _holders(rows: list[ApprovalRequest], *, as_of: datetime) -> dict[int, Hands]:
    """Return the signing authority of each claim's holder. Requests with the same holder share one
    User object, so that its permissions are read once."""
    people: dict[int, User] = {}
    for row in rows:
        if row.claimed_by is not None:
            row.claimed_by = people.setdefault(row.claimed_by.pk, row.claimed_by)
    return {pk: hands_of(one, as_of=as_of) for pk, one in people.items()}


def _line(
    request: ApprovalRequest, user: "User", hands: Hands, *, closed: set[str], as_of: datetime
) -> BulkLine:
    under: list[User] = []
    refusal = state_refusal(request, as_of=as_of, closed=closed)
    if refusal is None:
        refusal = person_refusal(request, user, authority=user, as_of=as_of, hands=hands)
        under = [user]
        if refusal is not None:
            under = authorities_with(request, user, hands, as_of=as_of)
    return BulkLine(
        request=request,
        kind_title=kinds.title_of(request.kind),
        payload_hash=current_payload(request).hash,
        tier=request.tier_number,
        authorities=under,
        refusal=None if under else refusal,
        after=after_one_more(request)[0],
    )


def _sums(lines: list[BulkLine]) -> list[Sum]:
    totals: dict[str, tuple[Decimal, int]] = {}
    for line in lines:
        if line.request.amount is not None:
            amount, count = totals.get(line.request.currency, (Decimal(0), 0))
            totals[line.request.currency] = (amount + line.request.amount, count + 1)
    return [Sum(currency, *totals[currency]) for currency in sorted(totals)]
