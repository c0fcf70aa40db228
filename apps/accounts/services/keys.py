"""API keys: create, revoke, authenticate. The secret is shown once and stored as a hash."""

import hashlib
import secrets
import string
from datetime import datetime, timedelta
from hmac import compare_digest

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts import throttle
from apps.accounts.models import APIKey, User
from apps.accounts.rate_limits import key_limit
from apps.accounts.scopes import registered
from apps.audit.contracts import Actor, Outcome
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, TooMany
from apps.common.language import filled
from apps.common.language import lazy as _

#: Marks our keys, so that a secret scanner finds one that leaked.
MARK = "csk"
PREFIX_LENGTH = 10
SECRET_BYTES = 32
#: Longer than any key of ours; anything beyond is not worth hashing.
LONGEST = 100
#: How old `last_used_at` may get: a write for every request would be the costliest part of it.
LAST_USED_EVERY = timedelta(minutes=1)

_ALPHABET = string.ascii_lowercase + string.digits
_NOBODYS_HASH = hashlib.sha256(b"nobody").hexdigest()


def api_key_create(
    *,
    user: User,
    name: str,
    scopes: list[str],
    by: Actor | None,
    expires_at: datetime | None = None,
    via: str = "command",
) -> tuple[APIKey, str]:
    """Make a key that acts for `user`; the second value is the key itself, shown this once.

    Raises Invalid: `name_required`, `unknown_scope` (lists the valid ones), `scope_required`,
    `expired`, `inactive_user`.
    """
    name = name.strip()
    record = {"action": "api_key.create", "subject_type": "user", "subject_id": str(user.pk)}
    with refusals(**record, by=by, via=via), transaction.atomic(durable=True):
        _check(user=user, name=name, scopes=scopes, expires_at=expires_at)
        prefix = "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH))
        secret = secrets.token_urlsafe(SECRET_BYTES)
        key = APIKey.objects.create(
            name=name,
            user=user,
            prefix=prefix,
            secret_hash=_hash(secret),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        entry_record(
            **record,
            by=by,
            via=via,
            body={
                "key": prefix,
                "name": name,
                "user": user.username,
                "scopes": key.scopes,
                "expires_at": expires_at,
            },
        )
    return key, f"{MARK}_{prefix}_{secret}"


def api_key_revoke(*, key: APIKey, by: Actor | None, via: str = "command") -> APIKey:
    """Revoke a key at once and for good. Raises Conflict `already_revoked`."""
    record = {
        "action": "api_key.revoke",
        "subject_type": "user",
        "subject_id": str(key.user_id),
    }
    with refusals(**record, by=by, via=via), transaction.atomic(durable=True):
        locked = APIKey.objects.select_for_update().get(pk=key.pk)
        if locked.revoked_at is not None:
            raise Conflict(_("The key is revoked already."), code="already_revoked")
        locked.revoked_at = timezone.now()
        locked.save(update_fields=["revoked_at"])
        entry_record(**record, by=by, via=via, body={"key": locked.prefix, "name": locked.name})
    return locked


def api_key_authenticate(*, presented: str, as_of: datetime) -> APIKey | None:
    """Return the key with its active user; None if it is unknown, wrong, revoked or expired.

    Takes as long for an unknown prefix as for a wrong secret. Notes the use, once a minute.
    """
    parts = presented.split("_", 2) if len(presented) <= LONGEST else []
    if len(parts) != 3 or parts[0] != MARK or not presented.isascii() or "\0" in presented:
        return None
    key = APIKey.objects.select_related("user").filter(prefix=parts[1]).first()
    matches = compare_digest(key.secret_hash if key else _NOBODYS_HASH, _hash(parts[2]))
    if key is None or not matches or not key.usable(as_of) or not key.user.is_active:
        return None
    _note_use(key, as_of)
    return key


def api_key_refused(*, presented: str, address: str) -> None:
    """Count a refused key against the address's rate limit and audit it, never the key itself.

    The entry names the key and its user if the prefix is known. Raises TooMany beyond the limit; of
    those only the first is audited. Valid keys are never counted: many programs may share an
    address, and 256 random bits cannot be guessed.
    """
    refused = throttle.consume(key_limit(address=address))
    if refused is None or refused.first:
        parts = presented.split("_", 2) if len(presented) <= LONGEST else []
        known = (
            APIKey.objects.filter(prefix=parts[1]).first()
            if len(parts) == 3 and presented.isascii() and "\0" not in presented
            else None
        )
        entry_record(
            action="api_key.use",
            subject_type="user",
            subject_id=known.user_id if known else "",
            by=None,
            via="api",
            outcome=Outcome.REFUSED,
            code=TooMany.code if refused else "bad_key",
            body={"key": known.prefix if known else "(nobody's)", "address": address},
        )
    if refused:
        raise TooMany(_("Too many wrong keys from here."), retry_after=refused.retry_after)


def _note_use(key: APIKey, as_of: datetime) -> None:
    due = as_of - LAST_USED_EVERY
    if key.last_used_at is None or key.last_used_at <= due:
        # Conditional: of many requests at once one writes.
        APIKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lte=due), pk=key.pk).update(
            last_used_at=as_of
        )


def _check(*, user: User, name: str, scopes: list[str], expires_at: datetime | None) -> None:
    if not name or len(name) > 80 or "\0" in name:
        raise Invalid(_("A key needs a name of at most 80 characters."), code="name_required")
    if not scopes:
        raise Invalid(_("A key needs a scope."), code="scope_required", valid=registered())
    if unknown := sorted(set(scopes) - set(registered())):
        raise Invalid(
            filled(
                _("Unknown scope: {unknown}. Valid: {registered}."),
                unknown=", ".join(unknown),
                registered=", ".join(registered()),
            ),
            code="unknown_scope",
            valid=registered(),
        )
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(_("The key would have expired already."), code="expired")
    if not user.is_active:
        raise Invalid(
            filled(_("{username} is not active."), username=user.username), code="inactive_user"
        )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
