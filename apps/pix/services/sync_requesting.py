"""Synchronisations are asked for, opened by their workflows, listed for the daily one, stopped."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from apps.accounts.models import User
from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE, Actor
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.identifiers import new_id
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.common.validation import clean_workflow_id
from apps.engine import process
from apps.pix.contracts.sync import (
    DEADLINE_SECONDS,
    LONGEST_SYNC_TYPE,
    SIGNAL_SYNC_CHANGED,
    SyncFacts,
    SyncStatus,
    SyncTrigger,
)
from apps.pix.holders import clean_ispb
from apps.pix.models import Participant, SyncRun
from apps.pix.services.shared import is_ours
from apps.pix.services.sync_rows import SYNC, end, facts_of, record, run_made

RUN_PERMISSION = "pix.run_sync"


def sync_request(
    *, participant: str, by: User, via: str, idempotency_key: str = "", as_of: datetime
) -> tuple[SyncRun, bool]:
    """Ask for a synchronisation of a participant; return the run, and whether it is new. The same
    key by the same person again: the same run.

    Raises, each audited: NotAllowed `permission_denied`; Invalid `ispb_invalid`,
    `participant_not_ours`; Conflict `sync_running` (extra run_id), `idempotency_key_reused`.
    """
    with process.audited(SYNC, "request", by=by, via=via):
        if not by.has_perm(RUN_PERMISSION):
            raise NotAllowed(_("You may not synchronise."), code="permission_denied")
        body = {"participant": ours(participant)}

        try:
            return process.ask_once(
                SYNC,
                lambda: _columns(body["participant"], SyncTrigger.PERSON, as_of),
                made=partial(run_made, by=by, via=via),
                by=by,
                key=idempotency_key,
                digest=digest(body),
                as_of=as_of,
            )
        except IntegrityError as error:
            raise _running(body["participant"], error) from error


def sync_open(*, workflow_id: str, document: Mapping[str, Any], as_of: datetime) -> SyncFacts:
    """Return the workflow's run; one that was started by hand or by the schedule gets its row now.
    The row wins over the input `{participant_ispb, sync_type?, last_sync_date?}`.

    Raises, audited: Invalid `ispb_invalid`, `participant_not_ours`, `sync_type_invalid`,
    `last_sync_date_invalid`, `workflow_id_invalid`; Conflict `sync_running` (extra run_id).
    """
    with process.audited(SYNC, "request", workflow_id, by=ENGINE, via="engine"):
        known = SyncRun.objects.filter(workflow_id=workflow_id).first()
        if known is not None:
            return facts_of(known)
        clean_workflow_id(workflow_id)
        participant = ours(document.get("participant_ispb"))
        daily = document.get("scheduled") is True
        trigger = SyncTrigger.DAILY if daily else SyncTrigger.ENGINE
        run = SyncRun(
            **_columns(participant, trigger, as_of),
            sync_type=_sync_type(document.get("sync_type")),
            since=_since(document.get("last_sync_date")),
            id=new_id(),
            workflow_id=workflow_id,
            request_digest=digest({"participant": participant}),
            created_at=as_of,
        )
        try:
            with transaction.atomic(durable=True):
                run.save(force_insert=True)
                run_made(run)
                process.tell(SYNC, run, "status")
        except IntegrityError as error:
            # Two attempts at once: the second reads the row of the first.
            if known := SyncRun.objects.filter(workflow_id=workflow_id).first():
                return facts_of(known)
            raise _running(participant, error) from error
        return facts_of(run)


def participants_due() -> list[str]:
    """Return the participants of ours that no run is synchronising, for the daily workflow."""
    busy = SyncRun.objects.unsettled().values("participant")
    rows = Participant.objects.filter(ours=True).exclude(ispb__in=busy)
    return list(rows.order_by("ispb").values_list("ispb", flat=True))


def sync_stop(run_id: UUID | str, *, by: User, via: str, reason: str = "") -> SyncRun:
    """Stop a run: what was repaired stays, nothing else is. Once more: the same run.

    Raises, each audited: NotFound, NotAllowed `permission_denied`, Invalid `reason_invalid`,
    Conflict `already_settled` for a run that has ended otherwise.
    """
    with process.acting(
        SYNC, "stop", run_id, by=by, via=via, reason=reason, permission=RUN_PERMISSION
    ) as (run, why):
        if run.status == SyncStatus.STOPPED:
            return run
        process.check_unsettled(SYNC, run)
        _stopped(
            run,
            SyncStatus.STOPPED,
            by=by,
            via=via,
            code="stopped",
            detail=why,
            as_of=timezone.now(),
        )
        process.wake(SYNC, run, signal=SIGNAL_SYNC_CHANGED, event="stopped")
        return run


def sync_fail(*, run_id: str, code: str, detail: str) -> SyncFacts:
    """End a run that cannot go on. No-op once it has ended."""
    with transaction.atomic(durable=True):
        run = process.locked(SYNC, run_id)
        if not run.has_ended:
            given: dict[str, Any] = {"code": code, "detail": detail, "as_of": timezone.now()}
            _stopped(run, SyncStatus.FAILED, by=ENGINE, via="engine", **given)
    return facts_of(run)


def sync_closed(identifier: str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """End the run of a workflow that is no more: the next one begins anew. Joins the caller's
    transaction."""
    if run := process.carried(SYNC, identifier, workflow_id):
        given: dict[str, Any] = {"code": "process_closed", "detail": why, "as_of": as_of}
        _stopped(run, SyncStatus.FAILED, by=ENGINE, via="engine", **given)


def ours(raw: Any) -> str:
    """Return the ISPB of a participant that this installation acts for. Raises Invalid
    `ispb_invalid`, `participant_not_ours`."""
    ispb = clean_ispb(raw, field="participant")
    if not is_ours(ispb):
        raise Invalid(
            filled(_("{ispb} is not a participant of ours."), ispb=ispb),
            code="participant_not_ours",
        )
    return ispb


# --- helpers --------------------------------------------------------------------------------------
def _columns(participant: str, trigger: SyncTrigger, as_of: datetime) -> dict[str, Any]:
    return {
        "participant": participant,
        "trigger": trigger,
        "ends_at": as_of + timedelta(seconds=DEADLINE_SECONDS),
    }


def _stopped(
    run: SyncRun,
    status: SyncStatus,
    *,
    by: Actor,
    via: str,
    code: str,
    detail: str,
    as_of: datetime,
) -> None:
    end(run, status, as_of=as_of, code=code, detail=detail)
    record(run, f"sync_run.{status}", by=by, via=via, code=code, detail=detail)
    questions_close(
        SYNC, run, by=by, reason=for_record(_("The synchronisation has ended.")), as_of=as_of
    )


def _running(participant: str, error: IntegrityError) -> Exception:
    """Return the refusal of a second run at once, or the error itself."""
    if "one_sync_of_a_participant" not in str(error):
        return error
    run = SyncRun.objects.unsettled().filter(participant=participant).first()
    return Conflict(
        filled(_("{ispb} is being synchronised already."), ispb=participant),
        code="sync_running",
        run_id=str(run.pk) if run else "",
    )


def _sync_type(raw: Any) -> str:
    if raw is None:
        return ""
    if not isinstance(raw, str) or len(raw) > LONGEST_SYNC_TYPE or not raw.isascii():
        raise Invalid(
            filled(_("A type has at most {most} characters."), most=LONGEST_SYNC_TYPE),
            code="sync_type_invalid",
        )
    return raw.strip().upper()


def _since(raw: Any) -> datetime | None:
    if raw in (None, ""):
        return None
    try:
        found = parse_datetime(raw) if isinstance(raw, str) else None
        if found is None and isinstance(raw, str) and (day := parse_date(raw)):
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        found = None
    if found is None:
        raise Invalid(
            _("The date of the last synchronisation is a date as 2026-01-31."),
            code="last_sync_date_invalid",
        )
    return found if found.tzinfo else found.replace(tzinfo=UTC)
