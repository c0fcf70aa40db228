"""The client against the simulated directory: what comes back, and what a failure means."""

import inspect
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.common.errors import DomainError, Unavailable
from apps.pix.bridge import channel
from apps.pix.bridge.client import Directory
from apps.pix.bridge.problems import CODES, DirectoryRefused, DirectoryUnavailable
from apps.pix.bridge.shapes import DirectoryAccount, DirectoryOwner
from deploy.local.processes import free_port
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.simulators.directory.acting import PERSON, PHONE, account, claim, create
from tests.support import within

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def lookup(directory: SimulatedDirectory, **words: Any) -> Any:
    return directory.client.entry_get(participant=OURS, key=PHONE, **words)


def test_what_is_sent_comes_back_as_it_was(directory: SimulatedDirectory) -> None:
    opened = datetime(2019, 2, 28, 12, 30, 0, 5, tzinfo=UTC)
    there = DirectoryAccount(OURS, "00Ab", "SVGS", "1", opened)
    company = DirectoryOwner("LEGAL_PERSON", "12ABC34501DE35", "D'Água & Filhos", "Água")
    made = create(directory, account=there, owner=company)
    assert (made.account, made.owner) == (there, company)
    assert made.created_at is not None
    assert made.created_at.tzinfo is UTC
    assert lookup(directory) == made


def test_a_refusal_has_our_code_and_a_status_for_our_own_answer(
    directory: SimulatedDirectory,
) -> None:
    create(directory)
    with pytest.raises(DirectoryRefused) as refused:
        create(directory, participant=OTHER)
    assert isinstance(refused.value, DomainError)
    assert not isinstance(refused.value, Unavailable)
    assert refused.value.code == "entry_in_custody_of_different_participant"
    assert refused.value.status == 409
    assert refused.value.problem_type == "EntryKeyInCustodyOfDifferentParticipant"
    with pytest.raises(DirectoryRefused) as refused:
        create(directory, "+5511900000001", reason="FRAUD")
    assert (refused.value.code, refused.value.status) == ("reason_invalid", 422)
    assert [one.property for one in refused.value.violations] == ["reason"]


def test_every_code_of_the_interface_is_in_the_table() -> None:
    assert {
        *("claim_type_inconsistent", "reason_invalid", "entry_already_exists"),
        *("entry_owned_by_different_person", "entry_in_custody_of_different_participant"),
        *("entry_limit_exceeded", "entry_locked_by_claim", "claim_already_exists_for_key"),
        *("claim_operation_invalid", "claim_resolution_period_not_ended"),
        "claim_completion_period_not_ended",
    } <= {code for code, _status in CODES.values()}


def test_an_answer_lost_after_the_commit_is_unknown_and_not_refused(
    directory: SimulatedDirectory,
) -> None:
    directory.faults("Entries.Create", lose_answer=True, next=1)
    request_id = str(uuid4())
    with pytest.raises(DirectoryUnavailable) as lost:
        create(directory, request_id=request_id)
    assert isinstance(lost.value, Unavailable)
    assert lost.value.maybe_done
    assert directory.calls("Entries.Create") == 1
    made = create(directory, request_id=request_id)
    assert lookup(directory) == made


def test_a_claim_whose_answer_was_lost_is_found_in_the_list(directory: SimulatedDirectory) -> None:
    create(directory)
    directory.faults("Claims.Create", lose_answer=True, next=1)
    with pytest.raises(DirectoryUnavailable):
        claim(directory, "OWNERSHIP")
    with pytest.raises(DirectoryRefused, match="claims it") as again:
        claim(directory, "OWNERSHIP")
    assert again.value.code == "claim_already_exists_for_key"
    (found,) = directory.client.claims_list(
        participant=OTHER, role="CLAIMER", modified_from=LONG_AGO
    ).claims
    assert found.key == PHONE


@pytest.mark.parametrize(
    ("status", "maybe_done"), [(409, False), (429, False), (500, True), (503, True)]
)
def test_what_means_later_is_tried_again_after_its_time(
    directory: SimulatedDirectory, status: int, maybe_done: bool
) -> None:
    directory.faults("Entries.Get", status=status, retry_after=7.5, next=1)
    with pytest.raises(DirectoryUnavailable) as later:
        lookup(directory)
    assert later.value.code == "directory_unavailable"
    assert later.value.retry_after == timedelta(seconds=7.5)
    assert later.value.maybe_done is maybe_done


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "directory_bad_request"), (403, "directory_forbidden"), (404, "directory_not_found")],
)
def test_other_answers_of_the_directory_are_refusals(
    directory: SimulatedDirectory, status: int, code: str
) -> None:
    directory.faults("Entries.Get", status=status, next=1)
    with pytest.raises(DirectoryRefused) as refused:
        lookup(directory)
    assert refused.value.code == code


def test_an_operation_that_is_gone_is_refused(directory: SimulatedDirectory) -> None:
    directory.faults("Infractions.Create", status=410, next=1)
    with pytest.raises(DirectoryRefused) as refused:
        directory.client.infraction_create(
            participant=OURS, transaction_id="E", reason="REFUND_REQUEST", situation_type="SCAM"
        )
    assert refused.value.code == "directory_operation_gone"


def test_a_call_ends_by_its_deadline_and_may_have_been_done(
    directory: SimulatedDirectory,
) -> None:
    directory.faults("Entries.Create", delay_seconds=0.6, next=1)
    with within(0.5), pytest.raises(DirectoryUnavailable) as late:
        directory.client.entry_create(
            participant=OURS,
            request_id=str(uuid4()),
            key_type="PHONE",
            key=PHONE,
            account=account(),
            owner=PERSON,
            reason="USER_REQUESTED",
            within=0.1,
        )
    assert late.value.maybe_done


def test_the_setting_bounds_what_a_caller_allows(
    directory: SimulatedDirectory, settings: Any
) -> None:
    settings.BRIDGE_GRPC_TIMEOUT = 0.1
    directory.faults("Entries.Get", delay_seconds=0.6, next=1)
    with within(0.5), pytest.raises(DirectoryUnavailable):
        lookup(directory, within=25.0)


def test_without_a_bridge_a_call_is_unavailable_at_once(
    directory: SimulatedDirectory, settings: Any
) -> None:
    settings.BRIDGE_GRPC_ADDR = f"127.0.0.1:{free_port()}"
    with within(3), pytest.raises(DirectoryUnavailable):
        lookup(directory)
    assert not directory.client.serving()


def test_a_bridge_says_whether_it_serves(directory: SimulatedDirectory) -> None:
    assert directory.client.serving()


def test_many_threads_share_one_channel(directory: SimulatedDirectory) -> None:
    create(directory)
    failed: list[Exception] = []

    def ask() -> None:
        try:
            for _ in range(20):
                assert lookup(directory).key == PHONE
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(channel._channels) == 1


def test_a_child_of_the_process_makes_a_channel_of_its_own(
    directory: SimulatedDirectory,
) -> None:
    assert directory.client.serving()
    kept = dict(channel._channels)
    assert kept
    child = os.fork()
    if child == 0:
        os._exit(0 if not channel._channels and channel._lock.acquire(timeout=1) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert channel._channels == kept


def test_nothing_is_connected_before_the_first_call(directory: SimulatedDirectory) -> None:
    channel.close()
    assert isinstance(directory.client, Directory)
    assert channel._channels == {}


def test_a_certificate_that_cannot_be_read_is_named(
    directory: SimulatedDirectory, settings: Any
) -> None:
    settings.BRIDGE_GRPC_TLS = True
    settings.BRIDGE_GRPC_TLS_CA_FILE = "/nowhere/ca.pem"
    channel.close()
    with pytest.raises(ImproperlyConfigured, match="BRIDGE_GRPC_TLS_CA_FILE"):
        lookup(directory)


def test_every_call_takes_the_seconds_that_an_activity_has() -> None:
    methods = {
        name: fn
        for name, fn in vars(Directory).items()
        if not name.startswith("_") and inspect.isfunction(fn)
    }
    assert len(methods) == 24
    for name, fn in methods.items():
        assert "within" in inspect.signature(fn).parameters, name
