"""What PostgreSQL refuses, as errors with stable codes."""

import psycopg

from apps.common.errors import DomainError, Invalid, NotAllowed, Unavailable
from apps.common.language import filled
from apps.common.language import lazy as _

#: Classes and codes of SQLSTATE after which another try may succeed: a connection that is gone, two
#: transactions in each other's way, a lock that somebody holds, a server short of memory, of disk
#: or of connections, or one that is shut down.
_PASSING = ("08", "40", "53", "57P0", "55P03")
#: Within class 53: what the role itself may not exceed.
_LIMIT = "53400"
_FORBIDDEN = "42501"
LONGEST = 500


def refusal_of(error: psycopg.Error) -> DomainError:
    """Return the error of a statement as a refusal, with PostgreSQL's primary message: its detail
    would quote the row that it refuses."""
    state = error.sqlstate or ""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return timed_out()
    lost = not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if lost or (state.startswith(_PASSING) and state != _LIMIT):
        return unavailable()
    said = filled(
        _("PostgreSQL refuses it ({state}): {message}"),
        state=state or _("no code"),
        message=(error.diag.message_primary or str(error))[:LONGEST],
    )
    if state == _FORBIDDEN:
        return NotAllowed(said, code="database_not_permitted", sqlstate=state)
    return Invalid(said, code="database_refused", sqlstate=state)


def unavailable() -> Unavailable:
    """Return the refusal of a server that does not answer, or not now."""
    return Unavailable(
        _("The database of automations does not answer."), code="database_unavailable"
    )


def timed_out() -> Unavailable:
    """Return the refusal of what takes too long."""
    return Unavailable(_("The query takes too long."), code="database_timeout")


def cut_off() -> Unavailable:
    """Return the refusal of what was stopped."""
    return Unavailable(_("The query was cut off."), code="cut_off")
