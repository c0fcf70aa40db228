"""What the directory is told of infractions.

Each call is made once, however often this runs (`directory_call`), outside of any transaction; what
the directory has answered is then written under the row's lock.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.common.correlation import get_logger
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import DirectoryRefused, DirectoryUnavailable
from apps.pix.bridge.shapes import DirectoryInfraction
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import (
    InfractionFacts,
    Owed,
)
from apps.pix.models import DirectoryCall, Infraction
from apps.pix.services import infraction_rows as rows
from apps.pix.services.directory_calls import Answer, directory_call
from apps.pix.services.infraction_attention import ATTENTION
from apps.pix.services.infraction_hearing import CALL_SECONDS, Seen, answer_of, apply
from apps.pix.services.infraction_rows import PROCESS
from apps.pix.services.shared import DIRECTORY

#: A report is in the directory's lists some seconds after it was made.
LAGS = timedelta(minutes=2)
RETRY_LOOK = timedelta(seconds=6)
#: How far the clocks of the directory and ours may differ.
SKEW = timedelta(days=1)
_MADE_ALREADY = frozenset({"infraction_already_being_processed", "infraction_already_processed"})

logger = get_logger(__name__)


# --- telling it -----------------------------------------------------------------------------------
def directory_tell(*, row_id: UUID | str, as_of: datetime) -> InfractionFacts:
    """Tell the directory what it is owed of the infraction next; return the row's state after it.

    A refusal opens an attention item, and nothing is owed until somebody has it tried again. Raises
    DirectoryUnavailable, after which the same is owed.
    """
    infraction = Infraction.objects.get(pk=process.id_of(PROCESS, row_id))
    if not infraction.owed:
        return rows.facts_now(infraction)
    owed = Owed(infraction.owed)
    try:
        answer = _CALLS[owed](infraction)
    except DirectoryRefused as refused:
        answer = _as_wanted(infraction, owed)
        if answer is None:
            return _refused(infraction, owed, refused, as_of=as_of)
    with transaction.atomic(durable=True):
        infraction = rows.lock(row_id)
        if answer is None:
            # It was never there, so that nothing is to be taken back.
            infraction.sent = False
            rows.save(infraction, "sent", as_of=as_of)
        else:
            apply(infraction, Seen.of_answer(answer), as_of=as_of)
        rows.record(infraction, f"{INFRACTION}.directory_told", by=DIRECTORY, what=owed.value)
        return rows.facts_now(infraction)


def _create(infraction: Infraction) -> Answer:
    Infraction.objects.filter(pk=infraction.pk, sent=False).update(sent=True)
    key = f"{INFRACTION}:{infraction.pk}:create"
    try:
        return directory_call(
            key=key,
            operation="infraction_create",
            participant=infraction.reporter_ispb,
            send=lambda: answer_of(
                directory().infraction_create(
                    participant=infraction.reporter_ispb,
                    transaction_id=infraction.transaction_id,
                    reason=infraction.reason,
                    situation_type=infraction.situation,
                    details=infraction.details,
                    contact_email=infraction.contact_email,
                    contact_phone=infraction.contact_phone,
                    within=CALL_SECONDS,
                )
            ),
            look_up=lambda: _reported(infraction),
        )
    except DirectoryRefused as refused:
        noted = DirectoryCall.objects.filter(key=key, noted_at__gte=timezone.now() - LAGS)
        if refused.code in _MADE_ALREADY and noted.exists():
            # Ours, most likely, whose answer was lost: its list has it in a moment.
            raise DirectoryUnavailable(
                _("The directory has a report of this payment that it does not list yet."),
                retry_after=RETRY_LOOK,
            ) from refused
        raise


def _reported(infraction: Infraction) -> Answer | None:
    """Return the reporter's report of the payment, or None."""
    since = infraction.received_at - SKEW
    while True:
        page = directory().infractions_list(
            participant=infraction.reporter_ispb,
            role="REPORTER",
            modified_from=since,
            limit=200,
            within=CALL_SECONDS,
        )
        for found in page.infractions:
            same = (found.transaction_id, found.reason)
            if same == (infraction.transaction_id, infraction.reason) and (
                found.status != rows.CANCELLED_THERE
            ):
                return answer_of(found)
        if not page.has_more or page.infractions[-1].modified_at <= since:
            return None
        since = page.infractions[-1].modified_at


def _acknowledge(infraction: Infraction) -> Answer:
    return _changed(
        infraction,
        Owed.ACKNOWLEDGE,
        infraction.counterparty_ispb,
        directory().infraction_acknowledge,
    )


def _close(infraction: Infraction) -> Answer:
    def send(**named: Any) -> DirectoryInfraction:
        return directory().infraction_close(
            **named,
            analysis_result=infraction.result,
            fraud_type=infraction.fraud_type,
            analysis_details=infraction.analysis,
        )

    return _changed(infraction, Owed.CLOSE, infraction.counterparty_ispb, send)


def _cancel(infraction: Infraction) -> Answer | None:
    if not infraction.directory_id:
        # Its creation was sent, and its answer was lost.
        found = _reported(infraction)
        if found is None:
            return None
        infraction.directory_id = found["id"]
        Infraction.objects.filter(pk=infraction.pk, directory_id="").update(
            directory_id=infraction.directory_id
        )
    return _changed(
        infraction, Owed.CANCEL, infraction.reporter_ispb, directory().infraction_cancel
    )


_CALLS: dict[Owed, Callable[[Infraction], Answer | None]] = {
    Owed.CREATE: _create,
    Owed.ACKNOWLEDGE: _acknowledge,
    Owed.CLOSE: _close,
    Owed.CANCEL: _cancel,
}
#: What the directory says once it was told, by whomever.
_WANTED: dict[Owed, frozenset[str]] = {
    Owed.ACKNOWLEDGE: frozenset({"ACKNOWLEDGED", "CLOSED", "CANCELLED"}),
    Owed.CLOSE: frozenset({"CLOSED", "CANCELLED"}),
    Owed.CANCEL: frozenset({"CANCELLED"}),
}


def _changed(
    infraction: Infraction,
    owed: Owed,
    participant: str,
    send: Callable[..., DirectoryInfraction],
) -> Answer:
    """Send a change of a report that the directory knows."""
    named = {"participant": participant, "infraction_id": infraction.directory_id}
    return directory_call(
        key=f"{INFRACTION}:{infraction.pk}:{owed}",
        operation=f"infraction_{owed}",
        participant=participant,
        send=lambda: answer_of(send(**named, within=CALL_SECONDS)),
        look_up=lambda: _as_wanted(infraction, owed),
    )


def _as_wanted(infraction: Infraction, owed: Owed) -> Answer | None:
    """Return the directory's report if it is as it should be after the change, else None."""
    if owed not in _WANTED or not infraction.directory_id:
        return None
    asks = infraction.reporter_ispb if owed is Owed.CANCEL else infraction.counterparty_ispb
    try:
        found = directory().infraction_get(
            participant=asks, infraction_id=infraction.directory_id, within=CALL_SECONDS
        )
    except DirectoryRefused:
        return None
    return answer_of(found) if found.status in _WANTED[owed] else None


def _refused(
    infraction: Infraction, owed: Owed, refused: DirectoryRefused, *, as_of: datetime
) -> InfractionFacts:
    with transaction.atomic(durable=True):
        infraction = rows.lock(infraction.pk)
        if infraction.owed == owed:
            infraction.refused = refused.code[:60]
            rows.save(infraction, "refused", as_of=as_of)
            ATTENTION.ask(infraction, code=refused.code, detail=refused.recorded, as_of=as_of)
        return rows.facts_now(infraction)
