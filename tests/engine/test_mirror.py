from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.engine import services, subjects
from apps.engine.contracts import RunStatus
from apps.engine.mirror import Observation, runs_observe
from apps.engine.models import WorkflowRun
from tests.engine.conftest import Sub

T0 = timezone.now() - timedelta(hours=1)


def observe(
    status: str, *, after: float = 0, confirmed: bool = False, workflow: str = "w", run: str = "r"
) -> bool:
    return services.run_observe(
        workflow_id=workflow,
        run_id=run,
        workflow_type="Some",
        task_queue="q",
        status=status,
        at=T0 + timedelta(seconds=after),
        confirmed=confirmed,
    )


def row() -> tuple[str, bool]:
    run = WorkflowRun.objects.get()
    return run.status, run.confirmed


pytestmark = pytest.mark.django_db


def test_a_run_is_noted_once_and_ends() -> None:
    assert observe("running")
    assert not observe("running")
    assert observe("completed", after=5)
    run = WorkflowRun.objects.get()
    assert (run.status, run.confirmed) == ("completed", False)
    assert (run.started_at, run.closed_at) == (T0, T0 + timedelta(seconds=5))


def test_an_id_longer_than_the_column_is_left_out_alone() -> None:
    def seen(workflow_id: str) -> Observation:
        return Observation(workflow_id, "r", "Some", "q", RunStatus.RUNNING, T0, confirmed=False)

    assert len(runs_observe([seen("w1"), seen("x" * 201), seen("x\0"), seen("w2")])) == 2
    assert set(WorkflowRun.objects.values_list("workflow_id", flat=True)) == {"w1", "w2"}


def test_a_batch_asks_each_subject_at_most_once() -> None:
    kinds = [subject.type for subject in subjects.registered()]
    names = [f"{kinds[n % len(kinds)]}-unknown-{n}" for n in range(200)]
    with CaptureQueriesContext(connection) as asked:
        runs_observe(
            [
                Observation(name, "r", "Some", "q", RunStatus.RUNNING, T0, confirmed=False)
                for name in names
            ]
        )
    assert WorkflowRun.objects.filter(subject_type="").count() == 200
    questions = {query["sql"].partition(" WHERE ")[0] for query in asked}
    # What start commands say, and the write.
    assert len(asked) == len(questions) <= 2 + len(kinds)


def test_a_late_notice_of_the_start_does_not_reopen_a_run() -> None:
    observe("completed", after=5)
    assert not observe("running")
    assert row() == ("completed", False)


def test_the_servers_word_replaces_a_workers_and_stays() -> None:
    observe("completed", after=5)
    assert observe("terminated", after=6, confirmed=True)
    assert row() == ("terminated", True)
    assert not observe("completed", after=7)
    assert not observe("completed", after=8, confirmed=True)
    assert not observe("running", after=9, confirmed=True)
    assert row() == ("terminated", True)


def test_the_servers_running_undoes_an_earlier_notice_of_an_end_only() -> None:
    observe("completed", after=5)
    assert not observe("running", after=4, confirmed=True)
    assert row() == ("completed", False)
    assert observe("running", after=6, confirmed=True)
    assert row() == ("running", True)
    assert WorkflowRun.objects.get().closed_at is None


def test_a_workflow_is_closed_when_its_newest_run_is() -> None:
    assert not services.workflow_is_closed(workflow_id="w")
    observe("running")
    assert not services.workflow_is_closed(workflow_id="w")
    observe("failed", after=5)
    assert services.workflow_is_closed(workflow_id="w")
    observe("running", after=9, run="r2")
    assert not services.workflow_is_closed(workflow_id="w")


@pytest.mark.parametrize("status", ["continued_as_new", "lost"])
def test_a_run_that_goes_on_elsewhere_does_not_close_its_workflow(status: str) -> None:
    observe("running")
    observe(status, after=5, confirmed=True)
    assert not services.workflow_is_closed(workflow_id="w")


def test_the_subject_comes_from_the_start_command(subject: Sub) -> None:
    services.workflow_start(
        key="k",
        workflow_id="w",
        workflow_type="Some",
        task_queue="q",
        args=[],
        subject_type=subject.type,
        subject_id="7",
    )
    observe("running")
    run = WorkflowRun.objects.get()
    assert (run.subject_type, run.subject_id) == (subject.type, "7")


def test_a_foreign_workflow_gets_its_subject_by_the_subjects_own_rule() -> None:
    def never(*_: object) -> None: ...

    subjects.register(
        subjects.EngineSubject(
            type="byrule",
            title="By rule",
            restart=never,
            on_undeliverable=never,
            on_closed=never,
            url=str,
            stranded=list,
            subjects_of=lambda ids: {
                one: one.removeprefix("rule-") for one in ids if one.startswith("rule-")
            },
        )
    )
    try:
        observe("running", workflow="rule-9")
    finally:
        subjects._subjects.pop("byrule")
    run = WorkflowRun.objects.get()
    assert (run.subject_type, run.subject_id) == ("byrule", "9")
