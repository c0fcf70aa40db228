"""`python -m apps.simulators`: the simulated external systems of demos and tests, over real HTTP.

A process of its own and no management command: it needs the settings, but neither the apps nor the
database, and so it starts in a third of the time and holds a third of the memory.
"""

import logging
import os
import sqlite3
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings
from django.utils.log import configure_logging

from apps.simulators.ai import AiSink
from apps.simulators.echo import EchoSink
from apps.simulators.executor import ExecutorSink
from apps.simulators.http import Application
from apps.simulators.inference import KINDS, InferenceSink
from apps.simulators.mail import MailSink
from apps.simulators.payments import PaymentSink
from apps.simulators.paystack import PaystackSink
from apps.simulators.webhooks import WebhookSink

if TYPE_CHECKING:
    from apps.simulators.directory.server import Directory


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
    parser.add_argument(
        "--paystack-webhook",
        default=f"{settings.SITE_URL}/api/v1/webhooks/paystack",
        help="Where the simulated Paystack sends its webhooks.",
    )
    parser.add_argument(
        "--public-url", default="", help="Where browsers reach the simulators, if elsewhere."
    )
    parser.add_argument(
        "--bridge-port", type=int, default=0, help="The directory of Pix keys there, over gRPC."
    )
    options = parser.parse_args(argv)
    if not settings.SIMULATORS_ALLOWED:
        sys.exit("These settings refuse simulators: a demo must not look like truth.")
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    mails = MailSink()
    echo = EchoSink(file=_beside(options.effects_file, "echo"))
    inference = InferenceSink(file=_beside(options.effects_file, "inference"))
    application = Application(
        {
            "ai": AiSink(file=_beside(options.effects_file, "ai")).answer,
            "echo": echo.answer,
            "echo-counts": echo.counts,
            "executor": ExecutorSink(file=options.effects_file).answer,
            **{name: inference.of(name) for name in KINDS},
            "mail": mails.answer,
            "payments": PaymentSink(file=_beside(options.effects_file, "payments")).answer,
            "paystack": PaystackSink(
                secret=settings.PAYSTACK_SECRET_KEY,
                webhook_url=options.paystack_webhook,
                public_url=options.public_url,
                file=_beside(options.effects_file, "paystack"),
            ).answer,
            "webhooks": WebhookSink().answer,
        }
    )
    if options.smtp_port and not mails.listen(options.host, options.smtp_port):
        logging.getLogger(__name__).error(
            "No mail server on port %d: %s", options.smtp_port, mails.trouble
        )
    directory = _directory(options.host, options.bridge_port) if options.bridge_port else None
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
    if directory is not None:
        directory.stop()


def _directory(host: str, port: int) -> "Directory | None":
    """Serve the simulated directory; its data stay in the folder of the stack."""
    # Who does without it does not wait for gRPC either.
    from apps.simulators.directory.server import Directory

    folder = Path(os.environ.get("COUNTERSIGN_DATA") or settings.BASE_DIR / ".local")
    try:
        directory = Directory(folder / "simulators" / "directory.sqlite3", host=host, port=port)
    except (OSError, sqlite3.Error) as error:
        logging.getLogger(__name__).error("No directory on port %d: %s", port, error)
        return None
    directory.start()
    return directory


def _beside(file: Path | None, name: str) -> Path | None:
    """Return the file of another simulator, beside the executor's."""
    return file and file.with_name(f"{file.stem}-{name}{file.suffix}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    main()
