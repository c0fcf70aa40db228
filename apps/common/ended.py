"""Sentences about rows that have ended, one for each status: none is glued from a word."""

from apps.common.language import lazy as _

_SENTENCES = {
    "executed": _("It is executed already."),
    "done": _("It is done already."),
    "completed": _("It is completed already."),
    "compensated": _("It is compensated already."),
    "failed": _("It has failed already."),
    "approved": _("It is approved already."),
    "rejected": _("It is rejected already."),
    "expired": _("It has expired already."),
    "cancelled": _("It is cancelled already."),
    "stopped": _("It is stopped already."),
}


def ended_already(status: object) -> str:
    """Return that the row has ended, and how, as a marked sentence. A status of a domain's own is
    said in general."""
    return _SENTENCES.get(str(status)) or _("It has ended already.")
