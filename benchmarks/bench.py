"""What a benchmark says of itself."""

from dataclasses import dataclass

#: What all of them may take together on two cores that do nothing else, and with the word `quick`.
MOST_SECONDS, MOST_QUICK_SECONDS = 18 * 60, 5 * 60


@dataclass(frozen=True)
class Bench:
    """`goal`: its name in the table of goals. `domain`: the app that it measures; empty for the
    whole site. `quick`: arguments with which it only shows that it runs. `seconds` and
    `quick_seconds`: what it may take of the whole on two cores; a domain to come measures in as
    much as the others leave. `world`: the module of this package that makes the rows it is measured
    over; one process makes them once and measures all goals that name it, so these also share
    `quick`."""

    goal: str
    title: str
    seconds: int
    quick_seconds: int
    domain: str = ""
    quick: tuple[str, ...] = ()
    world: str = ""
