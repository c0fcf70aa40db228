"""Signals that other apps receive. Accounts is a lower layer and calls none of them."""

from django.dispatch import Signal

#: Somebody did something to another person's account that the person must hear of. With `user`,
#: `key` (once for each), `title` and `text`; sent inside the transaction that does it.
account_touched = Signal()
