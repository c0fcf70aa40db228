"""What the person who starts it sees: spinner and tables on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.table import Table

DEMO_LOGINS = {
    "requester": "asks for interventions",
    "reviewer": "signs up to 500,000.00",
    "senior": "signs the second tier",
    "agent": "books, cancels and refunds rides",
    "editor": "writes automations and runs them",
    "officer": "answers claims of Pix keys and infractions",
    "operator": "runs the engine",
    "auditor": "reads everything, changes nothing",
    "admin": "administers people and settings",
}
DEMO_PASSWORD = "demo"


class Screen:
    """Writes to standard output; colours and motion only on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str, *, style: str = "") -> None:
        """One message. A terminal that is gone must not keep us from stopping in order."""
        with suppress(OSError):
            self.console.print(text, style=style, markup=False)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A part of the start, shown while it lasts, with its seconds when it is done."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{title} …"):
                yield
        else:
            self.say(f"{title} …")
            yield
        self.say(f"✓ {title}  {time.monotonic() - began:.1f} s", style="green")

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        """Two columns under a title."""
        if self.console.is_terminal:
            table = Table(title=title, title_justify="left", show_header=False)
            for name, value in rows.items():
                table.add_row(name, value)
            self.console.print(table)
            return
        width = max(len(name) for name in rows)
        self.say(f"{title}:")
        for name, value in rows.items():
            self.say(f"  {name:<{width}}  {value}")


def addresses(screen: Screen, ports: Mapping[str, int], env: Mapping[str, str]) -> None:
    """Where everything answers."""
    web = f"http://127.0.0.1:{ports['WEB_PORT']}"
    screen.table(
        "Addresses",
        {
            "Site": f"{web}/",
            "Admin": f"{web}/admin/",
            "API": f"{web}/api/v1/docs",
            "Temporal UI": env.get("TEMPORAL_UI_URL") or "(none)",
            "Mails": f"http://127.0.0.1:{ports['INFERENCE_PORT']}/mail",
            "Worker health": f"http://127.0.0.1:{ports['HEALTH_PORT']}/ready",
            "Consumer health": f"http://127.0.0.1:{ports['CONSUMER_HEALTH_PORT']}/ready",
            "Worker metrics": f"http://127.0.0.1:{ports['METRICS_PORT']}/metrics",
            "Temporal": env["TEMPORAL_ADDRESS"],
            "PostgreSQL": env["DATABASE_URL"].rpartition("@")[2],
            "Valkey": env["REDIS_URL"].rpartition("@")[2].removeprefix("redis://"),
        },
    )


def logins(screen: Screen) -> None:
    """The demo people."""
    screen.table(f'Logins (password "{DEMO_PASSWORD}")', DEMO_LOGINS)
