from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, Invalid, NotFound
from apps.engine import services, subjects
from apps.engine.contracts import CommandState
from apps.engine.models import EngineCommand

VALUES = {
    "workflow_id": "w-1",
    "workflow_type": "Some",
    "task_queue": "q",
    "args": [{"a": 1}],
    "subject_type": "thing",
    "subject_id": "1",
}


@dataclass(frozen=True)
class Inner:
    amount: Decimal


@dataclass(frozen=True)
class Outer:
    inner: Inner
    name: str = "x"


@pytest.mark.django_db
def test_the_same_key_twice_is_one_command() -> None:
    first = services.workflow_start(key="k", **VALUES)
    again = services.workflow_start(key="k", **VALUES)
    assert first.pk == again.pk
    assert EngineCommand.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [{"workflow_id": "w-2"}, {"args": [{"a": 2}]}, {"execution_timeout_seconds": 5.0}],
)
def test_the_same_key_for_something_else_is_refused(change: dict[str, object]) -> None:
    services.workflow_start(key="k", **VALUES)
    with pytest.raises(Conflict) as refusal:
        services.workflow_start(key="k", **(VALUES | change))
    assert refusal.value.code == "command_key_reused"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_with_the_same_key_get_one_command() -> None:
    barrier = Barrier(6)

    def enqueue(_: int) -> int:
        try:
            barrier.wait(10)
            with transaction.atomic():
                return services.workflow_start(key="k", **VALUES).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(enqueue, range(6)))) == 1
    assert EngineCommand.objects.count() == 1


@pytest.mark.django_db
def test_dataclasses_become_json_that_their_types_can_read() -> None:
    command = services.workflow_start(
        key="k", **(VALUES | {"args": [Outer(Inner(Decimal("12.00"))), 5]})
    )
    command.refresh_from_db()
    assert command.args == [{"inner": {"amount": "12.00"}, "name": "x"}, 5]


@pytest.mark.django_db(transaction=True)
def test_a_command_outside_a_transaction_is_a_programming_error() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        services.workflow_start(key="k", **VALUES)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"workflow_id": "w" * 201},
        {"workflow_id": ""},
        {"workflow_id": "a\x00b"},
        {"args": ["a\x00b"]},
    ],
)
def test_what_cannot_be_stored_or_sent_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        services.workflow_start(key="k", **(VALUES | change))


def many(count: int) -> list[services.NewCommand]:
    """A start and a signal for each of so many workflows."""
    found = []
    for number in range(count // 2):
        values = VALUES | {"workflow_id": f"w-{number}", "subject_id": str(number)}
        signal = {name: values[name] for name in ("workflow_id", "task_queue", "subject_type")}
        found += [
            services.start_command(key=f"start:{number}", **values),
            services.signal_command(
                key=f"signal:{number}", name="poke", subject_id=str(number), **signal
            ),
        ]
    return found


@pytest.mark.django_db
def test_five_hundred_commands_are_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1) as queries:
        written = services.commands_enqueue(many(500))
    assert queries[0]["sql"].count("INSERT INTO") == 1
    assert [row.key for row in written] == [command.key for command in many(500)]
    # The relay sends the oldest of a workflow first: by its id.
    ids = [row.pk for row in written]
    assert ids == sorted(ids)
    assert EngineCommand.objects.count() == 500
    one = EngineCommand.objects.get(key="start:7")
    assert (one.kind, one.args, one.state) == ("start", [{"a": 1}], "pending")


@pytest.mark.django_db
def test_many_of_which_some_are_written_already_cost_one_more_statement(
    django_assert_num_queries: Any,
) -> None:
    first = services.commands_enqueue(many(10))
    with django_assert_num_queries(2):
        again = services.commands_enqueue([*many(20), many(20)[0]])
    assert [row.pk for row in again[:10]] == [row.pk for row in first]
    assert again[-1].pk == again[0].pk
    assert EngineCommand.objects.count() == 20
    assert services.commands_enqueue([]) == []


@pytest.mark.django_db
def test_a_key_that_comes_twice_for_different_things_is_refused() -> None:
    twice = [
        services.start_command(key="k", **VALUES),
        services.start_command(key="k", **(VALUES | {"args": []})),
    ]
    with pytest.raises(Conflict) as refusal:
        services.commands_enqueue(twice)
    assert refusal.value.code == "command_key_reused"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_in_any_order_neither_deadlock_nor_write_twice() -> None:
    barrier = Barrier(6)

    def enqueue(turn: int) -> list[int]:
        try:
            barrier.wait(10)
            wanted = many(200)
            with transaction.atomic():
                rows = services.commands_enqueue(wanted if turn % 2 else wanted[::-1])
            return sorted(row.pk for row in rows)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(enqueue, range(6)))
    assert results == [results[0]] * 6
    assert EngineCommand.objects.count() == 200


@pytest.mark.django_db
@pytest.mark.parametrize("verb", [services.workflow_cancel, services.workflow_terminate])
def test_a_workflow_is_not_ended_without_a_reason(verb: Callable[..., EngineCommand]) -> None:
    with pytest.raises(Invalid) as refusal:
        verb(
            key="k",
            workflow_id="w",
            task_queue="q",
            reason=" ",
            subject_type="thing",
            subject_id="1",
        )
    assert refusal.value.code == "reason_required"


def parked() -> EngineCommand:
    with transaction.atomic():
        command = services.workflow_start(key="k", **VALUES)
    EngineCommand.objects.update(state="parked", strikes=3, error="bad")
    return command


@pytest.mark.django_db(transaction=True)
def test_an_operator_retries_a_parked_command_and_it_is_audited() -> None:
    command = services.command_retry(command_id=parked().pk, by=ENGINE, via="page", reason="fixed")
    assert (command.state, command.strikes) == (CommandState.PENDING, 0)
    entry = AuditEntry.objects.get(action="engine.command_retry")
    assert (entry.outcome, entry.subject_id) == ("done", str(command.pk))


@pytest.mark.django_db(transaction=True)
def test_an_operator_discards_a_parked_command_once() -> None:
    pk = parked().pk
    command = services.command_discard(command_id=pk, by=ENGINE, via="page", reason="no use")
    assert command.state == CommandState.DISCARDED
    with pytest.raises(Conflict) as refusal:
        services.command_discard(command_id=pk, by=ENGINE, via="page", reason="again")
    assert refusal.value.code == "already_settled"
    assert AuditEntry.objects.filter(outcome="refused", code="already_settled").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_subject_hears_of_a_discard_in_its_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str, bool]] = []

    def hear(command: EngineCommand) -> None:
        heard.append((command.state, command.error, connection.in_atomic_block))

    def refuse(command: EngineCommand) -> None:
        raise Conflict("not now", code="not_now")

    subject = subjects.EngineSubject(
        type="thing",
        title="Thing",
        restart=lambda _: None,
        on_undeliverable=hear,
        on_closed=lambda _, __: None,
        url=lambda _: "",
        stranded=list,
    )
    monkeypatch.setitem(subjects._subjects, "thing", replace(subject, on_undeliverable=refuse))
    pk = parked().pk
    with pytest.raises(Conflict):
        services.command_discard(command_id=pk, by=ENGINE, via="page", reason="no use")
    assert EngineCommand.objects.get(pk=pk).state == CommandState.PARKED
    monkeypatch.setitem(subjects._subjects, "thing", subject)
    services.command_discard(command_id=pk, by=ENGINE, via="page", reason="no use")
    ((state, error, joined),) = heard
    assert (state, joined) == (CommandState.DISCARDED, True)
    assert error.startswith("engine gave it up: no use")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("parked", " ", "reason_required"),
        ("pending", "why", "not_parked"),
        ("sent", "y", "not_parked"),
    ],
)
def test_a_retry_that_makes_no_sense_is_refused(state: str, reason: str, code: str) -> None:
    pk = parked().pk
    EngineCommand.objects.update(state=state)
    with pytest.raises(DomainError) as refusal:
        services.command_retry(command_id=pk, by=ENGINE, via="page", reason=reason)
    assert refusal.value.code == code


@pytest.mark.django_db(transaction=True)
def test_a_command_in_flight_is_not_discarded_and_an_unknown_one_not_found() -> None:
    pk = parked().pk
    EngineCommand.objects.update(state="leased")
    with pytest.raises(Conflict) as refusal:
        services.command_discard(command_id=pk, by=ENGINE, via="page", reason="why")
    assert refusal.value.code == "in_flight"
    with pytest.raises(NotFound):
        services.command_discard(command_id=pk + 1, by=ENGINE, via="page", reason="why")
