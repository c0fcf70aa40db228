"""Admin of notifications, a module for each noun. Django imports this package, which imports them
all."""

from apps.notifications.admin import mails, messages, webhooks  # noqa: F401
