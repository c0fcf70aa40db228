"""`manage.py erasecustomer CUSTOMER_ID`: erases a customer from payment events; exit status 1 while
events of the customer are under way."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.contracts import SystemActor
from apps.common.errors import DomainError
from apps.payments.services.erasing import customer_erase

BY = SystemActor("command line")


class Command(BaseCommand):
    help = "Erase a customer from payment events and the quarantine, for good. Audited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer_id", metavar="CUSTOMER_ID", help="as producers send it")
        parser.add_argument("--reason", default="", help="kept in the audit trail; not the id")

    def handle(self, *, customer_id: str, reason: str, **options: Any) -> None:
        """CommandError names what is wrong."""
        try:
            done = customer_erase(customer_id=customer_id, by=BY, via="command", reason=reason)
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"kept events       {done.events:,}, of {done.token} now")
        self.stdout.write(f"payloads deleted  {done.payloads:,}, {done.read:,} looked into")
        self.stdout.write(f"discarded         {done.discarded:,}")
        if done.blocked:
            self.stdout.write("The customer is on the blocklist: change that rule in the admin.")
        if done.under_way:
            self.stderr.write(f"{done.under_way:,} events are under way: run it again after them.")
            sys.exit(1)
