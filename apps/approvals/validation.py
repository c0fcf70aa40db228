"""Checks values from outside: what cannot be stored, and what is not a valid value."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.common import identifiers
from apps.common.canonical_json import canonical_json, plain
from apps.common.errors import Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import places
from apps.common.validation import LONGEST_REASON, MOST, amount_form, kept, text_of, unseen

REASON_LIMIT = LONGEST_REASON
#: Clocks of two of our machines may differ by this much; a larger difference is a wrong time.
CLOCK_SKEW = timedelta(seconds=5)


def visible(text: str) -> str:
    """Return the text that others will read and sign. Raises Invalid `invisible_characters`."""
    if character := unseen(text):
        raise Invalid(
            filled(
                _("The text has a character that nobody sees ({character}): type it anew there."),
                character=character,
            ),
            code="invisible_characters",
            character=character,
        )
    return text


def reason_of(reason: Any) -> str:
    """Return the reason, stripped. Raises Invalid `invalid_text`, `invisible_characters` or
    `reason_too_long`."""
    reason = visible(text_of(reason, code="invalid_text").strip())
    if len(reason) > REASON_LIMIT:
        raise Invalid(
            filled(_("A reason has at most {reason_limit} characters."), reason_limit=REASON_LIMIT),
            code="reason_too_long",
        )
    return reason


def amount_of(amount: Decimal | None, currency: str) -> Decimal | None:
    """Return the amount with the currency's places. Raises Invalid `amount_invalid` if it has more
    places, is negative or too large."""
    if amount is None:
        return None
    exact = kept(amount, places(currency))
    if exact is None or not 0 <= exact < 10 * MOST:
        raise Invalid(
            filled(
                _("An amount is not negative and written {amount_form}."),
                amount_form=amount_form(currency),
            ),
            code="amount_invalid",
        )
    return exact


def payload_of(payload: Any, *, most: int) -> dict[str, Any]:
    """Return the payload as plain JSON. Raises Invalid `payload_invalid` for values without one
    canonical form: jsonb returns binary floats as other numbers, and the hash would no longer
    match; `payload_too_large` for more than `most` bytes."""
    if not isinstance(payload, dict):
        raise Invalid(_("A payload is an object."), code="payload_invalid")
    try:
        _check_values(payload)
        if len(canonical_json(payload).encode()) > most:
            raise Invalid(_("The payload is too large."), code="payload_too_large")
        cleaned: dict[str, Any] = plain(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(
            filled(_("The payload cannot be kept: {error}."), error=error), code="payload_invalid"
        ) from error
    return cleaned


def uuid_of(identifier: Any) -> UUID:
    """Return the UUID. Raises NotFound if it is not one: no row can have it."""
    pk = identifiers.uuid_of(identifier)
    if pk is None:
        raise NotFound(_("There is no such request."))
    return pk


def not_in_future(as_of: datetime) -> None:
    """Raise Invalid `as_of_in_future` for a time in the future."""
    if as_of > timezone.now() + CLOCK_SKEW:
        raise Invalid(_("This cannot lie in the future."), code="as_of_in_future")


def printable(identifier: object) -> str:
    """Return the identifier in a form that an audit entry can store."""
    return ascii(str(identifier))[1:-1][:80]


def _check_values(value: Any) -> None:
    if isinstance(value, str):
        text_of(value, code="payload_invalid")
    elif isinstance(value, float):
        raise Invalid(_("Numbers in a payload are whole, or text."), code="payload_invalid")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Invalid(_("Names in a payload are text."), code="payload_invalid")
            text_of(key, code="payload_invalid")
            _check_values(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_values(item)
