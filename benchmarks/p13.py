"""P13, which is P7 of the quarantine: its pages at a million events ÷ the same pages over few.

    python -m benchmarks.p13 [rows] [--repeats N] [--only TEXT]

As P7 for requests. Nine in ten of the events wait for a person. At full size the plans of the
lists' queries are written to `benchmarks/results/quarantine-plans.txt`.
"""

import sys
from typing import Any

from django.http import QueryDict

from benchmarks.bench import Bench
from benchmarks.many_rows import QUICK, ROWS, Stage, alone
from benchmarks.p7 import pages_measure
from benchmarks.p13_rows import FREQUENT, NOWHERE, RARE, fill
from benchmarks.testbed import RESULTS, Goal

#: As a list has them (`apps.web.lists`).
PAGE_SIZE, COUNT_LIMIT = 50, 1000

BENCH = Bench(
    goal="P13",
    title="Pages of the quarantine over many events against the same pages over few",
    domain="payments",
    world="many_rows",
    quick=QUICK,
    seconds=55,
    quick_seconds=10,
)
GOAL = Goal("P13", must=1.5, reach=1.1, least=False)

EVENTS = "/quarantine/events/"
#: Name → who, address, and the address of the reference where it is another.
PAGES: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "groups": ("corrector", "/quarantine/"),
    "groups, with open events": ("corrector", "/quarantine/?open=on"),
    "groups, live fragment": ("corrector", "/quarantine/live/"),
    "groups, of a stage": ("corrector", "/quarantine/?stage=read"),
    "events": ("corrector", EVENTS),
    "events, live fragment": ("corrector", f"{EVENTS}live/"),
    "open": ("corrector", f"{EVENTS}?state=open"),
    "discarded": ("corrector", f"{EVENTS}?state=discarded"),
    "large group": ("corrector", f"{EVENTS}?group=1&state=open"),
    "small group": ("corrector", f"{EVENTS}?group=30&state=open"),
    "small group, every state": ("corrector", f"{EVENTS}?group=30"),
    "stage": ("corrector", f"{EVENTS}?stage=inference"),
    "code, frequent": ("corrector", f"{EVENTS}?code=not_json"),
    "code, of nothing": ("corrector", f"{EVENTS}?code=no_such_code"),
    "code, open": ("corrector", f"{EVENTS}?code=wrong_type&state=open"),
    "event id": ("corrector", f"{EVENTS}?event_id=stripe:evt_1000"),
    "search, rare word": ("corrector", f"{EVENTS}?q={RARE}"),
    "search, frequent word": ("corrector", f"{EVENTS}?q={FREQUENT}"),
    "search, frequent, open": ("corrector", f"{EVENTS}?q={FREQUENT}&state=open"),
    "search, no match": ("corrector", f"{EVENTS}?q={NOWHERE}"),
    "search in replayed": ("corrector", f"{EVENTS}?q={FREQUENT}&state=replayed"),
    "form of a replay": ("corrector", "/quarantine/replays/new/?state=open"),
    "overview of payments": ("corrector", "/payments/"),
    "home": ("corrector", "/"),
    "header counts": ("corrector", "/counts/"),
    "admin list": ("admin", "/admin/payments/quarantinedevent/"),
    "admin list, filtered": ("admin", "/admin/payments/quarantinedevent/?state__exact=open"),
    "admin search": ("admin", "/admin/payments/quarantinedevent/?q=stripe:evt_1000"),
}

#: Lists whose plans are kept, by what they filter.
PLANNED = {
    "events": "",
    "open": "state=open",
    "group": "group=1&state=open",
    "code": "code=not_json",
    "code of nothing": "code=no_such_code",
    "rare word": f"q={RARE}",
    "frequent word": f"q={FREQUENT}",
    "word of nothing": f"q={NOWHERE}",
    "frequent word in replayed": f"q={FREQUENT}&state=replayed",
    "event id": "event_id=stripe:evt_1000",
}

#: Puts its rows beside the requests, and few beside the few.
add_rows = fill
add_few = True


def main() -> int:
    """Print a line a page; 1 when one misses what it must reach."""
    return alone("p13")


def measure(stage: Stage) -> int:
    """Print a line a page; how many missed."""
    if stage.world.name == "usual" and stage.repeats is None:
        # Its events are as few as the reference's.
        return 0
    if stage.world.rows >= ROWS:
        (RESULTS / "quarantine-plans.txt").write_text(stage.many.text("p13:plans"))
    return pages_measure(stage, PAGES, GOAL)


def plans() -> str:
    """Return the plans of what the lists ask, as PostgreSQL runs them. Called in a process with the
    product's settings."""
    from apps.accounts.models import User
    from apps.payments.forms import GroupFilter, QuarantineFilter
    from apps.payments.models import QuarantinedEvent, QuarantineGroup

    user = User.objects.get(username="corrector")
    parts = [f"{QuarantinedEvent.objects.count():,} quarantined events"]
    for name, query in PLANNED.items():
        form = QuarantineFilter(QueryDict(query))
        rows = form.matching(QuarantinedEvent.objects.only("pk"), user=user)
        page = rows.order_by("-created_at", "-pk")[: PAGE_SIZE + 1]
        count = rows.order_by()[: COUNT_LIMIT + 1]
        parts += [f"{name} (?{query})", _plan(page), f"{name}, counted", _plan(count)]
    groups = GroupFilter(QueryDict("open=on")).matching(QuarantineGroup.objects.all(), user=user)
    parts += ["groups with open events", _plan(groups.order_by("-last_at", "-pk")[:51])]
    waiting = QuarantinedEvent.objects.filter(state="open")
    parts += [
        "reviews to be opened",
        _plan(waiting.filter(review_at=None).order_by("created_at", "pk").only("pk")[:200]),
        "reviews that are open",
        _plan(waiting.exclude(review_at=None).order_by().only("pk")[:1000]),
    ]
    return "\n\n".join(parts) + "\n"


def _plan(rows: Any) -> str:
    text: str = rows.explain(analyze=True, costs=False, timing=False, summary=True)
    return text or "Nothing is asked: no group has it."


if __name__ == "__main__":
    sys.exit(main())
