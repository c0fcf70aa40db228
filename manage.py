#!/usr/bin/env python
"""Django's command line for Countersign."""

import os
import sys


def main() -> None:
    """Run a management command; local settings unless the environment names others."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
