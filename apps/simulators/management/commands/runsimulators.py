"""Runs the simulated external systems of demos and tests, in a process of their own."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.simulators.executor import ExecutorSink
from apps.simulators.http import Application
from apps.simulators.mail import MailSink
from apps.simulators.webhooks import WebhookSink


class Command(BaseCommand):
    help = "Runs the simulators over real HTTP. Refused by production settings."
    # It needs neither database nor admin, so it starts in half the time.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8002)
        parser.add_argument(
            "--smtp-port", type=int, default=0, help="A mail server there that keeps what it takes."
        )
        parser.add_argument(
            "--effects-file", type=Path, help="Effects are kept there and survive a kill."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or Ctrl-C."""
        if not settings.SIMULATORS_ALLOWED:
            raise CommandError("These settings refuse simulators: a demo must not look like truth.")
        mails = MailSink()
        application = Application(
            {
                "executor": ExecutorSink(file=options["effects_file"]).answer,
                "mail": mails.answer,
                "webhooks": WebhookSink().answer,
            }
        )
        if options["smtp_port"] and not mails.listen(options["host"], options["smtp_port"]):
            self.stderr.write(f"No mail server on port {options['smtp_port']}: {mails.trouble}")
        uvicorn.run(
            application,
            host=options["host"],
            port=options["port"],
            lifespan="off",
            access_log=False,
            # Logs follow the project's own configuration.
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
