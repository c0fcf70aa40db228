"""`make flakes`: every test that waits for the engine, a plan or a clock, many times, under load.

Each test runs FLAKES_TIMES times (20), in a new order each time, FLAKES_WORKERS (3) of them side by
side, as in `make test`, while two busy loops want both processors. A pytest session costs what its
servers cost, so one session runs all tests that are left once: a round. What a round came to is
kept in .cache/flakes.json after each test; the next `make flakes` goes on from there, and
FLAKES_FRESH=1 begins again.
Where others keep both processors busy already, FLAKES_LOOPS=0 leaves the loops out.

FLAKES_ONLY is a -k expression, FLAKES_SECONDS ends it after so long (3600). Ctrl-C ends it too. At
the end it names the tests that did not pass every time; exit status 1 if there are any, or if not
all of them ran so often.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.order import bare

ROOT = Path(__file__).resolve().parents[1]
#: Where the plugin in the session finds the file with the results.
RESULTS_VARIABLE = "FLAKES_RESULTS"
#: Tests that use one of these wait for the engine, a worker, a relay, a browser or a server.
WAITING_FIXTURES = {
    "background",
    "chromium",
    "engine",
    "make_stack",
    "make_worker",
    "now",
    "private_servers",
    "relaying",
    "spawn",
    "stack",
    "stage",
    "start_relay",
    "temporal_client",
    "time_skipping",
    "wide_stage",
}
#: Names of tests/support.py and tests/plans.py: who calls them waits for a clock or a plan.
WAITING_HELPERS = {"eventually", "eventually_async", "patient", "pause", "plan_by_index", "within"}
#: An order of magnitude more than any of them takes on a calm machine.
TEST_SECONDS = 900


def waits(item: pytest.Item) -> bool:
    """Whether the test waits for the engine, a plan or a clock: by its fixtures, by what its module
    calls in it, or because it says so (`@pytest.mark.waits`)."""
    function: Any = getattr(item, "function", None)
    names = set(function.__code__.co_names) if hasattr(function, "__code__") else set()
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(
        item.get_closest_marker("waits") or fixtures & WAITING_FIXTURES or names & WAITING_HELPERS
    )


# --- the plugin, inside a round -------------------------------------------------------------------
class Choice:
    """Chooses the tests that wait and have not run often enough, in each of xdist's workers; the
    first of them writes down all that wait."""

    def __init__(self, path: Path, times: int, first: bool) -> None:
        self.path, self.times, self.first = path, times, first

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Those that wait; all of them are written down, so that what is left is known."""
        runs = runs_of(self.path)
        chosen = [item for item in items if waits(item)]
        wanted = [bare(item.nodeid) for item in chosen]
        if self.first:
            _keep(self.path, wanted, {name: [0, 0] for name in wanted} | runs)
        left = [item for item in chosen if sum(runs.get(bare(item.nodeid), [0])) < self.times]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(left)])
        items[:] = left


class Tally:
    """Writes down how each test went, in the process that the workers report to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failure of the set-up or of the end counts like one of the test."""
        name = bare(report.nodeid)
        if report.failed:
            self.failed.add(name)
        if report.when == "teardown":
            # All have collected by now: nobody else writes.
            kept = json.loads(self.path.read_text())
            passed, failed = kept["runs"].get(name, [0, 0])
            bad = name in self.failed
            self.failed.discard(name)
            kept["runs"][name] = [passed + (not bad), failed + bad]
            _keep(self.path, kept["wanted"], kept["runs"])


def _keep(path: Path, wanted: list[str], runs: dict[str, list[int]]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"wanted": wanted, "runs": runs}, indent=1))
    draft.rename(path)


def runs_of(path: Path, *, wanted: bool = False) -> dict[str, list[int]]:
    """How often each test passed and failed; `wanted`: of those that the last round was for."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text())
    runs: dict[str, list[int]] = kept["runs"]
    return {name: runs[name] for name in kept["wanted"]} if wanted else runs


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin (`-p tests.flakes`): only where `make flakes` has said where the results are."""
    if path := os.environ.get(RESULTS_VARIABLE):
        times = int(os.environ.get("FLAKES_TIMES", "20"))
        worker = getattr(config, "workerinput", {}).get("workerid", "")
        choice = Choice(Path(path), times, first=worker == "gw0")
        if worker:
            config.pluginmanager.register(choice, "flakes-choice")
        else:
            config.pluginmanager.register(Tally(Path(path)), "flakes-tally")


# --- the command ----------------------------------------------------------------------------------
@dataclass
class Flakes:
    """One call of `make flakes`."""

    times: int
    only: str
    seconds: float
    results: Path
    workers: int = 3
    loops: int = 2
    arguments: list[str] = field(default_factory=list)

    def run(self) -> int:
        """Rounds until every test has run often enough, the time is over, or somebody ends it."""
        ends = time.monotonic() + self.seconds
        with contextlib.suppress(KeyboardInterrupt), busy(self.loops):
            for number in range(1, self.times + 1):
                if not self._round(number, ends - time.monotonic()):
                    break
        return self.tell()

    def _round(self, number: int, seconds: float) -> bool:
        """Whether there is anything left to do after it."""
        seed = random.randrange(1 << 32)
        print(f"--- round {number} of {self.times}, order {seed}", flush=True)
        command = [sys.executable, "-m", "pytest", f"-n{self.workers}", "-q", "-p", "tests.flakes"]
        command += ["--dist", "loadgroup"]
        command += [
            "-p",
            "no:cacheprovider",
            f"--randomly-seed={seed}",
            f"--timeout={TEST_SECONDS}",
            "--no-header",
        ]
        command += ["-k", self.only] if self.only else []
        env = os.environ | {
            RESULTS_VARIABLE: str(self.results),
            # Two loops and the tests themselves want two processors.
            "TESTS_PATIENCE": os.environ.get("TESTS_PATIENCE", "3"),
        }
        session = subprocess.Popen([*command, *self.arguments], cwd=ROOT, env=env)
        try:
            status = session.wait(max(1.0, seconds))
        except (KeyboardInterrupt, subprocess.TimeoutExpired) as reason:
            # As Ctrl-C does: its servers end with it.
            if isinstance(reason, subprocess.TimeoutExpired):
                print(f"--- the time is over ({self.seconds:g} s)", flush=True)
                session.send_signal(signal.SIGINT)
            try:
                session.wait(60)
            except subprocess.TimeoutExpired:
                session.kill()
                session.wait()
            if isinstance(reason, KeyboardInterrupt):
                raise
            return False
        finally:
            print(self._progress(), flush=True)
        # 0 and 1: tests ran. 5: none is left. Anything else is an error that repeats itself.
        return status in (0, 1)

    def _runs(self) -> dict[str, list[int]]:
        return runs_of(self.results, wanted=True)

    def _progress(self) -> str:
        runs = self._runs()
        done = sum(sum(one) for one in runs.values())
        failed = sum(1 for _, bad in runs.values() if bad)
        wanted = len(runs) * self.times
        return f"--- {done} of {wanted} runs of {len(runs)} tests, {failed} tests with a failure"

    def tell(self) -> int:
        """Name what did not pass every time; the exit status."""
        runs = self._runs()
        flaky = {name: one for name, one in runs.items() if one[1]}
        short = {name: one for name, one in runs.items() if not one[1] and one[0] < self.times}
        for name, (passed, failed) in sorted(flaky.items()):
            print(f"FLAKY {name}: failed {failed} of {passed + failed}")
        if short:
            fewest = min(passed for passed, _ in short.values())
            print(f"{len(short)} tests did not run {self.times} times yet (the least: {fewest})")
        good = len(runs) - len(flaky) - len(short)
        print(f"{good} of {len(runs)} tests passed {self.times} times of {self.times}")
        return 1 if flaky or short or not runs else 0


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that want a processor each. They end with us, however we end."""
    # A loop whose parent has gone ends by itself, also when that was before the loop began.
    loop = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100000))"
    made = [
        subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.DEVNULL)
        for _ in range(loops)
    ]
    try:
        yield
    finally:
        for one in made:
            one.kill()
            one.wait()


def main() -> int:
    results = ROOT / ".cache" / "flakes.json"
    results.parent.mkdir(exist_ok=True)
    if os.environ.get("FLAKES_FRESH"):
        results.unlink(missing_ok=True)
    return Flakes(
        times=int(os.environ.get("FLAKES_TIMES", "20")),
        only=os.environ.get("FLAKES_ONLY", ""),
        seconds=float(os.environ.get("FLAKES_SECONDS", "3600")),
        results=results,
        workers=int(os.environ.get("FLAKES_WORKERS", "3")),
        loops=int(os.environ.get("FLAKES_LOOPS", "2")),
        arguments=sys.argv[1:],
    ).run()


if __name__ == "__main__":
    sys.exit(main())
