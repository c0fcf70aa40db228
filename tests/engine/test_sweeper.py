import subprocess
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from apps.engine import services, sweeper
from apps.engine.contracts import SUBJECT_ATTRIBUTE
from apps.engine.db_threads import Threads
from apps.engine.leader_tasks import Duty, _reconcile, _sweep
from apps.engine.models import EngineMark, WorkflowRun
from deploy.local.servers import temporal_program
from tests.engine.conftest import Background, Outbox, RunningRelay, Sub, settled
from tests.support import eventually

StartRelay = Callable[..., RunningRelay]
SWEEP = [Duty("sweep", 0.2, _sweep)]


@pytest.fixture
def sweep(background: Background, engine: Client, transactional_db: None) -> Callable[[], int]:
    """Sweeps once; how many rows changed. What earlier tests ran is of no interest."""
    EngineMark.objects.create(name=sweeper.MARK, at=timezone.now())
    threads = Threads("test", most=2)
    return lambda: background.run(sweeper.sweep(engine, threads=threads))


@pytest.fixture
def compare(background: Background, engine: Client, transactional_db: None) -> Callable[[], int]:
    threads = Threads("test", most=2)
    return lambda: background.run(sweeper.compare(engine, threads=threads))


def status_of(workflow_id: str) -> tuple[str, bool] | None:
    run = WorkflowRun.objects.filter(workflow_id=workflow_id).first()
    return (run.status, run.confirmed) if run else None


def test_what_the_cli_terminates_while_nobody_watches_shows_when_a_relay_leads_again(
    start_relay: StartRelay,
    outbox: Outbox,
    engine: Client,
    subject: Sub,
    temporal_address: str,
    temporal_namespace: str,
) -> None:
    first = start_relay()
    settled(outbox.start("a", signals=1))
    first.stop()
    subprocess.run(
        [
            *(temporal_program(), "workflow", "terminate", "-w", outbox.workflow_id("a")),
            *("--address", temporal_address, "-n", temporal_namespace, "--reason", "test"),
        ],
        check=True,
        capture_output=True,
    )
    assert status_of(outbox.workflow_id("a")) == ("running", False)
    start_relay(leader_duties=SWEEP)
    eventually(lambda: status_of(outbox.workflow_id("a")) == ("terminated", True), timeout=10)
    eventually(lambda: subject.closed == [("a", "terminated")])


def test_a_run_that_completes_is_seen_in_visibility_and_its_subject_told_once(
    start_relay: StartRelay, outbox: Outbox, worker: str, engine: Client, subject: Sub
) -> None:
    start_relay(leader_duties=SWEEP)
    settled(outbox.start("a"))
    eventually(lambda: status_of(outbox.workflow_id("a")) == ("completed", True))
    eventually(lambda: subject.closed == [("a", "completed")])
    mark = EngineMark.objects.get().at
    eventually(lambda: EngineMark.objects.get().at > mark + timedelta(seconds=0.5))
    assert subject.closed == [("a", "completed")]


def test_a_workflow_that_somebody_else_started_with_our_attribute_is_found(
    background: Background,
    engine: Client,
    outbox: Outbox,
    subject: Sub,
    sweep: Callable[[], int],
) -> None:
    key = SearchAttributeKey.for_keyword(SUBJECT_ATTRIBUTE)
    attributes = TypedSearchAttributes([SearchAttributePair(key, f"{subject.type}:x")])
    workflow_id = outbox.workflow_id("foreign")
    background.run(
        engine.start_workflow(
            "Other", id=workflow_id, task_queue=outbox.queue, search_attributes=attributes
        )
    )
    eventually(lambda: sweep() >= 0 and status_of(workflow_id) == ("running", False))
    run = WorkflowRun.objects.get(workflow_id=workflow_id)
    assert (run.subject_type, run.subject_id) == (subject.type, "x")


def test_a_subject_that_raises_is_told_again(
    background: Background,
    outbox: Outbox,
    engine: Client,
    subject: Sub,
    sweep: Callable[[], int],
) -> None:
    services.run_observe(
        workflow_id=outbox.workflow_id("a"),
        run_id="r",
        workflow_type="Some",
        task_queue="q",
        status="failed",
        at=timezone.now(),
        confirmed=True,
    )
    # Not the run that a worker of an earlier test may still have noted.
    run = WorkflowRun.objects.filter(workflow_id=outbox.workflow_id("a"))
    run.update(subject_type=subject.type, subject_id="a")
    subject.failures = 1
    sweep()
    assert subject.closed == []
    assert WorkflowRun.objects.get(workflow_id=outbox.workflow_id("a")).told_at is None
    sweep()
    sweep()
    assert subject.closed == [("a", "failed")]


def test_a_run_that_the_server_does_not_know_is_lost_and_nobody_is_told_it_ended(
    outbox: Outbox, subject: Sub, sweep: Callable[[], int], compare: Callable[[], int]
) -> None:
    services.run_observe(
        workflow_id=outbox.workflow_id("gone"),
        run_id="01a00000-0000-7000-8000-000000000000",
        workflow_type="Some",
        task_queue="q",
        status="running",
        at=timezone.now(),
        confirmed=False,
    )
    WorkflowRun.objects.update(subject_type=subject.type, subject_id="gone")
    assert compare() == 1
    assert status_of(outbox.workflow_id("gone")) == ("lost", True)
    sweep()
    assert subject.closed == []
    assert not services.workflow_is_closed(workflow_id=outbox.workflow_id("gone"))


def test_the_end_of_a_superseded_run_is_not_told(
    outbox: Outbox, subject: Sub, sweep: Callable[[], int]
) -> None:
    for number, status in enumerate(("failed", "running")):
        services.run_observe(
            workflow_id=outbox.workflow_id("a"),
            run_id=f"r{number}",
            workflow_type="Some",
            task_queue="q",
            status=status,
            at=timezone.now() + timedelta(seconds=number),
            confirmed=True,
        )
    WorkflowRun.objects.update(subject_type=subject.type, subject_id="a")
    assert sweeper.ends_tell() == 1
    assert subject.closed == []


def test_a_long_list_of_runs_is_compared_in_batches(
    background: Background, engine: Client, outbox: Outbox, compare: Callable[[], int]
) -> None:
    WorkflowRun.objects.bulk_create(
        WorkflowRun(
            workflow_id=outbox.workflow_id(str(number)),
            run_id=f"01a00000-0000-7000-8000-{number:012d}",
            workflow_type="Some",
        )
        for number in range(2 * sweeper.BATCH + 10)
    )
    assert compare() == 2 * sweeper.BATCH + 10
    assert set(WorkflowRun.objects.values_list("status", flat=True)) == {"lost"}


def test_a_leader_restarts_what_is_stranded(
    start_relay: StartRelay, engine: Client, subject: Sub
) -> None:
    subject.stranded = ["1", "2"]
    start_relay(leader_duties=[*SWEEP, Duty("reconcile", 60, _reconcile)])
    eventually(lambda: subject.restarted == ["1", "2"])
