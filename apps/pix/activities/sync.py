"""Activities of the synchronisation: each calls one service and returns what stands.

The first three have the names that other systems know. Each call ends within PIX_ACTIVITY_TIMEOUT,
and the workflow calls it again.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from temporalio import activity

from apps.approvals.contracts import Waiting
from apps.common import correlation
from apps.engine.heartbeats import heartbeating
from apps.pix.contracts.sync import SyncAt, SyncDay, SyncEnd, SyncFacts, SyncOpen, SyncStep
from apps.pix.services import (
    sync_comparing,
    sync_deciding,
    sync_fetching,
    sync_reporting,
    sync_requesting,
)


@activity.defn(name="FetchBacenEntriesActivity", no_thread_cancel_exception=True)
def fetch_entries(input: SyncStep) -> SyncFacts:
    """Verify, read the log, receive the files: as far as one call goes."""
    fetch = partial(sync_fetching.sync_fetch, input.run_id, interrupted=_interrupted)
    with _said(input):
        return heartbeating(fetch)


@activity.defn(name="CompareEntriesActivity", no_thread_cancel_exception=True)
def compare_entries(input: SyncStep) -> SyncFacts:
    """Compare, repair, verify again: as far as one call goes."""
    compare = partial(sync_comparing.sync_compare, input.run_id, interrupted=_interrupted)
    with _said(input):
        return heartbeating(compare)


@activity.defn(name="GenerateSyncReportActivity")
def generate_report(input: SyncStep) -> SyncFacts:
    """Write the report, and end the run."""
    with _said(input):
        return sync_reporting.sync_report(input.run_id)


# --- of our own workflows -------------------------------------------------------------------------
@activity.defn(name="open_sync")
def open_sync(input: SyncOpen) -> SyncFacts:
    """Return the workflow's run; make it if nobody asked for it here."""
    return sync_requesting.sync_open(
        workflow_id=input.workflow_id, document=input.document, as_of=input.as_of
    )


@activity.defn(name="read_sync")
def read_sync(input: SyncStep) -> Waiting:
    """Return whether a person has decided about the repair."""
    return sync_deciding.repair_read(input.run_id, signals=input.signals)


@activity.defn(name="expire_sync")
def expire_sync(input: SyncAt) -> Waiting:
    """Let the request expire, if it is its time."""
    return sync_deciding.repair_expire(input.run_id, as_of=input.as_of)


@activity.defn(name="fail_sync")
def fail_sync(input: SyncEnd) -> SyncFacts:
    """End a run that cannot go on."""
    return sync_requesting.sync_fail(run_id=input.run_id, code=input.code, detail=input.detail)


@activity.defn(name="participants_to_sync")
def participants_to_sync(input: SyncDay) -> list[str]:
    """Return the participants of ours that no run is synchronising."""
    return sync_requesting.participants_due()


def _said(input: SyncStep) -> AbstractContextManager[None]:
    """Let every line of the log say which run it is about."""
    return correlation.correlated(correlation.current(), sync_run=input.run_id)


def _interrupted() -> bool:
    return activity.is_cancelled() or activity.is_worker_shutdown()


ACTIVITIES: list[Callable[..., Any]] = [
    fetch_entries,
    compare_entries,
    generate_report,
    open_sync,
    read_sync,
    expire_sync,
    fail_sync,
    participants_to_sync,
]
