"""`manage.py runworker`: runs `workers.runner`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.engine.leaving import leave
from workers.registry import UnknownQueue, chosen


class Command(BaseCommand):
    help = "Serve task queues until SIGTERM; a second signal ends at once."
    # They load every page and form, which this process never serves; `manage.py check` is for that.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--queue",
            action="append",
            default=[],
            metavar="NAME",
            help="Queue to serve, repeatable. Default: TEMPORAL_TASK_QUEUE, else all.",
        )
        parser.add_argument(
            "--no-relay", action="store_true", help="Do not stand by as a relay in this process."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            specs = chosen(options["queue"])
        except UnknownQueue as error:
            raise CommandError(str(error), returncode=2) from error
        # Imported late, so that an unknown queue is refused without loading the SDK's runtime.
        from apps.common.httpd import PortTaken
        from workers.runner import Runner
        from workers.slots import TooFewThreads

        try:
            runner = Runner(specs, relay=not options["no_relay"])
        except (TooFewThreads, PortTaken) as error:
            raise CommandError(str(error), returncode=2) from error
        runner.run()
        # Threads of cut-off activities would keep the interpreter alive until they end, too.
        leave()
