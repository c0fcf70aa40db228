"""Admin of approvals, a module for each noun. Django imports this package, which imports them
all."""

from apps.approvals.admin import records, requests, rules  # noqa: F401
