from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command

from apps.engine import subjects
from apps.engine.models import EngineCommand
from apps.engine.reconcile import reconcile
from tests.engine.conftest import Outbox, Sub


def test_stranded_rows_are_restarted_but_not_those_whose_start_is_on_its_way(
    outbox: Outbox, subject: Sub
) -> None:
    outbox.start("1")
    subject.stranded = ["1", "2"]
    assert reconcile() == [f"{subject.type}:2"]
    EngineCommand.objects.update(state="sent")
    assert reconcile() == [f"{subject.type}:1", f"{subject.type}:2"]


def test_one_call_goes_on_while_a_page_brings_something_new(outbox: Outbox, subject: Sub) -> None:
    """After a lost store thousands wait, and a page has a few hundred."""
    pages = [["4"], ["3"], ["2", "3"], ["1", "2"]]
    subjects._subjects[subject.type] = replace(subjects._subjects[subject.type], stranded=pages.pop)
    assert reconcile() == [f"{subject.type}:{number}" for number in "123"]
    assert pages == [["4"]]


def test_the_time_of_a_call_is_limited_and_each_subject_has_a_turn(
    outbox: Outbox, subject: Sub
) -> None:
    subject.stranded = ["1"]
    assert reconcile(seconds=0) == [f"{subject.type}:1"]


@pytest.mark.django_db
def test_a_row_that_cannot_be_restarted_does_not_keep_the_others_waiting(subject: Sub) -> None:
    done: list[str] = []

    def restart(identifier: str) -> None:
        if identifier == "1":
            raise RuntimeError("broken row")
        done.append(identifier)

    def never(*_: object) -> None: ...

    subjects.register(
        subjects.EngineSubject(
            type="failing",
            title="Failing",
            restart=restart,
            on_undeliverable=never,
            on_closed=never,
            url=str,
            stranded=lambda: ["1", "2"],
        )
    )
    try:
        assert reconcile() == ["failing:2"]
    finally:
        subjects._subjects.pop("failing")
    assert done == ["2"]


@pytest.mark.django_db(transaction=True)
def test_the_command_compares_first_and_prints_what_it_restarted(subject: Sub) -> None:
    subject.stranded = ["5"]
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert f"restarted {subject.type}:5" in out.getvalue()
    assert subject.restarted == ["5"]
