"""A row that a person signs: ask, wait, decide, edit and expire, written once for all domains.

A domain describes what is signed and what a decision does to its row (`SignedSubject`), registers
it in `AppConfig.ready()` (`register`), and calls `open`, `read`, `expire` and `refuse` in the
activities of the waiting workflow. Lock order: the row, then its request.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus, Waiting
from apps.approvals.kinds import ApprovalKind, Edited, Fact, Simulation
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import request_of, requests_about
from apps.approvals.services import (
    clock_next,
    request_cancel,
    request_expire,
    request_open,
    signals_judge,
)
from apps.approvals.signed_words import Said, Wording, Words
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import refusals
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import SubjectRow

R = TypeVar("R", bound=Model)
W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True)
class Decided:
    """The decision and its author. `code` and `detail` say why it is not an approval,
    `reason_code` and `reason` are the signer's coded reason and, of an approval, words;
    `request_id` None: no signature was needed or could be asked for."""

    by: Actor
    via: str
    as_of: datetime
    code: str = ""
    detail: str = ""
    reason_code: str = ""
    reason: str = ""
    request_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class SignedSubject(Generic[R, W]):
    """Describes what of a row is signed, and what a decision does to the row. One request per row.

    `waits` are the statuses in which nobody has decided. `payload(row)` is what is signed:
    everything that determines the effect; it raises Conflict if the row is not what was asked for.
    `scope` chooses the rule, `title` is shown in the inbox; requester, amount and currency (if any)
    are columns of the row; `amount(row)` is never below zero, also where the column may be;
    `related` are joined when the row is read; `due_at(row)` is a time that the law sets. The hooks
    get the locked row, in the transaction of the decision. `on_asked(row, request_id)`: the request
    was opened.
    `on_approved(row, decided)` raises Conflict if the row is not what was signed. `on_rejected(row,
    decided)`: `code` is rejected, expired, cancelled, or that of a refusal. `edit(row, changes,
    as_of)` checks the changes and writes them to the row. `facts(row, waiting)` is what the waiting
    workflow reads: `waiting`, or an extension of it.
    """

    row: SubjectRow[R]
    kind: str
    waits: frozenset[str]
    payload: Callable[[R], dict[str, Any]]
    scope: Callable[[R], str] = lambda row: ""
    on_approved: Callable[[R, Decided], None]
    on_rejected: Callable[[R, Decided], None]
    facts: Callable[[R, Waiting], W] = lambda row, waiting: cast("Any", waiting)
    on_asked: Callable[[R, UUID], None] | None = None
    edit: Callable[[R, Mapping[str, str], datetime], None] | None = None
    title: Callable[[R], str] = str
    amount: Callable[[R], Decimal | None] = lambda row: getattr(row, "amount", None)
    related: tuple[str, ...] = ()
    due_at: Callable[[R], datetime | None] = lambda row: None

    # --- for the workflow that waits --------------------------------------------------------------
    def open(self, identifier: UUID | str, *, workflow_id: str, as_of: datetime) -> W:
        """Ask for the signatures that the rule needs; if it needs none, approve the row at once.

        Repeating only reads the state. Raises NotFound, Conflict `not_its_workflow` for a workflow
        that does not belong to the row, and what the rule and the payload refuse.
        """
        with (
            refusals(
                action=f"{self.row.subject}.approval_open",
                subject_type=self.row.subject,
                subject_id=str(identifier),
                by=ENGINE,
                via="engine",
            ),
            transaction.atomic(durable=True),
        ):
            row = self._lock(identifier)
            process.check_carrier(self.row, row, workflow_id)
            if self._waits(row):
                self.ask(row, as_of=as_of)
            return self._facts(row)

    def read(self, identifier: UUID | str, *, signals: Iterable[str] = ()) -> W:
        """Return the row's current state. Raises NotFound.

        `signals` woke the workflow: those that the outbox did not send are audited while the
        request is open.
        """
        rows = self.row.model._default_manager
        row = rows.filter(pk=process.id_of(self.row, identifier)).first()
        if row is None:
            raise process.unknown(self.row)
        facts = self._facts(row)
        if facts.request_status == RequestStatus.OPEN:
            signals_judge(request_id=facts.request_id, commands=signals)
        return facts

    def expire(self, identifier: UUID | str, *, as_of: datetime) -> W:
        """Expire the request and the row together at `as_of`.

        No-op when somebody decided in time, and before the expiry.
        """
        with transaction.atomic(durable=True):
            row = self._lock(identifier)
            request = self.request_of(row)
            if request is not None and self._waits(row):
                self._expire(row, request, as_of=as_of)
            return self._facts(row)

    def refuse(self, identifier: UUID | str, *, code: str, detail: str, as_of: datetime) -> W:
        """End the row with a code, because a request could not be opened. No-op once somebody
        decided."""
        with transaction.atomic(durable=True):
            row = self._lock(identifier)
            if self._waits(row):
                self.on_rejected(row, Decided(ENGINE, "engine", as_of, code, detail))
            return self._facts(row)

    # --- within a transaction that has locked the row ---------------------------------------------
    def ask(self, row: R, *, as_of: datetime) -> None:
        """Open the request, or apply the answer if none is needed or it was answered before."""
        asked: Any = row
        request = request_open(
            key=self.key(row),
            kind=self.kind,
            scope=self.scope(row),
            title=self.title(row)[:200],
            subject_type=self.row.subject,
            subject_id=str(row.pk),
            workflow_id=getattr(row, "workflow_id", ""),
            requested_by=asked.requested_by,
            amount=self.amount(row),
            currency=getattr(row, "currency", ""),
            payload=self.payload(row),
            due_at=self.due_at(row),
            as_of=as_of,
        )
        if request is None:
            self.on_approved(row, Decided(ENGINE, "engine", as_of))
        elif request.status != RequestStatus.OPEN:
            # After a restored backup the request may be settled while the row is not.
            self._decide(row, request, by=ENGINE, via="engine", as_of=as_of)
        elif self.on_asked:
            self.on_asked(row, request.pk)

    def settled(
        self, *, request: ApprovalRequest, by: User | None, via: str, as_of: datetime
    ) -> None:
        """Apply the decision to the row: `ApprovalKind.on_settled`. No-op if the row has its
        answer. The workflow gets a signal and reads the row."""
        row = self._lock(request.subject_id)
        if self._waits(row):
            self._decide(row, request, by=by or ENGINE, via=via, as_of=as_of)

    def edited(
        self,
        *,
        request: ApprovalRequest,
        changes: Mapping[str, str],
        by: User,
        via: str,
        as_of: datetime,
    ) -> Edited:
        """Apply an edit to the row: `ApprovalKind.edit`. Raises Conflict `already_settled` (extra
        status), `not_waiting`, and what the domain refuses."""
        asked: Any = self._lock(request.subject_id)
        process.check_unsettled(self.row, asked)
        if not self._waits(asked):
            raise Conflict(_("It does not wait for a signature."), code="not_waiting")
        assert self.edit is not None  # else the kind has no field that can be edited
        self.edit(asked, changes, as_of)
        action = f"{self.row.subject}.edited"
        process.record(self.row, asked, action, by=by, via=via, fields=sorted(changes))
        money = (self.amount(asked), getattr(asked, "currency", ""))
        return Edited(self.title(asked), *money, self.payload(asked))

    # --- reads ------------------------------------------------------------------------------------
    def key(self, row: R) -> str:
        """Return the key of the row's only request."""
        return f"{self.row.subject}:{row.pk}"

    def request_of(self, row: R) -> ApprovalRequest | None:
        """Return the row's request, or None."""
        return request_of(self.key(row))

    # --- helpers ----------------------------------------------------------------------------------
    def _lock(self, identifier: UUID | str) -> R:
        return process.locked(self.row, identifier, *self.related)

    def _waits(self, row: R) -> bool:
        asked: Any = row
        return asked.status in self.waits

    def _facts(self, row: R) -> W:
        # Load only the columns used: a request's payload and texts are long.
        rows = ApprovalRequest.objects.filter(key=self.key(row))
        request = rows.only("status", "expires_at", "clock").first()
        return self.facts(row, waiting_of(row, waits=self.waits, request=request))

    def _expire(self, row: R, request: ApprovalRequest, *, as_of: datetime) -> None:
        try:
            request = request_expire(request_id=request.pk, as_of=as_of)
        except Conflict as refusal:
            if refusal.code != "not_due":
                raise
            return
        if request.status == RequestStatus.EXPIRED:
            self._decide(row, request, by=ENGINE, via="engine", as_of=as_of)

    def _decide(
        self, row: R, request: ApprovalRequest, *, by: Actor, via: str, as_of: datetime
    ) -> None:
        if request.status == RequestStatus.APPROVED:
            decided = Decided(
                by,
                via,
                as_of,
                reason_code=request.settled_reason_code,
                reason=request.settled_reason,
                request_id=request.pk,
            )
            self.on_approved(row, decided)
        else:
            why = (request.status, request.settled_words)
            coded = request.settled_reason_code
            decided = Decided(by, via, as_of, *why, coded, request_id=request.pk)
            self.on_rejected(row, decided)


def waiting_of(
    row: Model, *, waits: frozenset[str], request: ApprovalRequest | None = None
) -> Waiting:
    """Return the row's state for a workflow; without a request its fields are empty."""
    asked: Any = row
    return Waiting(
        status=asked.status,
        waiting=asked.status in waits,
        settled=asked.has_ended,
        request_id=str(request.pk) if request else "",
        request_status=request.status if request else "",
        next_at=clock_next(request) if request else None,
        expires_at=request.expires_at if request else None,
        code=asked.error_code,
        detail=asked.error_detail,
    )


def questions_close(
    kind: SubjectRow[R], row: R, *, by: Actor, reason: str, as_of: datetime
) -> None:
    """Cancel every open request about the row. Joins the transaction that ends the row."""
    waiting = requests_about(kind.subject, row.pk).open().order_by("pk")
    for pk in list(waiting.values_list("pk", flat=True)):
        request_cancel(request_id=pk, by=by, reason=reason, as_of=as_of)


# --- the kind of approval -------------------------------------------------------------------------
def register(
    signed: SignedSubject[R, W],
    *,
    title: str,
    facts: Callable[[R], list[Fact]],
    signal: str = "",
    **more: Any,
) -> None:
    """Register the subject's approval kind; called in `AppConfig.ready()`.

    With `signal`, which wakes the row's workflow, that workflow also keeps the request's clock.
    Further arguments as in `kind_register`.
    """
    if signed.edit is not None:
        more["edit"] = signed.edited
    if signal:
        more |= {"signal": signal, "task_queue": getattr(signed.row, "queue", ""), "clocked": True}
    kind_register(
        signed.row,
        signed.kind,
        title=title,
        facts=facts,
        related=signed.related,
        on_settled=signed.settled,
        **more,
    )


def kind_register(
    kind: SubjectRow[R],
    name: str,
    *,
    facts: Callable[[R], list[Fact]],
    related: tuple[str, ...] = (),
    simulate: Callable[[R, User], Simulation] | None = None,
    carried_out_by: Callable[[R], tuple[str, ...]] | None = None,
    words: Callable[[Wording, R], None] | None = None,
    live: bool = True,
    **more: Any,
) -> None:
    """Register an `ApprovalKind` whose hooks get the row instead of the request; `more` are its
    other fields. `words(wording, row)` says each field of a payload; a field that it leaves out is
    shown as it stands. `live`: the request's page updates when the row changes."""

    def find(request: ApprovalRequest) -> R | None:
        rows = kind.model._default_manager.select_related(*related)
        return rows.filter(pk=request.subject_id).first()

    def simulated(
        simulate: Callable[[R, User], Simulation], request: ApprovalRequest, user: User
    ) -> Simulation:
        if row := find(request):
            return simulate(row, user)
        return Simulation(outcome=gettext("Nothing: it no longer exists."), tone="bad")

    def carriers(
        carried_out_by: Callable[[R], tuple[str, ...]], request: ApprovalRequest
    ) -> tuple[str, ...]:
        ids = carried_out_by(row) if (row := find(request)) else ()
        return tuple(one for one in ids if one != request.workflow_id)

    def worded(say: Callable[[Wording, R], None], request: ApprovalRequest) -> Words:
        row = find(request)

        def lines(payload: Mapping[str, Any]) -> list[Said]:
            wording = Wording(payload)
            if row is not None:
                say(wording, row)
            return wording.lines()

        return lines

    def lock(identifier: str) -> None:
        process.locked(kind, identifier)

    kinds.register(
        ApprovalKind(
            name=name,
            facts=lambda request: facts(row) if (row := find(request)) else [],
            subject_url=lambda identifier: reverse(kind.url_name, args=[identifier]),
            lock=lock,
            simulate=partial(simulated, simulate) if simulate else None,
            carried_out_by=partial(carriers, carried_out_by) if carried_out_by else None,
            words=partial(worded, words) if words else None,
            subject_type=kind.subject,
            opens=kind.opens,
            topic=f"{kind.topic_name}:{{id}}" if live else "",
            **more,
        )
    )
