"""A row that a person signs: asked for, waited for, decided, edited, expired. Written here once.

A domain says once what is signed and what a decision does to its row (`SignedSubject`), makes that
known in `AppConfig.ready()` (`register`), and gives `open`, `read`, `expire` and `refuse` to the
activities of the workflow that waits. The order of locks is the row, then its request.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.urls import reverse

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
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import refusals
from apps.common.errors import Conflict
from apps.engine import process
from apps.engine.process import SubjectRow

R = TypeVar("R", bound=Model)
W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True)
class Decided:
    """The answer, and whose. `code` and `detail` say why it is no yes; `request_id` None: it needed
    no signature, or could not be asked for."""

    by: Actor
    via: str
    as_of: datetime
    code: str = ""
    detail: str = ""
    request_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class SignedSubject(Generic[R, W]):
    """What of a row is signed, and what a decision does to it. One request for each row.

    `waits` are the statuses in which nobody has decided. `payload(row)` is what is signed:
    everything that decides what is done; it raises Conflict where the row is not what was asked
    for. `scope` chooses the rule, `title` is what the inbox shows; the requester, and amount and
    currency where there are any, are columns of the row; `related` are read with it.

    The hooks get the row locked, in the transaction of the decision. `on_asked(row, request_id)`:
    it waits now. `on_approved(row, decided)` raises Conflict where what was signed is not the row.
    `on_rejected(row, decided)`: `code` is rejected, expired, cancelled, or that of a refusal.
    `edit(row, changes, as_of)` checks the changes and writes them to the row.
    `facts(row, waiting)` is what the workflow that waits reads: `waiting`, or more than that.
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
    related: tuple[str, ...] = ()

    # --- for the workflow that waits --------------------------------------------------------------
    def open(self, identifier: UUID | str, *, workflow_id: str, as_of: datetime) -> W:
        """Ask for the signatures that the rule wants; without any the row is approved at once.

        Again is a look at how it stands. Raises NotFound, Conflict `not_its_workflow` when a
        workflow asks that the row does not belong to, and what the rule and the payload refuse.
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
        """How it stands now. Raises NotFound.

        `signals` woke the workflow: those that find the request open and that nobody here has sent
        are audited.
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
        """The time to sign is over at `as_of`: request and row end together.

        No-op when somebody decided in time, and before its time.
        """
        with transaction.atomic(durable=True):
            row = self._lock(identifier)
            request = self.request_of(row)
            if request is not None and self._waits(row):
                self._expire(row, request, as_of=as_of)
            return self._facts(row)

    def refuse(self, identifier: UUID | str, *, code: str, detail: str, as_of: datetime) -> W:
        """It could not even be asked for, and ends with why. No-op once somebody decided."""
        with transaction.atomic(durable=True):
            row = self._lock(identifier)
            if self._waits(row):
                self.on_rejected(row, Decided(ENGINE, "engine", as_of, code, detail))
            return self._facts(row)

    # --- within a transaction that has locked the row ---------------------------------------------
    def ask(self, row: R, *, as_of: datetime) -> None:
        """Open the request, or do what follows where none is needed or it was answered before."""
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
            amount=getattr(row, "amount", None),
            currency=getattr(row, "currency", ""),
            payload=self.payload(row),
            as_of=as_of,
        )
        if request is None:
            self.on_approved(row, Decided(ENGINE, "engine", as_of))
        elif request.status != RequestStatus.OPEN:
            # A restored backup may know the answer and not what followed from it.
            self._decide(row, request, by=ENGINE, via="engine", as_of=as_of)
        elif self.on_asked:
            self.on_asked(row, request.pk)

    def settled(
        self, *, request: ApprovalRequest, by: User | None, via: str, as_of: datetime
    ) -> None:
        """The decision, on the row: `ApprovalKind.on_settled`. The workflow learns of it by signal
        and reads the row. Nothing where the row has its answer."""
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
        """An edit of what is asked, on the row: `ApprovalKind.edit`. Raises Conflict
        `already_settled` (extra status), `not_waiting`, and what the domain refuses."""
        asked: Any = self._lock(request.subject_id)
        process.check_unsettled(self.row, asked)
        if not self._waits(asked):
            raise Conflict("It does not wait for a signature.", code="not_waiting")
        assert self.edit is not None  # else the kind has no field that can be edited
        self.edit(asked, changes, as_of)
        action = f"{self.row.subject}.edited"
        process.record(self.row, asked, action, by=by, via=via, fields=sorted(changes))
        money = (getattr(asked, "amount", None), getattr(asked, "currency", ""))
        return Edited(self.title(asked), *money, self.payload(asked))

    # --- reads ------------------------------------------------------------------------------------
    def key(self, row: R) -> str:
        """Key of the row's one request."""
        return f"{self.row.subject}:{row.pk}"

    def request_of(self, row: R) -> ApprovalRequest | None:
        """The row's request, if one was opened."""
        return request_of(self.key(row))

    # --- helpers ----------------------------------------------------------------------------------
    def _lock(self, identifier: UUID | str) -> R:
        return process.locked(self.row, identifier, *self.related)

    def _waits(self, row: R) -> bool:
        asked: Any = row
        return asked.status in self.waits

    def _facts(self, row: R) -> W:
        # What a request says is long, and no part of it: it is left out.
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
            self.on_approved(row, Decided(by, via, as_of, request_id=request.pk))
        else:
            why = (request.status, request.settled_words)
            self.on_rejected(row, Decided(by, via, as_of, *why, request_id=request.pk))


def waiting_of(
    row: Model, *, waits: frozenset[str], request: ApprovalRequest | None = None
) -> Waiting:
    """The row as a workflow reads it; without its request what that says is empty."""
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
    """Cancel whatever still asks somebody about the row. Joins the transaction that ends it."""
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
    """Make the subject's kind of approval known; called in `AppConfig.ready()`.

    With `signal`, which wakes the row's workflow, that workflow keeps the request's clock too. The
    rest as `kind_register` has it.
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
    live: bool = True,
    **more: Any,
) -> None:
    """Register an `ApprovalKind` whose hooks get the row instead of the request; `more` are its
    other fields. `live`: the request's page shows again what changes on the row."""

    def find(request: ApprovalRequest) -> R | None:
        rows = kind.model._default_manager.select_related(*related)
        return rows.filter(pk=request.subject_id).first()

    def simulated(
        simulate: Callable[[R, User], Simulation], request: ApprovalRequest, user: User
    ) -> Simulation:
        if row := find(request):
            return simulate(row, user)
        return Simulation(outcome=f"Nothing: the {kind.noun} no longer exists.", tone="bad")

    def carriers(
        carried_out_by: Callable[[R], tuple[str, ...]], request: ApprovalRequest
    ) -> tuple[str, ...]:
        ids = carried_out_by(row) if (row := find(request)) else ()
        return tuple(one for one in ids if one != request.workflow_id)

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
            subject_type=kind.subject,
            topic=f"{kind.topic_name}:{{id}}" if live else "",
            **more,
        )
    )
