"""Keys: taken once, counted by account, changed one change at a time, and as the directory has
them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.common.errors import DomainError, Unavailable
from apps.engine.models import EngineCommand
from apps.pix.bridge.problems import DirectoryRefused, Violation
from apps.pix.contracts import ChangeStatus, EntryStatus
from apps.pix.contracts.entries import AccountGiven, OwnerGiven
from apps.pix.models import Entry, EntryChange
from apps.pix.services import entries, entry_directory, entry_ending, entry_ownership
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.pix.entries.conftest import CNPJ, CPF, EMAIL, PHONE, Keys, at_once

pytestmark = pytest.mark.django_db


def refused(expected: str, verb: Any, **body: Any) -> DomainError:
    with pytest.raises(DomainError) as refusal:
        verb(**body)
    assert refusal.value.code == expected, refusal.value.detail
    return refusal.value


# --- asking ---------------------------------------------------------------------------------------
def test_a_key_is_asked_for_and_its_workflow_started_in_one_transaction(keys: Keys) -> None:
    change = keys.ask(idempotency_key="once")
    entry = change.entry
    assert (change.status, entry.status) == (ChangeStatus.RUNNING, EntryStatus.PENDING)
    assert entry.request_id == change.request_id
    command = EngineCommand.objects.get()
    assert (command.workflow_id, command.task_queue) == (
        change.workflow_id,
        "conn-dict-task-queue",
    )
    # Neither the engine nor the trail is told the key.
    assert CPF not in str(command.args)
    said = AuditEntry.objects.get(action="entry_change.create_requested")
    assert said.body
    assert said.body["key"] == "***.222.333-**"
    again, new = entries.entry_create(**keys.body(idempotency_key="once"))
    assert (again.pk, new) == (change.pk, False)
    refused(
        "idempotency_key_reused",
        entries.entry_create,
        **keys.body(idempotency_key="once", owner={"name": "Other"}),
    )


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("key_type_invalid", {"key_type": "MAIL"}),
        ("key_invalid", {"key": "11122233300"}),
        ("key_invalid", {"key": "1112223339²"}),
        ("key_invalid", {"key": None}),
        # Somebody else's CPF.
        ("key_invalid", {"key": "52998224725"}),
        ("key_invalid", {"key_type": "EVP", "key": "a946d533-7f22-42a5-9a9b-e87cd55c0f4d"}),
        ("key_invalid", {"key_type": "PHONE", "key": "+551187654321"}),
        ("key_invalid", {"key_type": "EMAIL", "key": "a&b@x.com"}),
        ("ispb_invalid", {"account": {"participant": "1234"}}),
        ("participant_not_ours", {"account": {"participant": "99999999"}}),
        ("branch_invalid", {"account": {"branch": "00011"}}),
        ("account_number_invalid", {"account": {"number": ""}}),
        ("account_type_invalid", {"account": {"type": "GOLD"}}),
        ("owner_type_invalid", {"owner": {"type": "ROBOT"}}),
        ("tax_id_invalid", {"owner": {"tax_id": "1"}}),
        ("name_invalid", {"owner": {"name": ""}}),
        ("trade_name_invalid", {"owner": {"trade_name": "Shop"}}),
        ("reason_invalid", {"reason": "FRAUD"}),
    ],
)
def test_what_is_no_key_is_refused_with_its_code(
    keys: Keys, code: str, changes: dict[str, Any]
) -> None:
    refused(code, entries.entry_create, **keys.body(**changes))
    assert not Entry.objects.exists()
    assert AuditEntry.objects.filter(outcome="refused", code=code).count() == 1


def test_who_may_not_change_keys_is_refused(keys: Keys) -> None:
    for person in ("auditor", "operator", "requester"):
        refused("permission_denied", entries.entry_create, **keys.body(by=keys.people[person]))


def test_a_taken_key_names_the_claim_by_which_it_can_be_had(keys: Keys) -> None:
    keys.active(key_type="PHONE", key=PHONE)
    same = {"key_type": "PHONE", "key": PHONE}
    known = refused("entry_already_exists", entries.entry_create, **keys.body(**same))
    assert known.extra["entry_id"] == Entry.objects.get().entry_id
    away = {**same, "account": {"participant": OTHER}}
    custody = refused(
        "entry_in_custody_of_different_participant", entries.entry_create, **keys.body(**away)
    )
    assert custody.extra["suggested_claim"] == {
        "claim_type": "PORTABILITY",
        "key_type": "PHONE",
        "donor_ispb": OURS,
    }
    other = {"type": "LEGAL_PERSON", "tax_id": CNPJ, "name": "Padaria"}
    owned = refused(
        "entry_owned_by_different_person", entries.entry_create, **keys.body(**same, owner=other)
    )
    assert owned.extra["suggested_claim"]["claim_type"] == "OWNERSHIP"
    assert PHONE not in str(list(AuditEntry.objects.values_list("body", flat=True)))


def test_an_account_has_as_many_keys_as_its_owner_may(keys: Keys) -> None:
    for _ in range(5):
        keys.ask(key_type="EVP", key=None)
    full = refused(
        "entry_limit_exceeded", entries.entry_create, **keys.body(key_type="EVP", key=None)
    )
    assert full.extra["limit"] == 5
    # A branch 1 is not the branch 0001: another account.
    keys.ask(key_type="EVP", key=None, account={"branch": "1"})
    company = {"type": "LEGAL_PERSON", "tax_id": CNPJ, "name": "Padaria"}
    for _ in range(20):
        keys.ask(key_type="EVP", key=None, account={"number": "55"}, owner=company)
    refused(
        "entry_limit_exceeded",
        entries.entry_create,
        **keys.body(key_type="EVP", key=None, account={"number": "55"}, owner=company),
    )


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_the_account_takes_five_and_a_key_one(shared_keys: Keys) -> None:
    def evp(number: int) -> str:
        try:
            shared_keys.ask(key_type="EVP", key=None)
        except DomainError as error:
            return error.code
        return "made"

    done = at_once(evp, 8)
    assert sorted(done) == ["entry_limit_exceeded"] * 3 + ["made"] * 5

    def phone(number: int) -> str:
        try:
            shared_keys.ask(
                key_type="PHONE", key=PHONE, account={"number": str(number)}, owner={"name": "A"}
            )
        except DomainError as error:
            return error.code
        return "made"

    assert sorted(at_once(phone, 4)) == ["entry_already_exists"] * 3 + ["made"]


@pytest.mark.django_db(transaction=True)
def test_the_same_request_at_once_is_one_key(shared_keys: Keys) -> None:
    def ask(number: int) -> Any:
        return entries.entry_create(
            **shared_keys.body(key_type="EVP", key=None, idempotency_key="same")
        )

    found = at_once(ask, 6)
    assert len({change.pk for change, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    assert Entry.objects.count() == EngineCommand.objects.count() == 1


# --- the directory --------------------------------------------------------------------------------
def test_from_the_request_to_the_directory_each_step_again_changes_nothing(
    keys: Keys, directory: SimulatedDirectory
) -> None:
    change = keys.ask(key_type="EVP", key=None)
    for _ in range(2):
        entry = keys.carry(change)
    assert entry.status == EntryStatus.ACTIVE
    (held,) = directory.dump()
    assert (held.entry.key, held.request_id) == (entry.key, str(entry.request_id))
    assert entry.ownership_at == held.entry.owned_since.ToDatetime(tzinfo=entry.created_at.tzinfo)
    assert directory.calls("Entries.Create") == 1

    change, _ = entries.entry_update(
        entry_id=entry.pk,
        account=AccountGiven(number="42", type="TRAN", branch="0001"),
        reason="BRANCH_TRANSFER",
        **keys.about(),
    )
    for _ in range(2):
        entry = keys.carry(change)
    assert (entry.account_number, entry.account_type) == ("42", "TRAN")
    assert directory.calls("Entries.Update") == 1
    change, _ = entries.entry_delete(entry_id=entry.entry_id, **keys.about())
    for _ in range(2):
        entry = keys.carry(change)
    assert (entry.status, directory.dump()) == (EntryStatus.REMOVED, [])
    # Its name stands on the row for good, and the key is free.
    assert entry.removed_at is not None


@pytest.mark.parametrize("operation", ["Create", "Update", "Delete"])
def test_an_answer_that_is_lost_after_the_commit_is_found(
    keys: Keys, directory: SimulatedDirectory, operation: str
) -> None:
    change = keys.ask()
    if operation != "Create":
        entry = keys.carry(change)
        verb: Any = entries.entry_update if operation == "Update" else entries.entry_delete
        more = {"owner": OwnerGiven(name="João da Silva")} if operation == "Update" else {}
        change, _ = verb(entry_id=entry.pk, **more, **keys.about())
    directory.faults(f"Entries.{operation}", lose_answer=True, next=1)
    with pytest.raises(Unavailable):
        entry_directory.change_send(change_id=change.pk)
    keys.carry(change)
    assert EntryChange.objects.get(pk=change.pk).status == ChangeStatus.DONE
    again = 2 if operation == "Create" else 1
    assert directory.calls(f"Entries.{operation}") == again
    held = directory.dump()
    assert len(held) == (0 if operation == "Delete" else 1)
    if operation == "Update":
        assert held[0].entry.owner.name == Entry.objects.get().name == "João da Silva"


def test_what_the_directory_refuses_ends_the_change_and_frees_the_key(
    keys: Keys, directory: SimulatedDirectory
) -> None:
    first = keys.active(key_type="PHONE", key=PHONE)
    # Nobody here knows of it any more.
    EntryChange.objects.all().delete()
    Entry.objects.filter(pk=first.pk).delete()
    change = keys.ask(key_type="PHONE", key=PHONE, owner={"name": "Other"}, account={"number": "5"})
    EntryChange.objects.filter(pk=change.pk).update(status="running")
    with pytest.raises(DomainError) as refusal:
        entry_directory.change_send(change_id=change.pk)
    assert refusal.value.code == "entry_already_exists"
    step = change.steps.get(name="directory")
    assert step.status == "failed"
    facts = entry_ending.change_end(
        change_id=change.pk,
        status=ChangeStatus.FAILED,
        code=refusal.value.code,
        detail="",
        as_of=timezone.now(),
    )
    assert (facts.status, facts.entry_status, facts.call) == ("failed", "removed", "")


def test_an_answer_that_no_row_can_keep_goes_to_a_person(
    keys: Keys, directory: SimulatedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = keys.ask()
    monkeypatch.setattr(entry_directory, "HELD", ("key",))
    monkeypatch.setattr(Entry._meta.get_field("key"), "max_length", 5)
    refused("directory_answer_invalid", entry_directory.change_send, change_id=change.pk)
    change.refresh_from_db()
    from apps.pix.services.entry_rows import call_state

    assert call_state(change) == "sent"


def test_what_the_directory_says_of_a_field_is_kept_without_the_key(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = keys.ask()
    no = DirectoryRefused(
        "entry_invalid",
        f"The entry {CPF} is not valid.",
        violations=(Violation("has a sign that is not allowed", "Jo'ao", "owner.name"),),
    )

    def call(**about: Any) -> Any:
        raise no

    monkeypatch.setattr(entry_directory, "directory_call", call)
    said = refused("entry_invalid", entry_directory.change_send, change_id=change.pk)
    assert "owner.name: has a sign" in said.detail
    assert CPF not in said.detail
    assert CPF not in change.steps.get(name="directory").detail


# --- changes --------------------------------------------------------------------------------------
def test_an_update_changes_account_and_names_only(keys: Keys) -> None:
    entry = keys.active()

    def update(**body: Any) -> Any:
        return entries.entry_update(**{"entry_id": entry.pk, **keys.about(), **body})

    said = refused("participant_fixed", update, account=AccountGiven(participant=OTHER))
    assert said.extra["suggested_claim"]["claim_type"] == "PORTABILITY"
    refused("owner_fixed", update, owner=OwnerGiven(type="LEGAL_PERSON"))
    refused("owner_fixed", update, owner=OwnerGiven(tax_id="52998224725"))
    refused("entry_unchanged", update)
    refused("entry_unchanged", update, owner=OwnerGiven(name=entry.name))
    refused("reason_invalid", update, owner=OwnerGiven(name="B"), reason="ACCOUNT_CLOSURE")
    refused("not_found", update, entry_id="nobody")
    refused("not_found", update, entry_id="")
    refused("not_found", update, entry_id="a\x00b")
    change, _ = update(owner=OwnerGiven(name="João S."))
    refused("entry_change_running", update, owner=OwnerGiven(name="C"))
    refused("entry_change_running", entries.entry_delete, entry_id=entry.pk, **keys.about())
    assert keys.carry(change).name == "João S."


def test_an_evp_is_not_updated_because_its_owner_asks(keys: Keys) -> None:
    entry = keys.active(key_type="EVP", key=None)
    body = {"entry_id": entry.pk, "owner": OwnerGiven(name="B"), **keys.about()}
    said = refused("reason_invalid", entries.entry_update, **body)
    assert "USER_REQUESTED" not in said.extra["reasons"]
    assert entries.entry_update(**body, reason="RFB_VALIDATION")[1]


def test_while_somebody_claims_a_key_only_the_account_may_change(keys: Keys) -> None:
    entry = keys.active()
    claim = keys.claim(entry)
    about = {"entry_id": entry.pk, **keys.about()}
    refused("entry_locked_by_claim", entries.entry_delete, **about)
    refused("entry_locked_by_claim", entries.entry_create, **keys.body())
    refused("entry_locked_by_claim", entries.entry_update, **about, owner=OwnerGiven(name="B"))
    account = AccountGiven(number="8", type="CACC", branch="0001")
    change, _ = entries.entry_update(**about, account=account)
    keys.carry(change)
    claim.status = "confirmed"
    claim.save(update_fields=["status"])
    other = AccountGiven(number="9", type="CACC", branch="0001")
    refused("entry_locked_by_claim", entries.entry_update, **about, account=other)


# --- claims ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("claim_type", ["PORTABILITY", "OWNERSHIP"])
def test_a_completed_claim_gives_the_key_and_its_name_to_the_claimer(
    keys: Keys, claim_type: str
) -> None:
    entry = keys.active()
    Entry.objects.filter(pk=entry.pk).update(ownership_at=timezone.now() - timedelta(days=400))
    entry.refresh_from_db()
    claim = keys.claim(entry, claim_type=claim_type)
    now = timezone.now()
    made = entry_ownership.entry_ownership_update(claim, as_of=now)
    assert made is not None
    assert entry_ownership.entry_ownership_update(claim, as_of=now) == made
    entry.refresh_from_db()
    assert (entry.status, made.status) == ("removed", "active")
    assert (made.participant, made.key, made.entry_id) == (OTHER, CPF, entry.entry_id)
    assert made.request_id == claim.request_id
    kept = claim_type == "PORTABILITY"
    assert made.ownership_at == (entry.ownership_at if kept else now)
    assert Entry.objects.named(entry.entry_id).first() == entry  # our own id
    assert Entry.objects.live().get() == made


def test_a_claim_without_a_key_makes_an_entry_without_one(keys: Keys) -> None:
    columns = {"key": "", "key_type": "", "entry_ref": "ENTRY-001", "owner_type": ""}
    stub = Entry(entry_id="ENTRY-001", participant=OURS)
    claim = keys.claim(stub, **columns, claimer_ours=False, tax_id="", name="")
    made = entry_ownership.entry_ownership_update(claim, as_of=timezone.now())
    assert made is not None
    assert (made.entry_id, made.key, made.participant) == ("ENTRY-001", "", OTHER)
    # It can be removed here, without a word to the directory.
    keys.about()
    claim.status, claim.settled_at = "completed", timezone.now()
    claim.save(update_fields=["status", "settled_at"])
    change, _ = entries.entry_delete(entry_id="ENTRY-001", **keys.about())
    assert keys.carry(change).status == "removed"
    # The next claim of the same name makes the next one.
    again = keys.claim(stub, **columns, tax_id="", name="")
    second = entry_ownership.entry_ownership_update(again, as_of=timezone.now())
    assert second is not None
    assert Entry.objects.named("ENTRY-001").first() == second


def test_a_key_that_goes_to_a_stranger_is_only_removed_here(keys: Keys) -> None:
    entry = keys.active()
    claim = keys.claim(entry, claimer_ispb="11111111", claimer_ours=False)
    assert entry_ownership.entry_ownership_update(claim, as_of=timezone.now()) is None
    assert not Entry.objects.live().exists()


def test_a_change_under_way_of_a_key_that_was_claimed_comes_to_nothing(keys: Keys) -> None:
    entry = keys.active()
    claim = keys.claim(entry)
    account = AccountGiven(number="8", type="CACC", branch="0001")
    change, _ = entries.entry_update(entry_id=entry.pk, account=account, **keys.about())
    entry_directory.change_send(change_id=change.pk)
    entry_ownership.entry_ownership_update(claim, as_of=timezone.now())
    facts = entry_ending.change_apply(change_id=change.pk, as_of=timezone.now())
    assert (facts.status, facts.code) == ("failed", "entry_removed")


def test_the_events_of_an_entry_are_ordered_by_its_name_and_have_the_key(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(entry_ending, "event_emit", lambda **event: told.append(event))
    entry = keys.active()
    change, _ = entries.entry_delete(entry_id=entry.pk, **keys.about())
    keys.carry(change)
    assert [(one["type"], one["key"]) for one in told] == [
        ("entry.created", entry.entry_id),
        ("entry.deleted", entry.entry_id),
    ]
    assert told[0]["data"]["key"] == CPF


def test_finding_whether_an_account_has_room_reads_an_index(keys: Keys) -> None:
    keys.active(key_type="EMAIL", key=EMAIL)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        keys.ask(key_type="EVP", key=None)
    assert len(queries) < 30
