"""`manage.py exportopenapi`: writes the API's description to docs/contracts/openapi.json."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

SNAPSHOT = Path("docs/contracts/openapi.json")


def description() -> str:
    """The OpenAPI document as the snapshot has it: sorted, indented, one line end."""
    # By its name: the assembly of all domains stands above this app.
    api = import_string("config.api.api")
    schema = json.loads(json.dumps(api.get_openapi_schema()))
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class Command(BaseCommand):
    help = "Write the API's OpenAPI description to docs/contracts/openapi.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; exit 1 if the file differs"
        )

    def handle(self, *, check: bool, **options: Any) -> None:
        """CommandError with --check when the committed description is not the code's."""
        file = settings.BASE_DIR / SNAPSHOT
        fresh = description()
        if check:
            if not file.exists() or file.read_text() != fresh:
                raise CommandError(f"{SNAPSHOT} differs from the code: run manage.py exportopenapi")
            self.stdout.write(f"{SNAPSHOT} is current")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(fresh)
        self.stdout.write(f"{SNAPSHOT} written")
