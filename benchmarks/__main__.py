"""All goals, one after the other: `python -m benchmarks [--quick] [--domain NAME] [GOAL …]`.

A benchmark is a module of this package that says `BENCH = Bench(…)` and has a `main()`. A domain
adds its file, and nothing else.
"""

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
from types import ModuleType

import benchmarks
from benchmarks.bench import Bench


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
    parser.add_argument("goals", nargs="*", metavar="GOAL", help=f"of {', '.join(known)}; or all")
    parser.add_argument("--quick", action="store_true", help="few rounds: whether they run at all")
    parser.add_argument("--domain", default="", help="only those of this app")
    parser.add_argument("--list", action="store_true", help="name them, and run none")
    options = parser.parse_args(arguments)
    if unknown := set(options.goals) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    missed = 0
    for name, bench in known.items():
        if options.goals and name not in options.goals:
            continue
        if options.domain and bench.domain != options.domain:
            continue
        if options.list:
            print(f"{name:5} {bench.domain or '-':16} {bench.title}")
            continue
        extra = bench.quick if options.quick else ()
        command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *extra]
        missed |= int(subprocess.run(command, check=False).returncode != 0)
    return missed


if __name__ == "__main__":
    sys.exit(main())
