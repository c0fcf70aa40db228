"""Separation of duties: one administrator must not reset both a user's password and second factor.

That would let them sign in as the user.
"""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.contracts import Actor, Outcome
from apps.audit.selectors import entries_about
from apps.common.errors import NotAllowed
from apps.common.language import lazy as _

#: So long after the one, the other is somebody else's to do.
APART = timedelta(hours=24)

_PASSWORD = Q(action="user.change", body__password="changed")  # noqa: S106 - the word of the trail
_SECOND_FACTOR = Q(action="mfa.reset")


def password_apart(*, user: User, by: Actor) -> None:
    """Check before another user's password is set. Locks that user's row until the transaction
    ends, so that the second factor cannot be removed meanwhile. Raises NotAllowed
    `second_person_needed`.
    """
    _apart(
        user,
        by,
        _SECOND_FACTOR,
        _("You removed their second factor within the last day: somebody else has to do this."),
    )


def second_factor_apart(*, user: User, by: Actor) -> None:
    """Check before another user's second factor is removed; as `password_apart`."""
    _apart(
        user,
        by,
        _PASSWORD,
        _("You changed their password within the last day: somebody else has to do this."),
    )


def _apart(user: User, by: Actor, other: Q, did: str) -> None:
    User.objects.select_for_update().get(pk=user.pk)
    done = entries_about(("user", user.pk)).filter(
        other,
        actor_id=by.audit_id,
        outcome=Outcome.DONE,
        at__gt=timezone.now() - APART,
    )
    if done.exists():
        raise NotAllowed(did, code="second_person_needed")
