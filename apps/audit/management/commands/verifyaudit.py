"""`manage.py verifyaudit`: exit 0 when the audit chain holds, 1 when it does not."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.anchors import Anchor, anchors_read
from apps.audit.services import ChainReport, chain_verify

#: The sealer works within a second; entries that wait this long mean that none runs.
LATE_SECONDS = 60


class Command(BaseCommand):
    help = "Check every audit entry and seal. Exit 0: the chain holds; 1: it is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--anchor",
            metavar="FILE",
            help="also compare with the heads anchored in FILE (see AUDIT_ANCHOR_FILE): "
            "finds a tail that was cut off",
        )

    def handle(self, *args: Any, anchor: str | None, **options: Any) -> None:
        """Print the report; CommandError with exit status 1 (broken) or 2 (cannot read FILE)."""
        anchors: list[Anchor] = []
        warnings: list[str] = []
        if anchor:
            try:
                anchors, warnings = anchors_read(Path(anchor))
            except OSError as error:
                raise CommandError(f"Cannot read {anchor}: {error}", returncode=2) from error
            if not anchors:
                raise CommandError(f"{anchor} has no anchors", returncode=2)
        report = chain_verify(anchors=anchors, progress=self._progress())
        self._print(report, [*warnings, *_lateness(report)])
        if not report.whole:
            raise CommandError(
                f"BROKEN: {report.problem_count} problem(s) in the audit chain", returncode=1
            )
        self.stdout.write(self.style.SUCCESS("OK: the audit chain holds"))

    def _progress(self) -> Any:
        if not self.stderr.isatty():
            return None
        return lambda count: self.stderr.write(f"\r{count:,} checked", ending="")

    def _print(self, report: ChainReport, warnings: list[str]) -> None:
        self.stdout.write(f"sealed entries   {report.entries:,} ({report.erased:,} erased bodies)")
        self.stdout.write(f"head             {report.head_sequence} {report.head_hash}")
        age = f", the oldest for {report.oldest_unsealed_seconds:.1f} s" if report.unsealed else ""
        self.stdout.write(f"not yet sealed   {report.unsealed:,}{age}")
        self.stdout.write(f"anchors compared {report.anchors:,}")
        for warning in warnings:
            self.stdout.write(self.style.WARNING(f"warning: {warning}"))
        for problem in report.problems:
            self.stdout.write(self.style.ERROR(f"  {problem}"))
        if report.problem_count > len(report.problems):
            self.stdout.write(f"  and {report.problem_count - len(report.problems):,} more")


def _lateness(report: ChainReport) -> list[str]:
    if report.oldest_unsealed_seconds <= LATE_SECONDS:
        return []
    return [f"entries wait for over {LATE_SECONDS} s: does the relay run?"]
