"""`manage.py checkquarantine`: proves the counters of the quarantine; exit status 1 if one is
wrong."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.payments.services.checking import counters_check


class Command(BaseCommand):
    help = "Compare the counters of quarantined events with the events; 1 if one is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        groups, differences = counters_check()
        for one in differences:
            self.stderr.write(
                f"group {one.group}: {one.counter} says {one.says}, there are {one.counted}"
            )
        self.stdout.write(f"{groups} groups, {len(differences)} wrong counters")
        if differences:
            sys.exit(1)
