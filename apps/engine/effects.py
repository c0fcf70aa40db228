"""Effects in external systems: two steps of a saga, the call and its reversal.

The step's row is written before the call. From then on the effect may have happened, even if a
process is killed, until the other side has reported the outcome:
    never → unknown (`begin`) → done (`finish`) or refused (`refuse`)
    unknown or done (`undo_begin`) → reversed, refused (voided in time) or done (not reversible)

Activities call `carry_out` and `undo`; the other functions write the state before and after.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine import process as processes
from apps.engine.contracts import EffectState
from apps.engine.heartbeats import heartbeating
from apps.engine.process import Process
from apps.engine.process.spec import R
from apps.engine.steps import Status, refused, save, statuses_of, step_put, step_save
from apps.outbound.calls import Refused

_STATES = {
    Status.RUNNING: EffectState.UNKNOWN,
    Status.DONE: EffectState.DONE,
    Status.FAILED: EffectState.REFUSED,
    Status.COMPENSATED: EffectState.REVERSED,
}


@dataclass(frozen=True)
class Effect(Generic[R]):
    """Describes an effect of a domain.

    `name` is part of codes and audited actions ("execution" → `execution_refused`), `step` and
    `reversal` are the steps' names. `call(row)` executes it and returns the receipt;
    `take_back(row, void_only)` reverses it, or with `void_only` only stops a call that has not
    taken effect, and returns the resulting state and the receipt of what stands. Both send the
    row's own idempotency key, the same at every attempt, and raise `outbound.calls.Refused` or
    Unavailable. `check(row)` raises when the call must not begin. `reversible(row)`: an effect can
    be reversed. `undone(row)` joins the transaction that notes the reversal. `receipt` is the row's
    column.
    """

    process: Process[R]
    name: str
    step: str
    reversal: str
    call: Callable[[R], str]
    take_back: Callable[[R, bool], tuple[EffectState, str]]
    check: Callable[[R], None]
    reversible: Callable[[R], bool]
    undone: Callable[[R], None] = lambda row: None
    receipt: str = "receipt"


@dataclass(frozen=True)
class Reversal(Generic[R]):
    """A reversal to request. `needed` False: there is nothing to reverse; the effect stays in
    `state`."""

    row: R
    needed: bool
    void_only: bool
    state: EffectState


def state_of(statuses: Mapping[str, str], *, step: str) -> EffectState:
    """Return the state of the step's effect, from the statuses of a row's steps."""
    return _STATES[Status(statuses[step])] if step in statuses else EffectState.NEVER


def is_undoing(statuses: Mapping[str, str], *, reversal: str) -> bool:
    """Return whether a reversal was begun and may have happened: the saga then only goes
    backwards."""
    return statuses.get(reversal) in {Status.RUNNING, Status.DONE}


def check_forwards(process: Process[R], statuses: Mapping[str, str], *, reversal: str) -> None:
    """Raise Conflict `being_undone` once a reversal was begun."""
    if is_undoing(statuses, reversal=reversal):
        raise Conflict(_("It is being undone."), code="being_undone")


# --- for activities; both send heartbeats during the call ----------------------------------------
def carry_out(effect: Effect[R], identifier: UUID | str) -> str:
    """Execute the effect, once in all calls; return the receipt.

    Raises Conflict `<name>_refused` when the other side refuses, which is noted, and what `begin`
    and `finish` raise; Unavailable when the outcome is unknown: repeating the call is safe.
    """
    row = begin(effect, identifier)
    if receipt := getattr(row, effect.receipt):
        return str(receipt)
    failpoint(f"{effect.step}.begun")
    try:
        receipt = heartbeating(effect.call, row)
    except Refused as no:
        refuse(effect, identifier, str(no))
        raise Conflict(str(no), code=f"{effect.name}_refused") from no
    failpoint(f"{effect.step}.answered")
    finish(effect, identifier, receipt)
    return receipt


def undo(effect: Effect[R], identifier: UUID | str) -> EffectState:
    """Reverse the effect as far as possible; return the resulting state. `done`: the effect stands.

    Raises Conflict `already_settled`, `<name>_unknown` when the other side neither reverses it nor
    says whether it was done; Unavailable.
    """
    reversal = undo_begin(effect, identifier)
    if not reversal.needed:
        return reversal.state
    failpoint(f"{effect.reversal}.begun")
    try:
        state, receipt = heartbeating(effect.take_back, reversal.row, reversal.void_only)
    except Refused as no:
        return undo_refuse(effect, identifier, str(no))
    failpoint(f"{effect.reversal}.answered")
    undo_finish(effect, identifier, state, receipt)
    return state


# --- written before and after a call -------------------------------------------------------------
def begin(effect: Effect[R], identifier: UUID | str) -> R:
    """Note that the call will be made, for every attempt; return the row.

    The row has a receipt when the effect is done already. Raises what `check` raises, Conflict
    `already_settled`, `being_undone`, `<name>_refused`.
    """
    with _locked(effect, identifier, effect.step) as (row, statuses, state):
        check_forwards(effect.process, statuses, reversal=effect.reversal)
        if state in {EffectState.REFUSED, EffectState.REVERSED}:
            raise Conflict(
                _("It was refused."),
                code=f"{effect.name}_refused",
            )
        if state is not EffectState.DONE:
            effect.check(row)
            step_save(effect.process, row, effect.step, Status.RUNNING)
        return row


def finish(effect: Effect[R], identifier: UUID | str, receipt: str) -> None:
    """Note the receipt. Idempotent; raises Conflict `receipt_differs` for another receipt."""
    with _locked(effect, identifier, effect.step, ended=True) as (row, _unused, state):
        if getattr(row, effect.receipt) not in {"", receipt}:
            raise Conflict(_("There was another receipt before."), code="receipt_differs")
        if state is not EffectState.UNKNOWN:
            return
        setattr(row, effect.receipt, receipt)
        detail, fields = gettext("receipt {receipt}").format(receipt=receipt), [effect.receipt]
        step_save(effect.process, row, effect.step, Status.DONE, detail, fields=fields)
        _record(effect, row, f"{effect.name}_done", receipt=receipt)
        failpoint(f"{effect.step}.uncommitted")


def refuse(effect: Effect[R], identifier: UUID | str, detail: str) -> None:
    """Note the final refusal: nothing was done and nothing will be. Idempotent."""
    with _locked(effect, identifier, effect.step, ended=True) as (row, _, state):
        if state is EffectState.UNKNOWN:
            step_save(effect.process, row, effect.step, Status.FAILED, detail)
            _record(effect, row, f"{effect.name}_refused", detail=detail)


def undo_begin(effect: Effect[R], identifier: UUID | str) -> Reversal[R]:
    """Note that a reversal will be requested: from now on the saga only goes backwards.

    Raises Conflict `already_settled`.
    """
    with _locked(effect, identifier, effect.reversal) as (row, statuses, state):
        reversible = effect.reversible(row)
        stands = statuses.get(effect.reversal) == Status.FAILED or not reversible
        needed = state is EffectState.UNKNOWN or (state is EffectState.DONE and not stands)
        if needed:
            step_save(effect.process, row, effect.reversal, Status.RUNNING)
        return Reversal(row, needed, not reversible, state)


def undo_finish(
    effect: Effect[R], identifier: UUID | str, state: EffectState, receipt: str = ""
) -> None:
    """Note the outcome of a reversal: `reversed`, `refused` (voided before it took effect), or
    `done`: the effect stands, with this receipt. Idempotent."""
    with _locked(effect, identifier, effect.reversal, ended=True) as (row, statuses, _):
        if statuses.get(effect.reversal) != Status.RUNNING:
            return
        receipt = receipt or getattr(row, effect.receipt)
        if state is EffectState.DONE:
            setattr(row, effect.receipt, receipt)
            step_put(
                row, effect.step, Status.DONE, gettext("receipt {receipt}").format(receipt=receipt)
            )
            step_put(row, effect.reversal, Status.FAILED, gettext("It was executed and stands."))
        elif state is EffectState.REVERSED:
            step_put(row, effect.step, Status.COMPENSATED)
            step_put(row, effect.reversal, Status.DONE)
            effect.undone(row)
        else:
            step_put(row, effect.step, Status.FAILED, gettext("Voided before it took effect."))
            step_put(row, effect.reversal, Status.DONE)
        save(effect.process, row, effect.receipt)
        _record(effect, row, "rolled_back", execution=state)
        failpoint(f"{effect.reversal}.uncommitted")


def undo_refuse(effect: Effect[R], identifier: UUID | str, detail: str) -> EffectState:
    """Note that the other side refuses the reversal; return the resulting state. With a receipt the
    effect stands, unless another attempt was answered before.

    Raises Conflict `<name>_unknown` without a receipt: a person has to find out.
    """
    with _locked(effect, identifier, effect.reversal, ended=True) as (row, statuses, state):
        if statuses.get(effect.reversal) != Status.RUNNING:
            return state
        if state is not EffectState.DONE:
            raise Conflict(
                filled(_("Nobody undoes it, or says whether it was done: {detail}"), detail=detail),
                code=f"{effect.name}_unknown",
            )
        step_save(effect.process, row, effect.reversal, Status.FAILED, detail)
        _record(effect, row, "reversal_refused", detail=detail)
        return state


# --- helpers -------------------------------------------------------------------------------------
@contextmanager
def _locked(
    effect: Effect[R], identifier: UUID | str, step: str, *, ended: bool = False
) -> Iterator[tuple[R, dict[str, str], EffectState]]:
    """Lock the row and yield it with its steps and the effect's state; `ended`: the row may have
    ended.

    A refusal is audited, but not written on the step, whose status `failed` means that the other
    side refused.
    """
    process = effect.process
    with (
        refused(process, identifier, action=f"{process.subject}.{step}"),
        transaction.atomic(durable=True),
    ):
        row = processes.locked(process, identifier)
        if not ended:
            processes.check_unsettled(process, row)
        statuses = statuses_of(row)
        yield row, statuses, state_of(statuses, step=effect.step)


def _record(effect: Effect[R], row: R, what: str, **body: Any) -> None:
    processes.record(effect.process, row, f"{effect.process.subject}.{what}", **body)
