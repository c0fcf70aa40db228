"""The directory's buckets, counted for all processes of the site together."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.pix.bridge import limits
from apps.pix.bridge.buckets import BUCKETS, Bucket, cost_of, group_of
from apps.pix.bridge.problems import DirectoryRefused, DirectoryUnavailable
from deploy.local.processes import free_port
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.simulators.directory.acting import create


def verify(directory: SimulatedDirectory, participant: str = OURS) -> bool:
    return directory.client.sync_verify(
        participant=participant, key_type="PHONE", verifier="0" * 64
    ).ok


@pytest.fixture
def three(settings: Any) -> None:
    """Three verifications at once, then one in a long time."""
    settings.DIRECTORY_BUCKETS = {"SYNC_VERIFICATIONS_WRITE": (0.01, 3)}


def test_a_call_that_the_directory_would_refuse_is_not_sent(
    directory: SimulatedDirectory, three: None
) -> None:
    assert [verify(directory) for _ in range(3)] == [True] * 3
    with pytest.raises(DirectoryUnavailable) as empty:
        verify(directory)
    assert not empty.value.maybe_done
    assert empty.value.retry_after is not None
    assert 5900 < empty.value.retry_after.total_seconds() <= 6000
    assert directory.calls("Sync.Verify") == 3
    # Each participant has its own.
    assert verify(directory, OTHER)


def test_a_bucket_fills_again_with_time(directory: SimulatedDirectory, settings: Any) -> None:
    settings.DIRECTORY_BUCKETS = {"SYNC_VERIFICATIONS_WRITE": (6_000_000.0, 1)}
    assert [verify(directory) for _ in range(20)] == [True] * 20


def test_many_at_once_take_no_more_than_there_is(
    directory: SimulatedDirectory, three: None, side_by_side: Any
) -> None:
    outcomes = side_by_side(lambda number: verify(directory), 8)
    assert sum(one is True for one in outcomes) == 3
    assert sum(isinstance(one, DirectoryUnavailable) for one in outcomes) == 5


def test_without_redis_calls_go_on_and_the_directory_counts(
    directory: SimulatedDirectory, three: None, settings: Any
) -> None:
    directory.reset(limits=True)
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    most = BUCKETS["SYNC_VERIFICATIONS_WRITE"].size
    assert [verify(directory) for _ in range(most)] == [True] * most
    with pytest.raises(DirectoryUnavailable) as refused:
        verify(directory)
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after.total_seconds() <= 6
    assert directory.calls("Sync.Verify") == most + 1


def test_after_the_directorys_own_429_nobody_calls_before_its_time(
    directory: SimulatedDirectory,
) -> None:
    directory.faults("Sync.Verify", status=429, retry_after=600, next=1)
    with pytest.raises(DirectoryUnavailable):
        verify(directory)
    with pytest.raises(DirectoryUnavailable) as not_sent:
        verify(directory)
    assert not_sent.value.retry_after is not None
    assert 590 < not_sent.value.retry_after.total_seconds() <= 600
    assert directory.calls("Sync.Verify") == 1


def test_an_error_of_the_directorys_costs_nothing(
    directory: SimulatedDirectory, three: None
) -> None:
    directory.faults("Sync.Verify", status=500, next=5)
    for _ in range(5):
        with pytest.raises(DirectoryUnavailable) as failed:
            verify(directory)
        assert failed.value.maybe_done
    assert [verify(directory) for _ in range(3)] == [True] * 3


def test_a_key_that_is_not_there_costs_three(directory: SimulatedDirectory, settings: Any) -> None:
    settings.DIRECTORY_BUCKETS = {"ENTRIES_READ": (0.01, 4)}
    create(directory)
    with pytest.raises(DirectoryRefused):
        directory.client.entry_get(participant=OURS, key="+5511900000000")
    directory.client.entry_get(participant=OURS, key="+5561988880000")
    with pytest.raises(DirectoryUnavailable):
        directory.client.entry_get(participant=OURS, key="+5561988880000")


def test_the_figures_are_those_of_the_interface() -> None:
    assert BUCKETS["ENTRIES_WRITE"] == Bucket(1200, 36_000)
    assert BUCKETS["CIDS_FILES_WRITE"].refill * 24 * 60 == pytest.approx(40)
    assert group_of("Claims.List", "DONOR") == "CLAIMS_LIST_WITH_ROLE"
    assert group_of("Claims.List") == "CLAIMS_LIST_WITHOUT_ROLE"
    assert group_of("Sync.DownloadFile") == ""
    assert [cost_of("Entries.Get", status) for status in (200, 404, 500)] == [1, 3, 0]
    assert cost_of("Claims.Get", 404) == 1


def test_a_bucket_that_there_is_not_is_named(settings: Any) -> None:
    settings.DIRECTORY_BUCKETS = {"ENTRIES_WRITES": (1.0, 1)}
    with pytest.raises(ImproperlyConfigured, match="ENTRIES_WRITES"):
        limits.buckets()
