"""`python -m apps.simulators`: the simulated external systems of demos and tests, over real HTTP.

A process of its own and no management command: it needs the settings, but neither the apps nor the
database, and so it starts in a third of the time and holds a third of the memory.
"""

import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from django.conf import settings
from django.utils.log import configure_logging

from apps.simulators.executor import ExecutorSink
from apps.simulators.http import Application
from apps.simulators.mail import MailSink
from apps.simulators.webhooks import WebhookSink


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. Leaves by SystemExit where the settings refuse simulators."""
    parser = ArgumentParser(prog="python -m apps.simulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument(
        "--smtp-port", type=int, default=0, help="A mail server there that keeps what it takes."
    )
    parser.add_argument(
        "--effects-file", type=Path, help="Effects are kept there and survive a kill."
    )
    options = parser.parse_args(argv)
    if not settings.SIMULATORS_ALLOWED:
        sys.exit("These settings refuse simulators: a demo must not look like truth.")
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    mails = MailSink()
    application = Application(
        {
            "executor": ExecutorSink(file=options.effects_file).answer,
            "mail": mails.answer,
            "webhooks": WebhookSink().answer,
        }
    )
    if options.smtp_port and not mails.listen(options.host, options.smtp_port):
        logging.getLogger(__name__).error(
            "No mail server on port %d: %s", options.smtp_port, mails.trouble
        )
    uvicorn.run(
        application,
        host=options.host,
        port=options.port,
        lifespan="off",
        access_log=False,
        # Logs follow the project's own configuration.
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    main()
