"""What every benchmark stands on: servers and processes of its own, paired rounds, one line a goal.

A goal is a ratio against a reference that is measured in the same run on the same servers. Rounds
alternate, so that what else the machine does falls on both; what it did is noted beside the result.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.processes import Process, free_port
from deploy.local.servers import Postgres, Temporal, Valkey
from deploy.local.stack import PORTS, ROOT, Servers, environment, make_app, management

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5


@dataclass(frozen=True)
class Goal:
    """A line of the table of goals. `least`: the ratio must be at least that, else at most."""

    name: str
    must: float
    reach: float
    least: bool = True

    def word(self, ratio: float) -> str:
        """reached, must, or MISSED."""
        for limit, word in ((self.reach, "reached"), (self.must, "must")):
            if ratio >= limit if self.least else ratio <= limit:
                return word
        return "MISSED"

    def close(self, figure: float, *, within: float) -> bool:
        """Whether the figure is within that share of what must be reached: too near to tell from
        few repetitions on which side it is."""
        return abs(figure / self.must - 1) <= within


@dataclass(frozen=True)
class Result:
    """A measured goal: medians of both sides, and how much CPU others took meanwhile (0 to 1)."""

    goal: str
    ratio: float
    ours: float
    reference: float
    unit: str
    rounds: int
    word: str
    foreign_cpu: float


def compare(
    goal: Goal,
    *,
    ours: Callable[[], float],
    reference: Callable[[], float],
    unit: str,
    rounds: int = ROUNDS,
    warm_up: bool = True,
) -> Result:
    """Measure both in turn; print the line and keep it in the history."""
    [result] = compare_all(
        [goal],
        ours=lambda: (ours(),),
        reference=reference,
        unit=unit,
        rounds=rounds,
        warm_up=warm_up,
    )
    return result


def compare_all(
    goals: Sequence[Goal],
    *,
    ours: Callable[[], Sequence[float]],
    reference: Callable[[], float],
    unit: str,
    rounds: int = ROUNDS,
    warm_up: bool = True,
) -> list[Result]:
    """As `compare`, for goals that one measurement of ours answers: a figure for each, in order."""
    if warm_up:
        reference()
        ours()
    mine: list[Sequence[float]] = []
    theirs: list[float] = []
    with foreign_cpu() as foreign:
        for number in range(rounds):
            # The order changes: neither side always has the warmer machine.
            for side in ("ours", "reference") if number % 2 else ("reference", "ours"):
                if side == "ours":
                    mine.append(ours())
                else:
                    theirs.append(reference())
        used = foreign()
    results = []
    for goal, column in zip(goals, zip(*mine, strict=True), strict=True):
        ratio = statistics.median(a / b for a, b in zip(column, theirs, strict=True))
        result = Result(
            goal=goal.name,
            ratio=round(ratio, 3),
            ours=round(statistics.median(column), 3),
            reference=round(statistics.median(theirs), 3),
            unit=unit,
            rounds=rounds,
            word=goal.word(ratio),
            foreign_cpu=used,
        )
        keep(goal, result)
        results.append(result)
    return results


def keep(goal: Goal, result: Result) -> None:
    """Print the line, and add it to the history with the machine that it was measured on."""
    sign = "≥" if goal.least else "≤"
    print(
        f"{result.goal}  {result.ratio:.2f}  (must {sign} {goal.must}, reach {sign} {goal.reach}:"
        f" {result.word})  {result.ours:g} ÷ {result.reference:g} {result.unit},"
        f" {result.rounds} rounds, others used {result.foreign_cpu:.0%} of the CPU",
        flush=True,
    )
    RESULTS.mkdir(exist_ok=True)
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(result), **machine()}
    with (RESULTS / "history.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def machine() -> dict[str, object]:
    """The machine and the version that a number belongs to."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "commit": commit,
        "cores": os.cpu_count(),
        "memory_gib": round(pages * size / 2**30, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }


@contextmanager
def foreign_cpu() -> Iterator[Callable[[], float]]:
    """Call what it yields: the share of the machine's CPU that processes of others have used.

    Ours are this process and all that descend from it, also those that have ended.
    """
    whole, ours = _cpu_seconds(), _family_seconds()

    def share() -> float:
        used, passed = (now - then for now, then in zip(_cpu_seconds(), whole, strict=True))
        return round(max(0.0, used - (_family_seconds() - ours)) / max(passed, 0.01), 3)

    yield share


def _cpu_seconds() -> tuple[float, float]:
    """Used, and passed, by all cores since the machine started."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = [int(word) / tick for word in Path("/proc/stat").read_text().split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def _family_seconds() -> float:
    tick = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            # utime, stime, and those of children that have ended
            used[int(folder.name)] = sum(int(word) for word in fields[11:15]) / tick
            parents[int(folder.name)] = int(fields[1])
    total = 0.0
    for pid, seconds in used.items():
        walk = pid
        while walk > 1 and walk != os.getpid():
            walk = parents.get(walk, 0)
        total += seconds if walk == os.getpid() else 0.0
    return total


# --- servers and processes ------------------------------------------------------------------------
class Stand:
    """PostgreSQL, Valkey and Temporal as `make run` has them, and processes of ours on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run_dir = folder / "run"
        self.postgres = Postgres(
            data=folder / "postgres", port=free_port(), log=folder / "postgres.log", run_dir=run_dir
        )
        self.valkey = Valkey(
            data=folder / "valkey", port=free_port(), log=folder / "valkey.log", run_dir=run_dir
        )
        self.temporal = Temporal(
            data=folder / "temporal", port=free_port(), log=folder / "temporal.log", run_dir=run_dir
        )
        self.servers = Servers(self.postgres, self.valkey, self.temporal)
        self.ports = {name: free_port() for name in PORTS}
        # As production has it: what the sandbox looks for was found before (ADR 11).
        base = {**os.environ, "LOG_LEVEL": "ERROR", "WORKFLOW_SANDBOX": "false"}
        self.env = environment(
            self.ports, self.servers, base=base, settings="config.settings.local"
        )
        self.processes: list[Process] = []

    def start(self, *, database_only: bool = False) -> None:
        """Servers that serve, migrated and with the demo's people; or PostgreSQL alone, migrated
        and empty, for what asks nothing else."""
        servers = [self.postgres] if database_only else self.servers.all
        for server in servers:
            server.launch()
        for server in servers:
            server.wait()
        # One process for both where both are wanted: importing the programme takes longer.
        self.manage(*(["migrate", "-v0"] if database_only else ["prepare", "--bare", "-v0"]))

    def manage(self, *words: str) -> str:
        """Standard output of a management command."""
        return subprocess.run(
            management(words), env=self.env, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    def run(self, *kinds: str, env: Mapping[str, str] | None = None) -> None:
        """Start processes of the product: web, worker, relay, simulators."""
        for kind in kinds:
            app = make_app(
                kind,
                ports=self.ports,
                env={**self.env, **(env or {})},
                run_dir=self.folder / "run",
                log_dir=self.folder / "logs",
            )
            app.launch()
            self.processes.append(app)

    def command(self, name: str, argv: Sequence[str]) -> Process:
        """Start a process of the benchmark's own in the stand's environment."""
        process = Process(
            name=name,
            argv=list(argv),
            env=self.env,
            cwd=ROOT,
            run_dir=self.folder / "run",
            log=self.folder / f"{name}.log",
        )
        process.launch()
        self.processes.append(process)
        return process

    def django(self) -> None:
        """Let this process use the stand's database as the product does."""
        os.environ.update(self.env)
        import django

        django.setup()

    def close(self) -> None:
        """End everything without ceremony."""
        for process in [*self.processes, *self.servers.all]:
            with suppress(Exception):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def stand(*, database_only: bool = False) -> Iterator[Stand]:
    """A stand that serves, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
    folder.chmod(0o711)
    one = Stand(folder)
    try:
        one.start(database_only=database_only)
        yield one
    finally:
        one.close()


def until(done: Callable[[], bool], *, seconds: float, what: str, every: float = 0.01) -> None:
    """Return when `done()`, asked `every` so many seconds; SystemExit with `what` when the time is
    over. What is measured over a minute is asked seldom: the asking takes from it."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
