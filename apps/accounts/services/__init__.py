"""Services that write API keys, sessions, second factors and passwords."""

from apps.accounts.services.keys import (
    api_key_authenticate,
    api_key_create,
    api_key_refused,
    api_key_revoke,
)
from apps.accounts.services.passwords import password_change
from apps.accounts.services.second_factor import (
    recovery_codes_renew,
    second_factor_reset,
    second_factor_use,
    totp_activate,
    totp_counter,
    totp_remove,
)
from apps.accounts.services.separation_of_duties import password_apart
from apps.accounts.services.sessions import (
    session_begin,
    session_end,
    session_seen,
    sessions_end,
)

__all__ = [
    "api_key_authenticate",
    "api_key_create",
    "api_key_refused",
    "api_key_revoke",
    "password_apart",
    "password_change",
    "recovery_codes_renew",
    "second_factor_reset",
    "second_factor_use",
    "session_begin",
    "session_end",
    "session_seen",
    "sessions_end",
    "totp_activate",
    "totp_counter",
    "totp_remove",
]
