"""Messages of the topic of dead letters: events that another program has refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from apps.common.errors import Invalid
from apps.common.strict_json import NotJson, exact_document_of
from apps.payments.contracts import Stage
from apps.payments.models import QuarantineGroup
from apps.payments.reading import LONGEST_ID
from apps.payments.services.messages import Message
from apps.payments.services.payloads import INSIDE
from apps.payments.services.quarantine import Failed, code_of, fingerprint_of, quarantine_put

#: What a message is called that says nothing of its own.
UNTOLD = "upstream"
#: More kinds of failure in a day than a person looks through: the rest are one group.
MOST_NEW_GROUPS, OTHER = 1000, "other"


def refused_take(messages: Sequence[Message]) -> list[str]:
    """Put messages of the topic of dead letters into the quarantine, in one transaction; return
    their codes.

    Known is `{event_id?, original_payload, validation_errors: [{code, field, message}],
    failure_reason, source_topic}`; a bare event, and anything else, is kept as it came. Again,
    nothing is written twice. One that PostgreSQL refuses is found by halving.
    """
    if not messages:
        return []
    try:
        with transaction.atomic(durable=True):
            return quarantine_put(_few_groups([_failed(message) for message in messages]))
    except (DataError, IntegrityError):
        if len(messages) > 1:
            half = len(messages) // 2
            return refused_take(messages[:half]) + refused_take(messages[half:])
    [message] = messages
    error = {"code": "unstorable", "field": "", "message": "PostgreSQL refuses it."}
    with transaction.atomic(durable=True):
        return quarantine_put([Failed(message.in_plain_texts(), Stage.UPSTREAM, [error])])


# --- helpers --------------------------------------------------------------------------------------
def _failed(message: Message) -> Failed:
    try:
        document = exact_document_of(message.raw or b"")
    except (NotJson, Invalid):
        document = None
    told = document if isinstance(document, dict) else {}
    errors = _errors(told)
    wrapped = isinstance(told.get(INSIDE), dict | str)
    return Failed(message, Stage.UPSTREAM, errors, event_id=_event_id(told), wrapped=wrapped)


def _errors(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the errors that the message tells, each with a code; at least one."""
    given = told.get("validation_errors")
    found = [_error(one) for one in given[:50]] if isinstance(given, list) else []
    reason = told.get("failure_reason")
    if not found and isinstance(reason, str) and reason.strip():
        found = [{"code": code_of(reason), "field": "", "message": reason[:500]}]
    return found or [{"code": UNTOLD, "field": "", "message": "It does not say why."}]


def _error(given: Any) -> dict[str, str]:
    if isinstance(given, dict):
        code, field, message = (given.get(name) for name in ("code", "field", "message"))
        text = message if isinstance(message, str) else ""
        known = code if isinstance(code, str) and code else text or UNTOLD
        return {
            "code": code_of(known),
            "field": field[:200] if isinstance(field, str) else "",
            "message": text[:500],
        }
    text = given if isinstance(given, str) and given.strip() else UNTOLD
    return {"code": code_of(text), "field": "", "message": text[:500]}


def _event_id(told: Mapping[str, Any]) -> str | None:
    payload = told.get(INSIDE)
    inner = payload.get("event_id") if isinstance(payload, dict) else None
    for candidate in (told.get("event_id"), inner):
        if isinstance(candidate, str) and 0 < len(candidate) <= LONGEST_ID:
            return candidate
    return None


def _few_groups(failed: list[Failed]) -> list[Failed]:
    """Return the failures with the code `other` where their group would be one too many of today:
    texts of other programs can be without end."""
    known = set(
        QuarantineGroup.objects.filter(
            fingerprint__in={one.fingerprint for one in failed}
        ).values_list("fingerprint", flat=True)
    )
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    made = QuarantineGroup.objects.filter(stage=Stage.UPSTREAM, first_at__gte=today).count()
    result = []
    for one in failed:
        if one.fingerprint not in known:
            if made >= MOST_NEW_GROUPS:
                first = {"code": OTHER, "field": "", "message": one.errors[0]["message"]}
                one = replace(one, errors=[first, *one.errors])
            else:
                made += 1
                known.add(fingerprint_of(one.stage, one.code, one.field_name))
        result.append(one)
    return result
