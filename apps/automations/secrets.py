"""Secrets of automations: from the environment, bound to hosts, and hidden wherever they come back.

`AUTOMATION_SECRET_<NAME>` is the value, `AUTOMATION_SECRET_<NAME>_HOSTS` the hosts it may be sent
to: whoever may write an automation must not be able to send it home.
"""

import base64
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

PREFIX, HOSTS = "AUTOMATION_SECRET_", "_HOSTS"
HIDDEN = "[secret]"
#: Shorter values would be replaced in half of every answer.
SHORTEST = 8


class Secrets(Mapping[str, str]):
    """The secrets as expressions read them; what was read is hidden later."""

    def __init__(self) -> None:
        self._used: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        value = os.environ.get(f"{PREFIX}{name}")
        if value is None or name.endswith(HOSTS):
            raise KeyError(name)
        self._used[name] = value
        return value

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def check_hosts(self, url: str) -> None:
        """Raise Invalid `secret_not_for_host` if one that was read may not be sent there."""
        host = (urlsplit(url).hostname or "").lower()
        for name in self._used:
            allowed = os.environ.get(f"{PREFIX}{name}{HOSTS}", "").lower().replace(",", " ").split()
            if host not in allowed:
                raise Invalid(
                    filled(_("The secret {name} may not be sent to {host}."), name=name, host=host),
                    code="secret_not_for_host",
                )

    def hidden(self, value: Any) -> Any:
        """Return the JSON value without the secrets that were read, however they are written."""
        forms = sorted({f for v in self._used.values() for f in _forms(v)}, key=len, reverse=True)
        return _without(value, forms) if forms else value


def _forms(value: str) -> Iterator[str]:
    if len(value) < SHORTEST:
        return
    yield from (value, quote(value, safe=""), quote(value), quote_plus(value))
    raw = value.encode()
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        # Within a longer text base64 begins at any of three places.
        for before in range(3):
            coded = code(b"\0" * before + raw).decode().rstrip("=")
            yield coded[(0, 2, 3)[before] : len(coded) - 1]


def _without(value: Any, forms: list[str]) -> Any:
    if isinstance(value, str):
        for one in forms:
            value = value.replace(one, HIDDEN)
        return value
    if isinstance(value, dict):
        return {_without(k, forms): _without(v, forms) for k, v in value.items()}
    return [_without(v, forms) for v in value] if isinstance(value, list) else value
