"""P7: pages at a million requests ÷ the same page's own render time over few.

    python -m benchmarks.p7 [rows] [--world NAME] [--repeats N] [--only TEXT]

Each page is timed in turn over few rows and over many, in processes that differ in nothing but the
database; a page of the reference shows as many rows as the other. Ratios are of medians.
"""

import statistics
import sys
from collections.abc import Mapping

from benchmarks.bench import Bench
from benchmarks.many_rows import QUICK, Stage, alone, say
from benchmarks.p7_rows import FREQUENT, NOWHERE, RARE
from benchmarks.testbed import Goal

BENCH = Bench(
    goal="P7",
    title="Pages over many rows against the same pages over few",
    world="many_rows",
    quick=QUICK,
    seconds=250,
    quick_seconds=40,
)
GOAL = Goal("P7", must=1.5, reach=1.1, least=False)
#: Each page is asked for so often in turns, first few, then many; and so often where the ratio of
#: the first turns is too near to what must be reached.
TURNS, MOST_TURNS = 5, 9
NEAR = 0.15

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


def main() -> int:
    """Print a line a page and world; 1 when one misses what it must reach."""
    return alone("p7")


def measure(stage: Stage) -> int:
    """Print a line a page; how many missed."""
    return pages_measure(stage, PAGES, GOAL)


def pages_measure(stage: Stage, pages: Mapping[str, tuple[str, ...]], goal: Goal) -> int:
    """Time each page over few rows and over many; print a line each, and return how many missed."""
    missed = 0
    for name, (person, address, *other) in pages.items():
        if stage.only not in name:
            continue
        reference = other[0] if other else address
        for site, at in ((stage.few, reference), (stage.many, address)):
            site.milliseconds(person, at)  # connections, caches
        small: list[float] = []
        large: list[float] = []
        turns, most = stage.repeats or TURNS, stage.repeats or MOST_TURNS
        while len(small) < turns:
            small.append(stage.few.milliseconds(person, reference))
            large.append(stage.many.milliseconds(person, address))
            base, slow = statistics.median(small), statistics.median(large)
            if len(small) == turns and goal.close(slow / base, within=NEAR):
                turns = most
        word = goal.word(slow / base)
        missed += word == "MISSED"
        say(
            f"{goal.name} {stage.world.name}: {name:26} {slow / base:5.2f}"
            f"  {slow:6.1f} ms ÷ {base:5.1f} ms  {word}  ({turns} turns)"
        )
    return missed


if __name__ == "__main__":
    sys.exit(main())
