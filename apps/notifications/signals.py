"""Signals that other apps receive. Notifications knows none of them."""

from django.dispatch import Signal

#: An e-mail about a subject was queued again, sent, dropped, or failed, or was perhaps sent. With
#: `subject_type`, `subject_id`, `key` and `state` (one of Mail.State). Sent inside the transaction
#: that changes the row, where a receiver that raises loses only what it has written itself.
mail_changed = Signal()
