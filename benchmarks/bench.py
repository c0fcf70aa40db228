"""What a benchmark says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bench:
    """`goal`: its name in the table of goals. `domain`: the app that it measures; empty for the
    whole site. `quick`: arguments with which it only shows that it runs."""

    goal: str
    title: str
    domain: str = ""
    quick: tuple[str, ...] = ()
