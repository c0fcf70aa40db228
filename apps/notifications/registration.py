"""Registers the app's navigation and words with the shared site."""

from apps.accounts import roles, scopes
from apps.notifications.scopes import Scope


def register() -> None:
    """Called once, when Django is ready."""
    scopes.register(Scope)
    roles.grant(
        "operator",
        "notifications.view_*",
        "notifications.resend_mail",
        "notifications.manage_webhookendpoint",
    )
