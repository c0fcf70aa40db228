"""Registers the app's navigation and words with the shared site."""

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.notifications.models.mails import DOWNLOAD_PERMISSION
from apps.notifications.scopes import Scope
from apps.web import refusals


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
    subject_types.register("mail")
    refusals.explain({"address_invalid": _("Write it as name@example.org.")})
