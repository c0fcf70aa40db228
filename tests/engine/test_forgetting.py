from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.engine import forgetting, leader_tasks, selectors, services, subjects
from apps.engine.forgetting import commands_forget
from apps.engine.models import EngineCommand, WorkflowRun
from tests.engine.conftest import Outbox, RunningRelay, Sub
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)

EIGHT_DAYS = timedelta(days=8)


def age(state: str = "sent", by: timedelta = EIGHT_DAYS) -> None:
    """Everything in the outbox was settled so long ago."""
    EngineCommand.objects.update(state=state, settled_at=timezone.now() - by)


def forget() -> int:
    """A whole walk; how many were deleted."""
    total, position = commands_forget()
    while position is not None:
        deleted, position = commands_forget(position)
        total += deleted
    return total


def left() -> list[str]:
    return list(EngineCommand.objects.order_by("id").values_list("key", flat=True))


def starts(outbox: Outbox) -> QuerySet[EngineCommand]:
    """Those of the row "a", newest first."""
    of_row = EngineCommand.objects.filter(subject_type=outbox.subject, subject_id="a")
    return of_row.filter(kind="start").order_by("-id")


def runs(outbox: Outbox, name: str, status: str = "running") -> None:
    WorkflowRun.objects.create(
        workflow_id=outbox.workflow_id(name), run_id=f"run-{name}-{status}", status=status
    )


@pytest.fixture
def ends(subject: Sub) -> list[str]:
    """Ids of the subject's rows that have ended, as it says itself."""
    ended: list[str] = []
    known: Any = subjects.get(subject.type)
    values = vars(known) | {"ended": lambda ids: [one for one in ids if one in ended]}
    subjects._subjects[subject.type] = subjects.EngineSubject(**values)
    return ended


@pytest.mark.parametrize("state", ["sent", "undeliverable", "discarded"])
def test_settled_commands_go_after_so_many_days(outbox: Outbox, state: str, settings: Any) -> None:
    outbox.signal("a")
    age(state, timedelta(days=6, hours=23))
    assert forget() == 0
    age(state, timedelta(days=7, hours=1))
    settings.ENGINE_COMMAND_DAYS = 8
    assert forget() == 0
    settings.ENGINE_COMMAND_DAYS = 7
    assert forget() == 1
    assert left() == []


@pytest.mark.parametrize("state", ["pending", "leased", "parked"])
def test_what_is_not_settled_stays_whatever_its_age(outbox: Outbox, state: str) -> None:
    outbox.signal("a")
    old = timezone.now() - timedelta(days=400)
    EngineCommand.objects.update(state=state, created_at=old)
    assert forget() == 0
    # Not even with a time of settling that a restored or repaired row may have.
    EngineCommand.objects.update(settled_at=old)
    assert forget() == 0
    assert len(left()) == 1


def test_commands_of_a_workflow_that_runs_stay(outbox: Outbox, ends: list[str]) -> None:
    outbox.start("a")
    outbox.signal("a")
    runs(outbox, "a", "continued_as_new")
    runs(outbox, "a")
    ends.append("a")
    age()
    assert forget() == 0
    WorkflowRun.objects.update(status="completed")
    assert forget() == 2


def test_the_starts_of_a_row_stay_until_it_has_ended(outbox: Outbox, ends: list[str]) -> None:
    """They are counted: a number that was given is never given again."""
    for number in range(3):
        outbox.start("a", key=f"{outbox.tag}:a:{number}", workflow_id=f"{outbox.tag}-a-{number}")
    outbox.start("b")
    outbox.signal("a")
    age()
    assert forget() == 1
    assert starts(outbox).count() == 3
    ends.append("a")
    assert forget() == 3
    assert left() == [f"{outbox.tag}:b:start"]


def test_the_starts_of_a_subject_that_cannot_say_stay(outbox: Outbox) -> None:
    outbox.start("a")
    outbox.start("b", subject_type="nobody-registered-it")
    age()
    assert forget() == 0


def test_starts_that_are_not_mirrored_go_and_so_do_those_of_no_row(outbox: Outbox) -> None:
    outbox.start("a", unmirrored=True)
    outbox.start("b", subject_type="", subject_id="")
    age()
    assert forget() == 2


def test_the_audit_trail_stays(outbox: Outbox) -> None:
    signal = outbox.signal("a")
    services.command_discard(command_id=signal.pk, by=ENGINE, via="admin", reason="old")
    age("discarded")
    assert forget() == 1
    assert AuditEntry.objects.get(action="engine.command_discard").subject_id == str(signal.pk)


def test_a_walk_goes_in_batches_past_what_stays(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 3)
    for number in range(4):
        outbox.start(f"kept{number}")
    for number in range(5):
        outbox.signal(f"gone{number}")
    # All in the same moment: the walk must not stand still there.
    age()
    with django_assert_max_num_queries(4):
        deleted, position = commands_forget()
    assert (deleted, position is not None) == (0, True)
    assert forget() == 5
    assert len(left()) == 4


def test_the_leader_does_it(
    outbox: Outbox, start_relay: Callable[..., RunningRelay], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.signal("a")
    age()
    duties = {duty.name: duty for duty in leader_tasks.standard()}
    relay = start_relay(leader_duties=[duties["setup"], duties["sweep"], duties["forget_commands"]])
    eventually(lambda: relay.leading)
    eventually(lambda: left() == [], timeout=20)


def test_what_was_deleted_may_be_asked_for_again_and_a_row_has_its_starts_listed(
    outbox: Outbox,
) -> None:
    first = outbox.start("a")
    second = outbox.start("a", key=f"{outbox.tag}:2", workflow_id=f"{outbox.tag}-a-2")
    assert list(starts(outbox)) == [second, first]
    assert selectors.unsettled_starts(outbox.subject, ["a", "b"]) == {"a"}
    runs(outbox, "a")
    WorkflowRun.objects.update(subject_type=outbox.subject, subject_id="a")
    assert [run.run_id for run in selectors.runs_of(outbox.subject, "a")] == ["run-a-running"]
    age()
    assert selectors.unsettled_starts(outbox.subject, ["a", "b"]) == set()
