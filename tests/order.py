"""Which test runs where and when, under xdist."""

import re
from collections.abc import Generator

import pytest

from config import startup

# From here on code is loaded, until the first test runs: a third of that time is the collector's.
startup.load_begin()

#: What takes longest begins first, in this order: or at the end one xdist worker would run it while
#: the others have nothing to do. Browser tests come before all of it.
DEAREST = (
    "tests/faults/",
    "tests/test_adding_a_domain.py",
    "tests/interventions/test_failure_table.py",
    "tests/deploy/test_run.py",
)
#: Then tests with these, as they start processes or wait for the engine, and these modules.
LONG_FIXTURES = {"make_stack", "private_servers", "make_worker", "stage"}
LONG_MODULES = (
    "tests/api/test_fuzz.py",
    "tests/approvals/test_bulk_workflow.py",
    "tests/approvals/test_paths.py",
    "tests/approvals/test_property.py",
    "tests/approvals/test_races.py",
    "tests/audit/test_verify.py",
    "tests/config/test_settings.py",
    "tests/console/test_admin.py",
    "tests/console/test_inbox.py",
    "tests/console/test_kit_doors.py",
    "tests/console/test_pages.py",
    "tests/interventions/test_batch_workflow.py",
    "tests/interventions/test_batches.py",
    "tests/interventions/test_budgets.py",
    "tests/test_waiting.py",
)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Tests that share a stack run in one xdist worker, and one browser at a time: two of them,
    with all their processes, would only wait for each other. The long ones come first, whatever the
    random order is."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if "chromium" in used:
            item.add_marker(pytest.mark.xdist_group("browser"))
        elif "stack" in used:
            folder = item.nodeid.partition("::")[0].rpartition("/")[0]
            item.add_marker(pytest.mark.xdist_group(folder))
    yield
    if config.getoption("loadgroup", False):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """In which part of the session the test runs."""
    used = set(getattr(item, "fixturenames", ()))
    if "chromium" in used:
        return 0
    for place, prefix in enumerate(DEAREST, start=1):
        if item.nodeid.startswith(prefix):
            return place
    long = used & LONG_FIXTURES or item.nodeid.startswith(LONG_MODULES)
    return len(DEAREST) + (1 if long else 2)


def pytest_collection_finish(session: pytest.Session) -> None:
    """xdist must have understood the groups: without them every stack is set up twice."""
    if session.config.getoption("loadgroup", False):
        lost = [i.nodeid for i in session.items if i.get_closest_marker("xdist_group")]
        lost = [nodeid for nodeid in lost if "@" not in nodeid]
        assert not lost, f"xdist lost the groups of {lost[:3]}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """All code is loaded, also where xdist's workers are looked after."""
    startup.load_end()


def bare(nodeid: str) -> str:
    """The id of a test without the group that xdist adds to it: `…::test_name@browser`."""
    return re.sub(r"@[^@\]]+$", "", nodeid)
