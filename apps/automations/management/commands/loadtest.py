"""`manage.py loadtest`: runs many executions at once; exit 0 when each of them completed."""

import json
import statistics
import time
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts.models import User
from apps.automations.contracts import ExecutionStatus
from apps.automations.models import Execution
from apps.automations.models.executions import OPEN
from apps.automations.services.requesting import execution_request
from apps.common.errors import DomainError

POLL_SECONDS = 0.1
WIDTH = 40
#: Every kind of node that needs nobody else.
DEFINITION = {
    "name": "Load test",
    "nodes": [
        {"id": "read", "type": "transform", "data": {"mapping": {"n": "params.n"}}},
        {"id": "even", "type": "condition", "data": {"condition": "inputs.n % 2 == 0"}},
        {"id": "left", "type": "transform", "data": {"mapping": {"side": "'left'"}}},
        {"id": "right", "type": "transform", "data": {"mapping": {"side": "'right'"}}},
        {"id": "pause", "type": "delay", "data": {"delay_seconds": 0.1}},
        {"id": "join", "type": "transform", "data": {"mapping": {"all": "inputs"}}},
    ],
    "edges": [
        {"id": "1", "source": "read", "target": "even"},
        {"id": "2", "source": "even", "target": "left", "label": "true"},
        {"id": "3", "source": "even", "target": "right", "label": "false"},
        {"id": "4", "source": "read", "target": "pause"},
        {"id": "5", "source": "left", "target": "join"},
        {"id": "6", "source": "right", "target": "join"},
        {"id": "7", "source": "pause", "target": "join"},
    ],
}


class Command(BaseCommand):
    help = "Run many executions at once. Exit 0: each completed; 1: some failed, or were lost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workflows", type=int, default=100, help="Executions in all (100).")
        parser.add_argument("--concurrent", type=int, default=10, help="Open at once (10).")
        parser.add_argument(
            "--seconds", type=float, default=60.0, help="After so long one counts as lost (60)."
        )
        parser.add_argument(
            "--definition", metavar="FILE", help="JSON of the definition to run instead."
        )
        parser.add_argument("--as", dest="user", default="admin", help="Who asks for them (admin).")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the load; CommandError with exit status 1 or, for wrong arguments, 2."""
        if min(options["workflows"], options["concurrent"]) < 1:
            raise CommandError("--workflows and --concurrent are at least 1", returncode=2)
        load = _Load(
            by=_user(options["user"]),
            document=_document(options["definition"]),
            seconds=options["seconds"],
        )
        began = time.monotonic()
        try:
            for number in range(options["workflows"]):
                self._settle(load, below=options["concurrent"], total=options["workflows"])
                load.start(number)
            self._settle(load, below=1, total=options["workflows"])
        except DomainError as refused:
            raise CommandError(f"{refused.code}: {refused.detail}", returncode=2) from refused
        self._report(load, time.monotonic() - began)

    def _settle(self, load: "_Load", *, below: int, total: int) -> None:
        """Wait until fewer than so many are open."""
        while True:
            load.look()
            self._bar(load, total)
            if len(load.open) < below:
                return
            time.sleep(POLL_SECONDS)

    def _bar(self, load: "_Load", total: int) -> None:
        done = len(load.taken) + len(load.failed) + len(load.lost)
        filled = WIDTH * done // total
        bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done}/{total}"
        if self.stderr.isatty():
            self.stderr.write(f"\r{bar}", ending="\n" if done == total else "")
        elif done != load.said:
            self.stderr.write(bar)
        load.said = done

    def _report(self, load: "_Load", seconds: float) -> None:
        taken = sorted(load.taken)
        self.stdout.write(
            f"completed {len(taken)}, failed {len(load.failed)}, lost {len(load.lost)}, "
            f"in {seconds:.1f} s: {len(taken) / seconds:.1f} a second"
        )
        if len(taken) > 1:
            cuts = statistics.quantiles(taken, n=100, method="inclusive")
            p50, p95, p99 = (cuts[at - 1] for at in (50, 95, 99))
            self.stdout.write(
                f"seconds from request to end: p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f}, "
                f"most {taken[-1]:.2f}"
            )
        for word, ids in (("failed", load.failed), ("lost", load.lost)):
            for execution_id in ids[:20]:
                self.stdout.write(self.style.ERROR(f"{word}: {execution_id}"))
        if load.failed or load.lost:
            raise CommandError(
                f"{len(load.failed)} failed and {len(load.lost)} were lost", returncode=1
            )
        self.stdout.write(self.style.SUCCESS("OK: each of them completed"))


@dataclass
class _Load:
    """Executions that were asked for, and how they went."""

    by: User
    document: Any
    seconds: float

    def __post_init__(self) -> None:
        self.open: dict[UUID, tuple[str, float]] = {}
        self.taken: list[float] = []
        self.failed: list[str] = []
        self.lost: list[str] = []
        self.said = -1

    def start(self, number: int) -> None:
        """Ask for one more."""
        row, _new = execution_request(
            document=self.document,
            params={"n": number},
            by=self.by,
            via="command",
            as_of=timezone.now(),
        )
        self.open[row.pk] = (row.workflow_id, time.monotonic())

    def look(self) -> None:
        """Note those that have ended, and those that have taken too long."""
        rows = Execution.objects.filter(pk__in=self.open).exclude(status__in=OPEN)
        for pk, status, asked, settled in rows.values_list(
            "pk", "status", "created_at", "settled_at"
        ):
            name, _began = self.open.pop(pk)
            if status == ExecutionStatus.COMPLETED and settled is not None:
                self.taken.append((settled - asked).total_seconds())
            else:
                self.failed.append(name)
        late = time.monotonic() - self.seconds
        for pk in [pk for pk, (_name, began) in self.open.items() if began < late]:
            self.lost.append(self.open.pop(pk)[0])


def _user(name: str) -> User:
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        raise CommandError(f"There is no user {name!r}.", returncode=2)
    return user


def _document(path: str | None) -> Any:
    if path is None:
        return DEFINITION
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"Cannot read {path}: {error}", returncode=2) from error
