"""All goals, one after the other: `python -m benchmarks [quick] [--domain NAME] [GOAL …]`.

`quick`: few rounds, only to see that they run. A benchmark is a module of this package that says
`BENCH = Bench(…)` and has a `main()`. A domain adds its file, and nothing else.
"""

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
import time
from types import ModuleType

import benchmarks
from benchmarks.bench import Bench

#: The word with which they run in few rounds.
QUICK = "quick"


def registered() -> dict[str, Bench]:
    """Every benchmark by the name of its module, in the order of their numbers.

    Raises ValueError when a module `p<number>` declares none, or two declare the same goal.
    """
    found: dict[str, Bench] = {}
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    for name in sorted((n for n in names if re.fullmatch(r"p[0-9]+", n)), key=lambda n: int(n[1:])):
        module: ModuleType = importlib.import_module(f"benchmarks.{name}")
        bench = getattr(module, "BENCH", None)
        if not isinstance(bench, Bench) or not callable(getattr(module, "main", None)):
            raise ValueError(f"benchmarks.{name} declares no BENCH, or has no main()")
        if any(bench.goal == other.goal for other in found.values()):
            raise ValueError(f"the goal {bench.goal!r} is registered twice")
        found[name] = bench
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs them as processes of their own; 1 when one misses what it must reach."""
    known = registered()
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    goals = f"of {', '.join(known)}, or all; the word quick: few rounds, whether they run at all"
    parser.add_argument("words", nargs="*", metavar="GOAL", help=goals)
    parser.add_argument("--domain", default="", help="only those of this app")
    parser.add_argument("--list", action="store_true", help="name them, and run none")
    options = parser.parse_args(arguments)
    words = set(options.words)
    quick, chosen = QUICK in words, words - {QUICK}
    if unknown := chosen - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    missed = 0
    began = time.monotonic()
    for name, bench in known.items():
        if chosen and name not in chosen:
            continue
        if options.domain and bench.domain != options.domain:
            continue
        if options.list:
            print(f"{name:5} {bench.domain or '-':16} {bench.seconds:4} s  {bench.title}")
            continue
        missed |= run(name, bench, quick=quick)
    if not options.list:
        print(f"all of it in {time.monotonic() - began:.0f} s", flush=True)
    return missed


def run(name: str, bench: Bench, *, quick: bool) -> int:
    """Runs one as a process of its own and says how long it took; 1 when it misses what it must
    reach. More than its share of the time is said, and misses nothing: the machine may be busy."""
    began = time.monotonic()
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"]
    ended = subprocess.run([*command, *(bench.quick if quick else ())], check=False)
    took = time.monotonic() - began
    share = bench.quick_seconds if quick else bench.seconds
    over = "" if took <= share else f", more than its {share} s"
    print(f"{name} in {took:.0f} s{over}", flush=True)
    return int(ended.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
