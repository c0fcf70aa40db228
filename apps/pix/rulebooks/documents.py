"""The two rulebooks that every installation begins with. Documents: rows keep them, and two people
change them.

A row: when a claim of one of `types` is in one of `states` and one of `actors` does `event` for one
of `reasons` ("any": any text, or none; []: none is given) once the period `after` has ended, then
the claim goes `to`, with `effects`. A row of the clock acts `on_behalf_of` a side, and only where
that side is ours; without one it always acts.
"""

from typing import Any

DAY = 86_400
_P, _O = "PORTABILITY", "OWNERSHIP"
_BOTH = "PORTABILITY OWNERSHIP"
_WAITING = "WAITING_RESOLUTION"
_UNANSWERED = "OPEN WAITING_RESOLUTION"
_ACTIVE = "OPEN WAITING_RESOLUTION CONFIRMED"
_SILENCE = "DEFAULT_OPERATION"
_KEPT, _RESET = "keep_ownership_date", "reset_ownership_date"
_MOVED = "move_entry send_confirmation"
_MADE = "new_request_id create_claimer_entry"


def _row(
    types: str,
    states: str,
    event: str,
    actors: str,
    reasons: str,
    to: str,
    effects: str = "",
    **rest: str,
) -> dict[str, Any]:
    """Return the row as a document has it, of words between blanks."""
    return {
        "types": types.split(),
        "states": states.split(),
        "event": event,
        "actors": actors.split(),
        "reasons": reasons if reasons == "any" else reasons.split(),
        "to": to,
        "effects": effects.split(),
        **rest,
    }


#: The service that this replaces: the donor has 30 days, then the claim expires.
SOURCE: dict[str, Any] = {
    "code": "source",
    "version": 1,
    "types": {
        "PORTABILITY": {
            "keys": ["CPF", "CNPJ", "PHONE", "EMAIL"],
            "without_key": True,
            "seconds": {"resolution": 30 * DAY},
        },
        "OWNERSHIP": {
            "keys": ["PHONE", "EMAIL"],
            "without_key": True,
            "seconds": {"resolution": 30 * DAY},
        },
    },
    # The service has one status for both; the directory may say either.
    "same": {"OPEN": _WAITING},
    "rows": [
        _row(_BOTH, "", "open", "CLAIMER DONOR SIGNAL", "", _WAITING, "create_claim notify_donor"),
        _row(_P, _WAITING, "confirm", "DONOR SIGNAL", "any", "COMPLETED", f"{_MOVED} {_KEPT}"),
        _row(_O, _WAITING, "confirm", "DONOR SIGNAL", "any", "COMPLETED", f"{_MOVED} {_RESET}"),
        _row(_BOTH, _WAITING, "cancel", "DONOR CLAIMER SIGNAL", "any", "CANCELLED"),
        _row(_BOTH, _WAITING, "elapse", "CLOCK", _SILENCE, "EXPIRED", after="resolution"),
    ],
}

_P_WAITING_REASONS = "USER_REQUESTED ACCOUNT_CLOSURE FRAUD RFB_VALIDATION"
_P_CONFIRMED_REASONS = "FRAUD RECONCILIATION RFB_VALIDATION"
_O_REASONS = "USER_REQUESTED ACCOUNT_CLOSURE FRAUD"
_GONE = "remove_donor_entry"
_GONE_AT_ONCE = "remove_donor_entry completion_ends_now"
_BY_DONOR: dict[str, str] = {"after": "resolution", "on_behalf_of": "DONOR"}
_BY_CLAIMER: dict[str, str] = {"after": "possession", "on_behalf_of": "CLAIMER"}

#: The directory's own: seven days for the donor, silence has its answer by type, and an ownership
#: claim can still be stopped until its completion.
DICT: dict[str, Any] = {
    "code": "dict",
    "version": 1,
    "types": {
        "PORTABILITY": {
            "keys": ["CPF", "CNPJ", "PHONE", "EMAIL"],
            "without_key": False,
            "seconds": {"resolution": 7 * DAY},
        },
        "OWNERSHIP": {
            "keys": ["PHONE"],
            "without_key": False,
            "seconds": {"resolution": 7 * DAY, "completion": 7 * DAY, "possession": 30 * DAY},
        },
    },
    "same": {},
    "rows": [
        _row(_BOTH, "", "open", "CLAIMER", "", "OPEN", "create_claim"),
        _row(_BOTH, "OPEN", "acknowledge", "DONOR", "", _WAITING, "notify_donor"),
        # Portability: the donor confirms and the claimer completes at once; silence cancels.
        _row(
            _P, _WAITING, "confirm", "DONOR", "USER_REQUESTED ACCOUNT_CLOSURE", "CONFIRMED", _GONE
        ),
        _row(_P, "CONFIRMED", "complete", "CLAIMER", "", "COMPLETED", f"{_MADE} {_KEPT}"),
        _row(_P, _UNANSWERED, "cancel", "DONOR", "USER_REQUESTED FRAUD", "CANCELLED"),
        _row(_P, _UNANSWERED, "cancel", "DONOR", _SILENCE, "CANCELLED", after="resolution"),
        _row(_P, _UNANSWERED, "cancel", "CLAIMER", _P_WAITING_REASONS, "CANCELLED"),
        _row(_P, "OPEN", "cancel", "CLAIMER", "RECONCILIATION", "CANCELLED"),
        _row(_P, "CONFIRMED", "cancel", "CLAIMER", _P_CONFIRMED_REASONS, "CANCELLED"),
        _row(_P, _WAITING, "elapse", "CLOCK", _SILENCE, "CANCELLED", **_BY_DONOR),
        # Ownership: silence confirms; then the donor's user has until the completion's end.
        _row(_O, _WAITING, "confirm", "DONOR", "USER_REQUESTED", "CONFIRMED", _GONE_AT_ONCE),
        _row(_O, _WAITING, "confirm", "DONOR", _SILENCE, "CONFIRMED", _GONE, after="resolution"),
        _row(
            *(_O, "CONFIRMED", "complete", "CLAIMER", "", "COMPLETED", f"{_MADE} {_RESET}"),
            after="completion",
        ),
        _row(_O, _ACTIVE, "cancel", "DONOR", "FRAUD", "CANCELLED"),
        _row(_O, _ACTIVE, "cancel", "CLAIMER", _O_REASONS, "CANCELLED"),
        _row(_O, _ACTIVE, "cancel", "CLAIMER", _SILENCE, "CANCELLED", after="possession"),
        _row(_O, _WAITING, "elapse", "CLOCK", _SILENCE, "CONFIRMED", _GONE, **_BY_DONOR),
        _row(_O, "CONFIRMED", "elapse", "CLOCK", _SILENCE, "CANCELLED", **_BY_CLAIMER),
    ],
}

DOCUMENTS = (SOURCE, DICT)
