"""Review items: a person decides whether a process that cannot go on carries on or gives up.

A domain describes the two choices once (`Attention`), registers them in `AppConfig.ready()`
(`register`), and opens an item (`ask`) where a process cannot go on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.kinds import Fact, TierRule
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload, requests_about
from apps.approvals.services import request_open
from apps.approvals.signed_words import Wording
from apps.approvals.subject import Decided, R, kind_register
from apps.audit.contracts import ENGINE
from apps.common.language import for_record
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import SubjectRow


@dataclass(frozen=True, kw_only=True)
class Attention(Generic[R]):
    """Describes a kind of review item: what a person is asked and what the two answers do.

    `reject(row)` says in words what giving up does to the row in its current state, `approve_row`
    what carrying on does, where `approve` does not say it of every row; `about(row)` adds details
    to the audit entry. The hooks get the locked row, in the transaction of the signature;
    `on_give_up(row, decided)` is not called for a row that has ended. Followers of the row
    (`process.follow`) are notified when an item is opened.
    """

    row: SubjectRow[R]
    kind: str
    reject: Callable[[R], str]
    on_carry_on: Callable[[R, Decided], None]
    on_give_up: Callable[[R, Decided], None]
    approve: str = _("Carry on from where it stands.")
    approve_row: Callable[[R], str] | None = None
    about: Callable[[R], dict[str, str]] = lambda row: {}

    def ask(self, row: R, *, code: str, detail: str, as_of: datetime) -> ApprovalRequest | None:
        """Open a review item and return it, or return the row's open item.

        Joins the transaction that holds the row's lock. The row's requester cannot sign the item.
        """
        items = requests_about(self.row.subject, row.pk, kind=self.kind)
        if open_item := items.open().first():
            return open_item
        asked: Any = row
        item = request_open(
            key=f"{self.row.subject}:{row.pk}:attention:{items.count() + 1}",
            kind=self.kind,
            scope="",
            title=gettext("Look at {row}").format(row=row)[:200],
            subject_type=self.row.subject,
            subject_id=str(row.pk),
            # No workflow waits for the item: it must be decidable although the row's workflow has
            # ended.
            workflow_id="",
            requested_by=asked.requested_by,
            amount=asked.amount,
            currency=asked.currency,
            payload={
                self.row.noun: str(row.pk),
                "code": code,
                "detail": detail,
                "status": asked.status,
                **self.about(row),
                "approve": for_record(self.approve_row(row) if self.approve_row else self.approve),
                "reject": for_record(self.reject(row)),
            },
            as_of=as_of,
        )
        process.tell_followers(self.row, row, process.ASKED)
        process.record(self.row, row, f"{self.row.subject}.attention", code=code, detail=detail)
        process.announce(self.row, row)
        return item

    def open(self, identifier: UUID | str, *, code: str, detail: str) -> None:
        """Open a review item in its own transaction, for a workflow that needs a person."""
        with transaction.atomic(durable=True):
            row = process.locked(self.row, identifier)
            self.ask(row, code=code, detail=detail, as_of=timezone.now())

    def is_open(self, row: R) -> bool:
        """Return whether the row has an open review item."""
        return requests_about(self.row.subject, row.pk, kind=self.kind).open().exists()

    def settled(
        self, *, request: ApprovalRequest, by: User | None, via: str, as_of: datetime
    ) -> None:
        """Apply the decision: `ApprovalKind.on_settled`.

        An expired item is opened again, because its cause is still there.
        """
        row: Any = process.locked(self.row, request.subject_id)
        who, subject = by or ENGINE, self.row.subject
        decided = Decided(who, via, as_of, detail=request.settled_words, request_id=request.pk)
        if request.status == RequestStatus.APPROVED:
            process.record(self.row, row, f"{subject}.carried_on", by=who, via=via)
            self.on_carry_on(row, decided)
        elif request.status == RequestStatus.REJECTED and not row.has_ended:
            process.record(self.row, row, f"{subject}.given_up", by=who, via=via)
            self.on_give_up(row, decided)
        elif request.status == RequestStatus.EXPIRED:
            payload = current_payload(request).payload
            self.ask(row, code=payload["code"], detail=payload["detail"], as_of=as_of)


def register(
    attention: Attention[R],
    *,
    title: str,
    facts: Callable[[R], list[Fact]],
    default_tiers: tuple[TierRule, ...],
    words: Callable[[Wording, R], None] = lambda wording, row: None,
    related: tuple[str, ...] = (),
) -> None:
    """Register the approval kind of the review items. They always need a signature: no rule may
    make a reported failure disappear. `words` says what the subject's `about` adds."""

    def said(wording: Wording, row: R) -> None:
        _words(attention.row, wording, row)
        words(wording, row)

    kind_register(
        attention.row,
        attention.kind,
        title=title,
        facts=facts,
        related=related,
        on_settled=attention.settled,
        words=said,
        default_tiers=default_tiers,
        always_signed=True,
    )


def _words(kind: SubjectRow[R], wording: Wording, row: R) -> None:
    wording.prose(gettext("What happened"), "detail")
    wording.prose(gettext("If you approve"), "approve")
    wording.prose(gettext("If you reject"), "reject")
    wording.text(gettext("Code"), "code")
    if isinstance(status := wording.payload.get("status"), str):
        wording.named(gettext("Status at the time"), {"status": status}, status.replace("_", " "))
    wording.reference(kind.title, kind.noun, href=reverse(kind.url_name, args=[row.pk]))
