"""Registers the app's navigation and words with the shared site."""

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.notifications.models.mails import DOWNLOAD_PERMISSION
from apps.notifications.scopes import Scope


def register() -> None:
    """Called once, when Django is ready."""
    scopes.register(Scope)
    roles.grant(
        "operator",
        "notifications.view_*",
        "notifications.resend_mail",
        DOWNLOAD_PERMISSION,
        "notifications.manage_webhookendpoint",
    )
    # Who reads everything reads what was sent, too.
    roles.grant("auditor", DOWNLOAD_PERMISSION)
    subject_types.register("mail")
