"""What a session took: the dearest tests and rooms in worker-seconds, and budgets that it passed.

A room is a folder of tests; the files beside the folders are the room "tests". A worker-second is a
second of one xdist worker, in a test's set-up, in the test or at its end; what several tests share
counts for the first of them.
"""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.order import bare

#: As in the Makefile.
WORKERS = 4
#: Seconds of wall time for `make test` without the domains to come, and for each of those; and what
#: the workers take to start and to collect.
CORE_SECONDS, DOMAIN_SECONDS, START_SECONDS = 600, 180, 40
CORE_BUDGET = (CORE_SECONDS - START_SECONDS) * WORKERS
#: Of the core, in worker-seconds on a machine that does nothing else. A room that is not here is
#: that of a domain to come, if there is such an app, or a small one of the core.
ROOMS: dict[str, int] = {
    "accounts": 30,
    "api": 140,
    "approvals": 215,
    "audit": 30,
    "common": 12,
    "config": 45,
    "console": 265,
    "deploy": 95,
    "e2e": 350,
    "engine": 115,
    "faults": 130,
    "histories": 10,
    "interventions": 400,
    "language": 55,
    "live": 25,
    "notifications": 25,
    "outbound": 13,
    "simulators": 15,
    "tests": 70,
    "web": 20,
    "workers": 180,
}
SMALL = 20
APPS = Path(__file__).resolve().parents[1] / "apps"
#: A session that took less is about few tests: nobody wants to know their place.
LEAST_SECONDS = 60.0
#: What every test of the last such session took, the dearest first.
ALL = APPS.with_name(".cache") / "costs.json"
DEAREST = 10


def is_domain(room: str) -> bool:
    """Whether it is the room of a domain to come."""
    return room not in ROOMS and (APPS / room).is_dir()


def budget_of(room: str) -> int:
    """Worker-seconds that the room may take."""
    return DOMAIN_SECONDS * WORKERS if is_domain(room) else ROOMS.get(room, SMALL)


def room_of(name: str) -> str:
    """The folder under tests/ of a test's id."""
    folders = name.partition("::")[0].split("/")[:-1]
    return folders[1] if len(folders) > 1 else "tests"


class Costs:
    """Worker-seconds of each test of this session."""

    def __init__(self) -> None:
        self.tests: dict[str, float] = defaultdict(float)

    def add(self, name: str, seconds: float) -> None:
        """Set-up, test and end come one after another."""
        self.tests[bare(name)] += seconds

    def rooms(self) -> dict[str, float]:
        """Worker-seconds by room, the dearest first."""
        rooms: dict[str, float] = defaultdict(float)
        for name, seconds in self.tests.items():
            rooms[room_of(name)] += seconds
        return _dearest(rooms)

    def told(self) -> list[str]:
        """Lines about the dearest tests and rooms."""
        tests = list(_dearest(self.tests).items())[:DEAREST]
        lines = [f"{seconds:7.1f}  {name}" for name, seconds in tests]
        for room, seconds in list(self.rooms().items())[:DEAREST]:
            lines.append(f"{seconds:7.1f}  of {budget_of(room)}: {room}")
        return [*lines, f"{sum(self.tests.values()):7.1f}  all tests"]

    def passed(self) -> list[str]:
        """A line for each budget that was passed."""
        rooms = self.rooms()
        lines = [
            f"{room} took {seconds:.0f} of {budget_of(room)} worker-seconds"
            for room, seconds in rooms.items()
            if seconds > budget_of(room)
        ]
        core = sum(seconds for room, seconds in rooms.items() if not is_domain(room))
        if core > CORE_BUDGET:
            lines.append(f"the core took {core:.0f} of {CORE_BUDGET} worker-seconds")
        return lines


def _dearest(costs: dict[str, float]) -> dict[str, float]:
    return dict(sorted(costs.items(), key=lambda item: -item[1]))


# --- the plugin -----------------------------------------------------------------------------------
_costs = Costs()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the process that tells of the session; xdist brings it the reports of its workers."""
    _costs.add(report.nodeid, report.duration)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A passed budget is no failure: a busy machine passes it too. It is the last thing said."""
    if sum(_costs.tests.values()) < LEAST_SECONDS:
        return
    terminalreporter.section("worker-seconds")
    for line in _costs.told():
        terminalreporter.write_line(line)
    ALL.parent.mkdir(exist_ok=True)
    ALL.write_text(json.dumps(_dearest(_costs.tests), indent=1))
    if os.environ.get("TESTS_AT_FULL_SIZE") == "1":
        return
    if passed := _costs.passed():
        terminalreporter.section("BUDGETS PASSED", sep="!", red=True, bold=True)
        load = Path("/proc/loadavg").read_text().split()[1]
        passed.append(f"The load was {load} over the last five minutes.")
        for line in passed:
            terminalreporter.write_line(line, red=True, bold=True)
