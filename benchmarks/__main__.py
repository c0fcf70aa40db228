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

    Raises ValueError when a module `p<number>` declares none, or two declare the same goal, or two
    of one world are quick in different ways.
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
        alike = [other for other in found.values() if bench.world and other.world == bench.world]
        if any(bench.quick != other.quick for other in alike):
            raise ValueError(f"goals of {bench.world} are quick in different ways")
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
    processes: dict[str, dict[str, Bench]] = {}
    for name, bench in known.items():
        if chosen and name not in chosen:
            continue
        if options.domain and bench.domain != options.domain:
            continue
        if options.list:
            print(f"{name:5} {bench.domain or '-':16} {bench.seconds:4} s  {bench.title}")
            continue
        processes.setdefault(bench.world or name, {})[name] = bench
    for module, benches in processes.items():
        missed |= run(module, benches, quick=quick)
    if not options.list:
        print(f"all of it in {time.monotonic() - began:.0f} s", flush=True)
    return missed


def run(module: str, benches: dict[str, Bench], *, quick: bool) -> int:
    """Run the goals of one module as a process of its own and say how long it took; 1 when one
    misses what it must reach. More than their share of the time is said, and misses nothing: the
    machine may be busy."""
    began = time.monotonic()
    first = next(iter(benches.values()))
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}"]
    command += benches if first.world else ()
    command += first.quick if quick else ()
    ended = subprocess.run(command, check=False)
    took = time.monotonic() - began
    share = sum(bench.quick_seconds if quick else bench.seconds for bench in benches.values())
    over = "" if took <= share else f", more than the {share} s it may take"
    print(f"{' and '.join(benches)} in {took:.0f} s{over}", flush=True)
    return int(ended.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
