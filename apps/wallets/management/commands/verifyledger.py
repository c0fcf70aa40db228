"""`manage.py verifyledger`: exit 0 when the ledger explains every balance, 1 when it does not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.wallets.services.verify import ledger_verify


class Command(BaseCommand):
    help = "Check every journal and every balance. Exit 0: the ledger holds; 1: it does not."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report; CommandError with exit status 1 when something differs."""
        report = ledger_verify(progress=self._progress())
        self.stdout.write(f"journals {report.journals:,}")
        self.stdout.write(f"wallets  {report.wallets:,}")
        for problem in report.problems:
            self.stdout.write(self.style.ERROR(f"  {problem}"))
        if report.problem_count > len(report.problems):
            self.stdout.write(f"  and {report.problem_count - len(report.problems):,} more")
        if not report.whole:
            raise CommandError(
                f"BROKEN: {report.problem_count} problem(s) in the ledger", returncode=1
            )
        self.stdout.write(self.style.SUCCESS("OK: the ledger holds"))

    def _progress(self) -> Any:
        if not self.stderr.isatty():
            return None
        return lambda count: self.stderr.write(f"\r{count:,} checked", ending="")
