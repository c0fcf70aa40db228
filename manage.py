#!/usr/bin/env python
"""Django's command line for Countersign."""

import os
import sys

from config import startup


def main() -> None:
    """Run a management command; local settings unless the environment names others."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    startup.load_begin()
    from django.core.management import BaseCommand, ManagementUtility

    class Utility(ManagementUtility):
        """Knows when everything is loaded: once it has the command."""

        def fetch_command(self, subcommand: str) -> BaseCommand:
            command = super().fetch_command(subcommand)
            startup.load_end()
            return command

    Utility(sys.argv).execute()


if __name__ == "__main__":
    main()
