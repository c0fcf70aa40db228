"""The second factor: an authenticator app, and recovery codes for a lost phone.

The rows, and how codes are stored, hashed and matched, are allauth's. Whether a code was used
already is decided here, in the database and under a lock.
"""

from datetime import datetime
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.db import transaction
from django.utils.translation import gettext

from apps.accounts import crypto, throttle
from apps.accounts.models import User
from apps.accounts.rate_limits import code_limit
from apps.accounts.services.separation_of_duties import second_factor_apart
from apps.accounts.services.sessions import sessions_end
from apps.accounts.signals import account_touched
from apps.audit.contracts import Actor, Outcome
from apps.audit.services import entry_record, refusals
from apps.common.correlation import get_logger
from apps.common.errors import Conflict, Invalid, NotAllowed, TooMany
from apps.common.language import lazy as _

log = get_logger(__name__)

TOTP_TYPE = Authenticator.Type.TOTP
CODES_TYPE = Authenticator.Type.RECOVERY_CODES


def totp_counter(*, secret: str, code: str, as_of: datetime, after: int = -1) -> int | None:
    """The time step that the code belongs to, if it is valid then and later than `after`."""
    step = int(as_of.timestamp()) // mfa_settings.TOTP_PERIOD
    tolerance = mfa_settings.TOTP_TOLERANCE
    for counter in range(step - tolerance, step + tolerance + 1):
        expected = format_hotp_value(hotp_value(secret, counter))
        if compare_user_code(actual=code, expected=expected) and counter > after:
            return counter
    return None


def totp_activate(
    *, user: User, secret: str, code: str, as_of: datetime, keep: str | None, by: Actor, via: str
) -> None:
    """Add the authenticator app that knows `secret`, with recovery codes; end other sessions.

    The other sessions were opened with a password alone; `keep` is the key of the one that stays.
    The code counts as used. Raises Conflict `second_factor_exists`, NotAllowed `incorrect_code`,
    TooMany.
    """
    record = _record("mfa.add", user, by, via)
    limit = _counted(user, record)
    with refusals(**record), transaction.atomic(durable=True):
        User.objects.select_for_update().get(pk=user.pk)
        if Authenticator.objects.filter(user=user, type=TOTP_TYPE).exists():
            raise Conflict(_("There is a second factor already."), code="second_factor_exists")
        counter = totp_counter(secret=secret, code=code, as_of=as_of)
        if counter is None:
            raise _incorrect()
        row = TOTP.activate(user, secret).instance
        row.data["last_counter"] = counter
        row.save(update_fields=["data"])
        RecoveryCodes.activate(user)
        entry_record(**record, body={"kind": "totp"})
        sessions_end(user=user, by=by, via=via, keep=keep, why="a second factor was added")
    throttle.give_back(limit)


def second_factor_use(*, user: User, code: str, as_of: datetime, via: str) -> Authenticator:
    """Accept a code of the app or a recovery code, each once; returns the row it belongs to.

    Of two simultaneous calls with the same code one is accepted. An app's code is also refused once
    a later one was used. Raises NotAllowed `incorrect_code`, TooMany.
    """
    record = _record("mfa.use", user, user, via)
    limit = _counted(user, record)
    with refusals(**record), transaction.atomic(durable=True):
        rows = {
            row.type: row
            for row in Authenticator.objects.select_for_update()
            .filter(user=user, type__in=(TOTP_TYPE, CODES_TYPE))
            .order_by("pk")
        }
        found = _matched(rows, code, as_of)
        if found is None:
            raise _incorrect()
        entry_record(**record, body=_used(found))
    throttle.give_back(limit)
    return found


def recovery_codes_renew(*, user: User, by: Actor, via: str) -> None:
    """Replace the recovery codes; old ones stop working. Raises Conflict `no_second_factor`."""
    record = _record("mfa.recovery_codes", user, by, via)
    with refusals(**record), transaction.atomic(durable=True):
        User.objects.select_for_update().get(pk=user.pk)
        if not Authenticator.objects.filter(user=user, type=TOTP_TYPE).exists():
            raise _none_there()
        Authenticator.objects.filter(user=user, type=CODES_TYPE).delete()
        codes = RecoveryCodes.activate(user)
        entry_record(**record, body={"left": len(codes.get_unused_codes())})


def totp_remove(*, user: User, by: Actor, via: str) -> None:
    """Remove the person's app and recovery codes. Raises Conflict `no_second_factor`."""
    record = _record("mfa.remove", user, by, via)
    with refusals(**record), transaction.atomic(durable=True):
        _all_removed(user)
        entry_record(**record)


def second_factor_reset(*, user: User, by: Actor, reason: str, via: str) -> None:
    """Remove the second factor of a user who lost the phone, and end all their sessions.

    Refused for one's own (the security page removes that, with a code) and to whoever changed the
    user's password within the last day. The user is notified. Raises Invalid `reason_required`,
    NotAllowed `own_second_factor`, `second_person_needed`, Conflict `no_second_factor`.
    """
    record = _record("mfa.reset", user, by, via)
    with refusals(**record), transaction.atomic(durable=True):
        if not reason.strip():
            raise Invalid(_("Say why the second factor is removed."), code="reason_required")
        if by.audit_id == user.audit_id:
            raise NotAllowed(
                _("Somebody else has to remove your second factor."), code="own_second_factor"
            )
        second_factor_apart(user=user, by=by)
        _all_removed(user)
        entry = entry_record(**record, body={"reason": reason.strip()})
        account_touched.send(
            sender=User,
            user=user,
            key=f"account:{entry.pk}",
            title=gettext("Your second factor was removed"),
            text=gettext(
                "{by} removed it. Your next sign-in needs the password alone. If you did "
                "not ask for this, tell whoever keeps the accounts at once."
            ).format(by=by),
        )
        sessions_end(user=user, by=by, via=via, why="the second factor was removed")


def _matched(rows: dict[str, Authenticator], code: str, as_of: datetime) -> Authenticator | None:
    """Lock the row that the code belongs to and mark the code as used."""
    try:
        if (app := rows.get(TOTP_TYPE)) is not None:
            secret = crypto.decrypted(app.data["secret"])
            last = app.data.get("last_counter", -1)
            counter = totp_counter(secret=secret, code=code, as_of=as_of, after=last)
            if counter is not None:
                app.data["last_counter"] = counter
                app.save(update_fields=["data"])
                return app
        codes = rows.get(CODES_TYPE)
        # allauth's own way of marking a code; the row is locked here.
        if codes is not None and (wrapped := codes.wrap()).validate_code(code):
            marked: Authenticator = wrapped.instance
            return marked
    except crypto.InvalidToken:
        log.error("second_factor_unreadable", hint="was SECRET_KEY changed without a fallback?")
    return None


def _used(row: Authenticator) -> dict[str, Any]:
    if row.type == CODES_TYPE:
        return {"kind": "recovery code", "left": len(row.wrap().get_unused_codes())}
    return {"kind": "totp"}


def _counted(user: User, record: dict[str, Any]) -> throttle.Limit:
    """Count a try. Raises TooMany beyond the limit; the first of those is audited."""
    limit = code_limit(user_id=user.pk)
    if refused := throttle.consume(limit):
        if refused.first:
            entry_record(
                **record,
                outcome=Outcome.REFUSED,
                code=TooMany.code,
                body={"limit": limit.name, "seconds": refused.retry_after},
            )
        raise TooMany(_("Too many wrong codes. Wait a little."), retry_after=refused.retry_after)
    return limit


def _all_removed(user: User) -> None:
    User.objects.select_for_update().get(pk=user.pk)
    if not Authenticator.objects.filter(user=user).delete()[0]:
        raise _none_there()


def _record(action: str, user: User, by: Actor, via: str) -> dict[str, Any]:
    return {
        "action": action,
        "subject_type": "user",
        "subject_id": user.pk,
        "by": by,
        "via": via,
    }


def _incorrect() -> NotAllowed:
    return NotAllowed(_("The code is wrong or was used already."), code="incorrect_code")


def _none_there() -> Conflict:
    return Conflict(_("There is no second factor."), code="no_second_factor")
