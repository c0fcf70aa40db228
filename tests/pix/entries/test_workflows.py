"""The workflows of keys against a real engine and the simulated directory."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone
from temporalio.client import WorkflowHandle

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide
from apps.engine.namespace import engine_ensure
from apps.pix.contracts.entries import AccountGiven, OwnerGiven
from apps.pix.models import Entry, EntryChange, PossessionCode
from apps.pix.services import entries, entry_attention, entry_rows, possession
from tests.directory import OURS, SimulatedDirectory
from tests.pix.entries.conftest import CPF, PHONE, Keys
from tests.stage import EngineStage, failure, orm
from tests.support import eventually_async

pytestmark = pytest.mark.django_db(transaction=True)

GIVEN: dict[str, Any] = {
    "key_type": "CPF",
    "key": CPF,
    "account": {"participant": OURS, "branch": "0001", "number": "7654321", "type": "CACC"},
    "owner": {"type": "NATURAL_PERSON", "tax_id": CPF, "name": "João Silva"},
}


@pytest.fixture
async def stage(
    shared_keys: Keys, temporal_client: Any, task_queue: str
) -> AsyncIterator[EngineStage]:
    """The dev server, and a worker of this process."""
    await engine_ensure(temporal_client)
    stage = EngineStage(client=temporal_client, queue=task_queue, serves="conn-dict-task-queue")
    async with stage.working(slots=10):
        yield stage


def run_of(stage: EngineStage, change: EntryChange) -> WorkflowHandle[Any, Any]:
    return stage.client.get_workflow_handle(change.workflow_id)


async def done(stage: EngineStage, change: EntryChange) -> dict[str, Any]:
    await stage.deliver()
    found: dict[str, Any] = await run_of(stage, change).result()
    return found


async def start(stage: EngineStage, kind: str, given: Any, id: str) -> WorkflowHandle[Any, Any]:
    """As `temporal workflow start` does."""
    arguments = [] if given is None else [given]
    return await stage.client.start_workflow(kind, args=arguments, id=id, task_queue=stage.queue)


async def test_a_key_lives_from_its_creation_to_its_removal(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    keys = shared_keys
    change = await orm(lambda: keys.ask(key_type="EVP", key=None))
    result = await done(stage, change)
    assert (result["status"], result["change"], result["code"]) == ("active", "done", "")
    entry = await orm(Entry.objects.get)
    assert entry.key == directory.dump()[0].entry.key

    account = AccountGiven(number="42", type="TRAN")
    change, _ = await orm(
        lambda: entries.entry_update(
            entry_id=entry.pk, account=account, reason="BRANCH_TRANSFER", **keys.about()
        )
    )
    assert (await done(stage, change))["change"] == "done"
    change, _ = await orm(lambda: entries.entry_delete(entry_id=entry.pk, **keys.about()))
    assert (await done(stage, change))["status"] == "removed"
    assert directory.dump() == []
    # No key stands in a history.
    for one in await orm(lambda: list(EntryChange.objects.all())):
        history = await run_of(stage, one).fetch_history()
        assert entry.key not in history.to_json()


async def test_a_creation_waits_for_its_code_and_ends_without_it(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    keys = shared_keys
    change = await orm(lambda: keys.ask(key_type="PHONE", key=PHONE))
    await stage.deliver()
    code = await orm(keys.code)
    await orm(
        lambda: possession.possession_prove(entry_id=change.entry_id, code=code, **keys.about())
    )
    assert (await done(stage, change))["status"] == "active"
    late = await orm(lambda: keys.ask(key_type="PHONE", key="+5511987654322"))
    soon = timezone.now() + timedelta(seconds=1)
    await orm(PossessionCode.objects.filter(change=late).update, expires_at=soon)
    result = await done(stage, late)
    assert (result["status"], result["code"]) == ("removed", "possession_code_expired")
    assert directory.calls("Entries.Create") == 1


async def test_the_five_wrong_tries_and_giving_up_end_the_run_too(
    stage: EngineStage, shared_keys: Keys
) -> None:
    keys = shared_keys
    change = await orm(lambda: keys.ask(key_type="PHONE", key=PHONE))
    await stage.deliver()
    await orm(lambda: entries.entry_delete(entry_id=change.entry_id, **keys.about()))
    result = await done(stage, change)
    assert (result["status"], result["change"], result["code"]) == (
        *("removed", "cancelled", "given_up"),
    )


async def test_answers_that_are_lost_late_or_refused_for_now_are_asked_for_again(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    keys = shared_keys
    directory.faults("Entries.Create", lose_answer=True, next=1)
    first = await orm(keys.ask)
    assert (await done(stage, first))["status"] == "active"
    for number, status in enumerate((409, 429, 503)):
        retry_after = 1.0 if status == 429 else 0.0
        directory.faults("Entries.Create", status=status, retry_after=retry_after, next=1)
        change = await orm(
            lambda number=number: keys.ask(
                key_type="EVP", key=None, account={"number": str(number)}
            )
        )
        assert (await done(stage, change))["status"] == "active", status
    assert len(directory.dump()) == 4
    for verb, more in (
        (entries.entry_update, {"owner": OwnerGiven(name="J.")}),
        (
            entries.entry_delete,
            {},
        ),
    ):
        operation = "Update" if more else "Delete"
        directory.faults(f"Entries.{operation}", lose_answer=True, next=1)
        change, _ = await orm(
            lambda verb=verb, more=more: verb(entry_id=first.entry_id, **more, **keys.about())
        )
        assert (await done(stage, change))["change"] == "done"
        assert directory.calls(f"Entries.{operation}") == 1
    assert len(directory.dump()) == 3


async def test_what_the_directory_refuses_frees_the_key(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    keys = shared_keys
    first = await orm(keys.ask)
    await done(stage, first)
    # As after a restored backup: the directory has it, and nobody here knows.
    await orm(EntryChange.objects.all().delete)
    await orm(Entry.objects.all().delete)
    change = await orm(keys.ask)
    result = await done(stage, change)
    assert (result["status"], result["change"], result["code"]) == (
        *("removed", "failed", "entry_already_exists"),
    )


# --- started by others ----------------------------------------------------------------------------
async def test_a_workflow_that_others_start_makes_its_row_and_once(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    given = {**GIVEN, "entry_id": "ENTRY-7"}
    handle = await start(stage, "CreateEntryWorkflow", given, "their-own-id")
    result = await handle.result()
    assert (result["entry_id"], result["status"]) == ("ENTRY-7", "active")
    change = await orm(EntryChange.objects.get)
    assert (change.workflow_id, change.origin) == ("their-own-id", "engine")
    # The same line again answers with the same entry; another one finds the key taken.
    again = await start(stage, "CreateEntryWorkflow", given, "their-own-id")
    assert await again.result() == result
    other = await start(stage, "CreateEntryWorkflow", given, "another")
    assert await failure(other) == "entry_already_exists"
    update = {"entry_id": "ENTRY-7", "owner": {"name": "J. Silva"}}
    changed = await start(stage, "UpdateEntryWorkflow", update, "their-update")
    assert (await changed.result())["change"] == "done"
    gone = await start(stage, "DeleteEntryWorkflow", {"entry_id": "ENTRY-7"}, "their-removal")
    assert (await gone.result())["status"] == "removed"
    assert directory.dump() == []


@pytest.mark.parametrize(
    ("kind", "given", "code"),
    [
        ("CreateEntryWorkflow", None, "input_invalid"),
        ("CreateEntryWorkflow", "text", "input_invalid"),
        ("CreateEntryWorkflow", [1], "input_invalid"),
        ("CreateEntryWorkflow", {"unknown": 1}, "input_invalid"),
        ("CreateEntryWorkflow", {"key_type": 5}, "input_invalid"),
        ("CreateEntryWorkflow", {}, "key_type_invalid"),
        ("CreateEntryWorkflow", {**GIVEN, "key": "11122233300"}, "key_invalid"),
        ("CreateEntryWorkflow", {**GIVEN, "entry_id": "\u0007"}, "entry_id_invalid"),
        ("CreateEntryWorkflow", {**GIVEN, "entry_id": "x" * 101}, "input_invalid"),
        ("UpdateEntryWorkflow", {"entry_id": "nobody"}, "not_found"),
        ("DeleteEntryWorkflow", {}, "not_found"),
    ],
)
async def test_an_input_of_any_shape_ends_the_run_with_a_code(
    stage: EngineStage, kind: str, given: Any, code: str
) -> None:
    assert await failure(await start(stage, kind, given, f"{stage.queue}-x")) == code
    assert not await orm(EntryChange.objects.exists)


async def test_a_signal_with_anything_in_it_wakes_and_changes_nothing(
    stage: EngineStage, shared_keys: Keys
) -> None:
    change = await orm(lambda: shared_keys.ask(key_type="PHONE", key=PHONE))
    await stage.deliver()
    handle = run_of(stage, change)
    for arguments in ([], [None], [{"a": 1}, 2], ["x"]):
        await handle.signal("possession_changed", args=arguments)
    await orm(lambda: entries.entry_delete(entry_id=change.entry_id, **shared_keys.about()))
    assert (await done(stage, change))["change"] == "cancelled"


# --- ended from outside ---------------------------------------------------------------------------
def second_officer() -> User:
    user = User.objects.create(username="another")
    user.groups.add(Group.objects.get(name="key officer"))
    return user


def closed(change: EntryChange) -> None:
    with transaction.atomic():
        entry_attention.change_closed(
            str(change.pk), workflow_id=change.workflow_id, why="Terminated.", as_of=timezone.now()
        )


async def test_a_terminated_run_ends_the_change_or_asks_a_person_about_the_directory(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    keys = shared_keys
    waits = await orm(lambda: keys.ask(key_type="PHONE", key=PHONE))
    await orm(closed, waits)
    await orm(waits.refresh_from_db)
    assert (waits.status, waits.error_code) == ("failed", "workflow_closed")

    directory.faults("Entries.Create", lose_answer=True, next=1)
    directory.faults("Entries.Create", status=503, next=1000)
    change = await orm(keys.ask)
    await stage.deliver()
    await eventually_async(lambda: directory.calls("Entries.Create") > 1, timeout=20)
    await run_of(stage, change).terminate("to see")
    await orm(closed, change)
    item = await orm(lambda: ApprovalRequest.objects.open().get(kind="entry_change.attention"))
    directory.faults(clear=True)
    # Not who asked for the key.
    officer = await orm(second_officer)
    await orm(
        lambda: request_decide(
            request_id=item.pk,
            by=officer,
            verdict="approve",
            reason="Ask again.",
            payload_hash=item.payloads.get().hash,
            via="api",
            as_of=timezone.now(),
        )
    )
    await stage.deliver()
    await orm(change.refresh_from_db)
    await run_of(stage, change).result()
    assert (await orm(Entry.objects.get, pk=change.entry_id)).status == "active"
    assert len(directory.dump()) == 1


async def test_a_cancelled_run_ends_what_was_not_sent(
    stage: EngineStage, shared_keys: Keys, directory: SimulatedDirectory
) -> None:
    change = await orm(lambda: shared_keys.ask(key_type="PHONE", key=PHONE))
    await stage.deliver()
    await run_of(stage, change).cancel()
    result = await run_of(stage, change).result()
    assert (result["status"], result["change"]) == ("removed", "cancelled")
    assert directory.calls("Entries.Create") == 0


async def test_after_its_deadline_without_an_answer_a_person_is_asked(
    stage: EngineStage,
    shared_keys: Keys,
    directory: SimulatedDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert entry_rows.DAY == 24 * 3600
    monkeypatch.setattr(entry_rows, "DAY", 3.0)
    directory.faults("Entries.Create", status=503, next=100_000)
    change = await orm(shared_keys.ask)
    await stage.deliver()
    assert await failure(run_of(stage, change)) == "deadline_exceeded"
    assert await orm(lambda: ApprovalRequest.objects.open().get().kind) == "entry_change.attention"
    await orm(change.refresh_from_db)
    assert change.status == "running"
