"""Worlds of a million requests, made once for all goals that are measured over them.

    python -m benchmarks.many_rows GOAL… [--rows N] [--world NAME] [--repeats N] [--only TEXT]

Two worlds: `usual` (a few thousand wait, the rest is settled) and `flood` (all of them wait). A
goal of these worlds is a module that says `BENCH = Bench(…, world="many_rows")` and has
`measure(stage)`, which prints a line a figure and returns how many missed. With
`add_rows(connection, world)` it first puts rows of its own beside the requests, and with `add_few`
also beside the few. Goals are measured in
their order, so what one adds is not there yet for those before it.
"""

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.p7_rows import World, fill
from deploy.local.processes import free_port
from deploy.local.servers import Postgres, Temporal
from deploy.local.stack import ROOT, management

ROWS = 1_000_000
#: Arguments with which goals of these worlds only show that they run.
QUICK = ("--rows", "2000", "--world", "usual", "--repeats", "1")
#: Enough for full pages of everything that is filled in the big worlds.
FEW = World("few", rows=4000, waiting=2500)


@dataclass(frozen=True)
class Stage:
    """What a goal is measured on: pages over the few rows of the reference, and over the world's
    many. `repeats`: how often each figure is taken, instead of the goal's own number; `only`: the
    figures whose name contains it."""

    world: World
    few: "Asked"
    many: "Asked"
    connection: psycopg.Connection
    repeats: int | None
    only: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the goals' lines; 1 when one misses what it must reach."""
    parser = argparse.ArgumentParser(prog="benchmarks.many_rows", description=__doc__)
    parser.add_argument("goals", nargs="*", metavar="GOAL", help="modules, such as p7")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--world", choices=["usual", "flood"], action="append")
    parser.add_argument("--only", default="", help="figures whose name contains this")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve)
        return 0
    worlds = [
        World("usual", rows=options.rows, waiting=min(4000, options.rows)),
        World("flood", rows=options.rows, waiting=options.rows),
    ]
    chosen = [one for one in worlds if one.name in (options.world or [one.name])]
    folder = Path(tempfile.mkdtemp(prefix="countersign-many-rows-"))
    folder.chmod(0o711)
    try:
        with servers(folder) as (postgres, env):
            missed = 0
            prepare(postgres, env, [FEW, *chosen])
            made = f"{options.rows:,} requests" + (" in each world" if len(chosen) > 1 else "")
            with asked(env, postgres, FEW.name) as few:
                in_all(postgres, chosen, fill, what=made)
                for goal in options.goals:
                    module = importlib.import_module(f"benchmarks.{goal}")
                    if add_rows := getattr(module, "add_rows", None):
                        what = f"rows of {module.BENCH.goal} beside them"
                        filled = [FEW, *chosen] if getattr(module, "add_few", False) else chosen
                        in_all(postgres, filled, add_rows, what=what)
                    for world in chosen:
                        with (
                            asked(env, postgres, world.name) as many,
                            postgres.connect(world.name) as one,
                        ):
                            missed += module.measure(
                                Stage(world, few, many, one, options.repeats, options.only)
                            )
            return int(missed > 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def alone(goal: str) -> int:
    """Measure one goal with the arguments of the command line; the first may be the rows."""
    words = sys.argv[1:]
    rows = ["--rows", words.pop(0)] if words and words[0].isdecimal() else []
    return main([goal, *rows, *words])


def in_all(
    postgres: Postgres,
    worlds: Sequence[World],
    fill: Callable[[psycopg.Connection, World], None],
    *,
    what: str,
) -> None:
    """Fill all worlds at the same time, a core each, and say how long it took."""

    def one(world: World) -> None:
        with postgres.connect(world.name) as connection:
            fill(connection, world)

    began = time.monotonic()
    with ThreadPoolExecutor(len(worlds)) as pool:
        list(pool.map(one, worlds))
    say(f"{what} filled in {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    print(line, flush=True)


# --- servers ------------------------------------------------------------------------------------
@contextmanager
def servers(folder: Path) -> Iterator[tuple[Postgres, dict[str, str]]]:
    """PostgreSQL and Temporal of our own, and the environment of processes that use them."""
    postgres = Postgres(
        data=folder / "postgres",
        port=free_port(),
        run_dir=folder / "run",
        log=folder / "postgres.log",
        durable=False,
        settings={
            "shared_buffers": "1GB",
            "max_wal_size": "8GB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "autovacuum": "off",
        },
    )
    temporal = Temporal(port=free_port(), run_dir=folder / "run", log=folder / "temporal.log")
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DATABASE_URL": postgres.url,
        "TEMPORAL_ADDRESS": temporal.address,
        "REDIS_URL": "redis://127.0.0.1:9/0",  # nothing here is live
        "LOG_LEVEL": "ERROR",
    }
    try:
        for server in (temporal, postgres):
            server.launch()
        for server in (temporal, postgres):
            server.wait()
        yield postgres, env
    finally:
        for one in (temporal, postgres):
            with suppress(Exception):
                one.kill()


def prepare(postgres: Postgres, env: dict[str, str], worlds: Sequence[World]) -> None:
    """A database for each world, with the demo's people, rules and budgets; FEW has its rows."""
    subprocess.run(management(["migrate", "-v0"]), env=env, cwd=ROOT, check=True)
    subprocess.run(
        management(["seeddemo"]), env=env, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    with postgres.connect(postgres.database) as connection:
        connection.execute("TRUNCATE approvals_approvalrequest, interventions_intervention CASCADE")
        connection.execute("VACUUM ANALYZE")
    with postgres.connect() as connection:
        for world in worlds:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(world.name), sql.Identifier(postgres.database)
                )
            )
    with postgres.connect(FEW.name) as connection:
        fill(connection, FEW)


# --- one side of the comparison -------------------------------------------------------------------
class Asked:
    """A process that answers for one database how long a page took."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def milliseconds(self, person: str, address: str) -> float:
        """Of one GET; a page that does not answer 200 ends the benchmark."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([person, address]) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"status": 0}')
        if answer["status"] != 200:
            raise SystemExit(f"{person} {address} answered {answer}")
        return float(answer["ms"])

    def text(self, function: str) -> str:
        """What a function of this package says of the process's database: `module:name`."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(["", function]) + "\n")
        self.process.stdin.flush()
        found: str = json.loads(self.process.stdout.readline())["text"]
        return found


@contextmanager
def asked(env: dict[str, str], postgres: Postgres, database: str) -> Iterator[Asked]:
    """The process for that database, ended at the end."""
    url = f"postgres://app@127.0.0.1:{postgres.port}/{database}"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.many_rows", "--serve", database],
        cwd=ROOT,
        env={**env, "DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Asked(process)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=30)


def serve(database: str) -> None:
    """Answer lines of [person, address] with the time of the page, until the input ends."""
    import django

    django.setup()
    from django.test import Client

    from apps.accounts.models import User
    from apps.approvals.models import ApprovalRequest
    from apps.common.pagination import page

    people = {user.username: user for user in User.objects.all()}
    clients: dict[str, Client] = {}
    visible = ApprovalRequest.objects.open()
    places: dict[str, str] = {}
    cursor = None
    for number in range(2, 101):
        cursor = page(visible, cursor=cursor)["next"]
        if cursor is None:
            break
        places[f"page{number}"] = cursor
    # The last page that there is, when there are fewer than a hundred.
    places.setdefault("page100", list(places.values())[-2] if len(places) > 1 else "")
    for line in sys.stdin:
        person, address = json.loads(line)
        if not person:
            module, _, name = address.partition(":")
            text = getattr(importlib.import_module(f"benchmarks.{module}"), name)()
            print(json.dumps({"text": text}), flush=True)
            continue
        if person not in clients:
            clients[person] = Client()
            clients[person].force_login(people[person])
        for name, place in places.items():
            address = address.replace("{" + name + "}", place)
        began = time.perf_counter()
        response = clients[person].get(address)
        elapsed = (time.perf_counter() - began) * 1000
        answer = {"status": response.status_code, "ms": elapsed, "of": database}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
