"""Calls that change the directory: each is noted before it is sent, and looked up before it is
sent again.

The directory answers a repeat of some calls with a refusal, and of others by doing it twice. An
answer that was lost after the directory's commit is found by asking for the effect.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.common.failpoints import failpoint
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.models import DirectoryCall

Answer = dict[str, Any]


def directory_call(
    *,
    key: str,
    operation: str,
    participant: str,
    send: Callable[[], Answer],
    look_up: Callable[[], Answer | None],
    request_id: UUID | None = None,
) -> Answer:
    """Send a call once, however often this runs; return the directory's answer, as JSON.

    `key` names the row and the operation. `look_up` returns the answer of a call that was sent
    before and whose answer was lost, or None where the directory does not know it. Call it outside
    of a transaction, under the lock of nothing: an attempt that was believed dead may still send,
    so the operation must be one that the directory does once by its `request_id`, or refuses.

    Raises DirectoryRefused, after which the same key may be sent again, and DirectoryUnavailable.
    """
    known = DirectoryCall.objects.filter(key=key).first()
    if known is not None and known.known_at is not None:
        return known.answer or {}
    if known is not None and known.sent_at is not None and (found := look_up()) is not None:
        return _answered(key, found)
    _note(key, operation=operation, participant=participant, request_id=request_id)
    failpoint("directory_call.noted")
    try:
        answer = send()
    except DirectoryRefused as refused:
        # Another attempt may have sent it meanwhile: its answer is looked up, not lost.
        if known is not None and (found := look_up()) is not None:
            return _answered(key, found)
        DirectoryCall.objects.filter(key=key, known_at=None).update(
            sent_at=None, answer={"refused": refused.code, "detail": str(refused)[:2000]}
        )
        raise
    failpoint("directory_call.answered")
    return _answered(key, answer)


def _note(key: str, **columns: Any) -> None:
    with transaction.atomic(durable=True):
        DirectoryCall.objects.update_or_create(
            key=key, defaults={**columns, "sent_at": timezone.now()}
        )


def _answered(key: str, answer: Answer) -> Answer:
    """Keep the first answer; return it."""
    rows = DirectoryCall.objects.filter(key=key, known_at=None)
    rows.update(answer=answer, known_at=timezone.now())
    kept = DirectoryCall.objects.values_list("answer", flat=True).get(key=key)
    return kept or {}
