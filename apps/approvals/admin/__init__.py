"""The app in the admin, by noun: Django imports this module, and with it all of them."""

from apps.approvals.admin import records, requests, rules  # noqa: F401
