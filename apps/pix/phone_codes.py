"""The door for codes that go to a phone. Which provider sends them is the installation's choice:
`PIX_PHONE_CODE_SENDER` is the dotted name of a function like `to_requester`.

It is called in the transaction of the verb that asks for the code, so that it queues and never
calls: what is rolled back must not be sent.
"""

from collections.abc import Callable

from django.conf import settings
from django.utils.module_loading import import_string

from apps.accounts.models import User
from apps.notifications.services import notify

#: Called with phone (E.164), text, key (of this message: once), by (who asked for it).
Sender = Callable[..., None]


def sender() -> Sender | None:
    """Return the function that sends codes to phones; None where the installation has none."""
    name = settings.PIX_PHONE_CODE_SENDER
    return import_string(name) if name else None


def to_requester(*, phone: str, text: str, key: str, by: User) -> None:
    """Tell whoever asked, on the site, instead of the phone: for development, where nobody has one.
    Refused in production, because it proves nothing."""
    notify(key=key, recipients=[by], kind="entry_change.code", title=text)
