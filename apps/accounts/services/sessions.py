"""Sessions: recorded when they begin, marked while used, ended by the user or an administrator.

Django's session row signs a browser in. Ours refers to it and is deleted with it.
"""

import threading
import time
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User, UserSession
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.correlation import get_logger
from apps.common.errors import NotFound
from apps.common.language import lazy as _

log = get_logger(__name__)

#: How old "last seen" may get: a write for every request would be the costliest part of it.
SEEN_EVERY = timedelta(minutes=1)
_MOST_REMEMBERED = 10_000

_lock = threading.Lock()
#: Session key → when this process wrote or read that it is used, monotonic seconds.
_looked_at: dict[str, float] = {}


def session_begin(*, session_key: str, user: User, address: str, user_agent: str) -> None:
    """Record a session's user, address and browser. A repeat updates address and browser."""
    UserSession.objects.update_or_create(
        session_id=session_key,
        defaults={
            "user": user,
            "address": address or None,
            "user_agent": _fit(user_agent),
            "last_seen_at": timezone.now(),
        },
    )
    _remember(session_key)


def session_seen(*, session_key: str, user: User, address: str, user_agent: str) -> None:
    """Record that the session is used, at most once a minute; otherwise it costs no query.

    A session without a row gets one. A database error is only logged: the request itself will
    report it.
    """
    if time.monotonic() - _looked_at.get(session_key, float("-inf")) < SEEN_EVERY.total_seconds():
        return
    now = timezone.now()
    mine = UserSession.objects.filter(session_id=session_key, user=user)
    try:
        with transaction.atomic():
            # Conditional: of many processes one writes.
            changed = mine.filter(last_seen_at__lte=now - SEEN_EVERY).update(
                last_seen_at=now, address=address or None
            )
            if not changed and not mine.exists():
                session_begin(
                    session_key=session_key, user=user, address=address, user_agent=user_agent
                )
    except DatabaseError as error:
        log.warning("session_not_noted", error=repr(error))
    _remember(session_key)


def session_end(*, session_id: int, user: User, by: Actor, via: str) -> None:
    """End one session of the user: sign its browser out and close its live pages.

    Raises NotFound when it is another user's or has ended already.
    """
    record = {"action": "session.end", "subject_type": "user", "subject_id": str(user.pk)}
    with refusals(**record, by=by, via=via), transaction.atomic(durable=True):
        row = UserSession.objects.select_for_update().filter(pk=session_id, user=user).first()
        if row is None:
            raise NotFound(_("That session has ended already."))
        Session.objects.filter(pk=row.session_id).delete()
        entry_record(**record, by=by, via=via, body={"ended": 1, "device": row.device})


def sessions_end(
    *, user: User, by: Actor | None, via: str, keep: str | None = None, why: str = ""
) -> int:
    """End all sessions of the user except the one with the key `keep`; returns how many.

    Joins the caller's transaction, if there is one. Writes an entry when there was one to end.
    """
    with transaction.atomic():
        rows = UserSession.objects.select_for_update().filter(user=user).order_by("pk")
        if keep:
            rows = rows.exclude(session_id=keep)
        keys = list(rows.values_list("session_id", flat=True))
        Session.objects.filter(pk__in=keys).delete()
        if keys:
            entry_record(
                action="session.end",
                subject_type="user",
                subject_id=user.pk,
                by=by,
                via=via,
                body={"ended": len(keys), "why": why},
            )
    return len(keys)


def _remember(session_key: str) -> None:
    with _lock:
        if len(_looked_at) >= _MOST_REMEMBERED:
            _looked_at.clear()
        _looked_at[session_key] = time.monotonic()


def _fit(user_agent: str) -> str:
    length = UserSession._meta.get_field("user_agent").max_length or 0
    return user_agent.replace("\0", "")[:length]
