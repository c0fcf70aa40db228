"""P7: pages at a million requests ÷ the same page's own render time over few.

    python -m benchmarks.p7 [rows]

Two worlds of many: `usual` (a few thousand wait, the rest is settled) and `flood` (all of them
wait). Each page is timed in turn over few rows and over many, in processes that differ in nothing
but the database; a page of the reference shows as many rows as the other. Ratios are of medians.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from psycopg import sql

from benchmarks.bench import Bench
from benchmarks.p7_rows import FREQUENT, NOWHERE, RARE, World, fill
from benchmarks.testbed import Goal
from deploy.local.processes import free_port
from deploy.local.servers import Postgres, Temporal
from deploy.local.stack import ROOT, management

BENCH = Bench(
    goal="P7",
    title="Pages over many rows against the same pages over few",
    quick=("2000", "--rounds", "1", "--world", "usual"),
    seconds=270,
    quick_seconds=60,
)
GOAL = Goal("P7", must=1.5, reach=1.1, least=False)
ROWS = 1_000_000
#: Fewer than elsewhere: each asks for every page TURNS times, and there are many.
ROUNDS = 3
#: In one round each page is asked for so often: first few, then many, in turns.
TURNS = 3

#: Name → who, address, and the address of the reference where it is another.
PAGES: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "inbox": ("auditor", "/inbox/"),
    "inbox, of a signer": ("reviewer", "/inbox/"),
    "inbox, mine": ("reviewer", "/inbox/?mine=on"),
    "inbox, mine, due first": ("reviewer", "/inbox/?mine=on&sort=due"),
    "inbox, of the requester": ("requester", "/inbox/"),
    "inbox, live fragment": ("reviewer", "/inbox/live/"),
    "overdue": ("reviewer", "/inbox/?due=over"),
    "overdue, due first": ("reviewer", "/inbox/?due=over&sort=due"),
    "oldest first": ("reviewer", "/inbox/?sort=oldest"),
    "held by me": ("reviewer", "/inbox/?claim=me"),
    "held by nobody": ("reviewer", "/inbox/?claim=free"),
    "held by somebody": ("reviewer", "/inbox/?claim=taken"),
    "kind, frequent": ("reviewer", "/inbox/?kind=intervention"),
    "kind, rare": ("reviewer", "/inbox/?kind=intervention.attention"),
    "older than a week": ("reviewer", "/inbox/?age=7d"),
    "amount from": ("reviewer", "/inbox/?least=100000&currency=NGN"),
    "amount, no match": ("reviewer", "/inbox/?least=99999999"),
    "currency": ("reviewer", "/inbox/?currency=BRL"),
    "group": ("reviewer", "/inbox/?group=senior+reviewer"),
    "approved": ("reviewer", "/inbox/?status=approved"),
    "rejected, of a group": ("reviewer", "/inbox/?status=rejected&group=senior+reviewer"),
    "search, rare word": ("reviewer", f"/inbox/?q={RARE}"),
    "search, frequent word": ("reviewer", f"/inbox/?q={FREQUENT}"),
    "search, two words": ("reviewer", "/inbox/?q=Ngozi+Okafor"),
    "search, no match": ("reviewer", f"/inbox/?q={NOWHERE}"),
    "search in approved": ("reviewer", f"/inbox/?q={FREQUENT}&status=approved"),
    "search, mine": ("reviewer", f"/inbox/?q={FREQUENT}&mine=on"),
    "page 100 by cursor": ("reviewer", "/inbox/?cursor={page100}", "/inbox/?cursor={page2}"),
    "header counts": ("reviewer", "/counts/"),
    "home": ("reviewer", "/"),
    "home, of an auditor": ("auditor", "/"),
    "admin list": ("admin", "/admin/approvals/approvalrequest/"),
    "admin list, filtered": ("admin", "/admin/approvals/approvalrequest/?status__exact=open"),
    "admin search, by key": ("admin", "/admin/approvals/approvalrequest/?q=bench:1500"),
    "admin search, no match": ("admin", "/admin/approvals/approvalrequest/?q=nowhere"),
}
#: Enough for full pages of everything that is filled in the big worlds.
FEW = World("few", rows=4000, waiting=2500)


def main() -> int:
    """Prints a line a page and world; 1 when one misses what it must reach."""
    parser = argparse.ArgumentParser(prog="benchmarks.p7", description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--world", choices=["usual", "flood"], action="append")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    worlds = [
        World("usual", rows=options.rows, waiting=min(4000, options.rows)),
        World("flood", rows=options.rows, waiting=options.rows),
    ]
    folder = Path(tempfile.mkdtemp(prefix="countersign-p7-"))
    folder.chmod(0o711)
    try:
        with servers(folder) as (postgres, env):
            missed = 0
            prepare(postgres, env, FEW)
            with asked(env, postgres, FEW.name) as few:
                for world in worlds:
                    if options.world and world.name not in options.world:
                        continue
                    began = time.monotonic()
                    prepare(postgres, env, world)
                    say(f"P7 {world.rows:,} rows filled in {time.monotonic() - began:.0f} s")
                    with asked(env, postgres, world.name) as many:
                        missed += compare(world, few, many, options.rounds, options.only)
                    with postgres.connect() as connection:
                        connection.execute(
                            sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(world.name))
                        )
            return int(missed > 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(world: World, few: "Asked", many: "Asked", rounds: int, only: str) -> int:
    """A line for each page; how many missed."""
    missed = 0
    for name, (person, address, *other) in PAGES.items():
        if only not in name:
            continue
        reference = other[0] if other else address
        for page, at in ((few, reference), (many, address)):
            page.milliseconds(person, at)  # connections, caches
        small: list[float] = []
        large: list[float] = []
        for _ in range(rounds):
            few_times, many_times = [], []
            for _ in range(TURNS):
                few_times.append(few.milliseconds(person, reference))
                many_times.append(many.milliseconds(person, address))
            small.append(statistics.median(few_times))
            large.append(statistics.median(many_times))
        base, slow = statistics.median(small), statistics.median(large)
        ratio = slow / base
        word = GOAL.word(ratio)
        missed += word == "MISSED"
        say(
            f"P7 {world.name}: {name:26} {ratio:5.2f}  {slow:6.1f} ms ÷ {base:5.1f} ms  {word}"
            f"  ({rounds} rounds)"
        )
    return missed


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


def prepare(postgres: Postgres, env: dict[str, str], world: World) -> None:
    """A database of that name with people, rules and the world's rows."""
    if world is FEW:
        subprocess.run(management(["migrate", "-v0"]), env=env, cwd=ROOT, check=True)
        subprocess.run(
            management(["seeddemo"]), env=env, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        with postgres.connect(postgres.database) as connection:
            connection.execute(
                "TRUNCATE approvals_approvalrequest, interventions_intervention CASCADE"
            )
            connection.execute("VACUUM ANALYZE")
    with postgres.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(world.name), sql.Identifier(postgres.database)
            )
        )
    with postgres.connect(world.name) as connection:
        fill(connection, world)


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


@contextmanager
def asked(env: dict[str, str], postgres: Postgres, database: str) -> Iterator[Asked]:
    """The process for that database, ended at the end."""
    url = f"postgres://app@127.0.0.1:{postgres.port}/{database}"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.p7", "--serve", database],
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
