"""Secrets of automations: given by operators, bound to hosts, and hidden wherever they come back.

`AUTOMATION_SECRET_<NAME>` is the value, `AUTOMATION_SECRET_<NAME>_HOSTS` lists the hosts that it
may be sent to: whoever may write an automation must not be able to send it home. Expressions read
one as `secrets.NAME`, whole (`apps.automations.expressions.paths`).
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from re import Pattern
from typing import Any

from django.conf import settings

from apps.automations import spellings
from apps.common.errors import DomainError, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.outbound.addresses import host_name

HIDDEN = "[secret]"
#: Shorter values could be found, and would be hidden, in half of all answers.
SHORTEST = 8


class Secrets(Mapping[str, str]):
    """The secrets of one try. Read by name only: all together they are none."""

    def __init__(self) -> None:
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Return the value. Raises Invalid `secret_unknown`, `secret_too_short`."""
        if name not in settings.AUTOMATION_SECRETS:
            raise Invalid(filled(_("There is no secret {name}."), name=name), code="secret_unknown")
        value: str = settings.AUTOMATION_SECRETS[name][0]
        if len(value) < SHORTEST:
            raise Invalid(
                filled(
                    _("The secret {name} has less than {shortest} characters."),
                    name=name,
                    shortest=SHORTEST,
                ),
                code="secret_too_short",
            )
        self._read.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def check_host(self, host: str, port: int) -> None:
        """Raise Invalid `secret_not_for_host` if one that was read may not be sent there."""
        host = host_name(host)
        for name in sorted(self._read):
            if settings.AUTOMATION_SECRETS[name][1].isdisjoint({host, f"{host}:{port}"}):
                raise Invalid(
                    filled(
                        _("The secret {name} may not be sent to {host}: see {variable}."),
                        name=name,
                        host=self.hidden(host),
                        variable=f"AUTOMATION_SECRET_{name}_HOSTS",
                    ),
                    code="secret_not_for_host",
                )

    def hidden(self, value: Any) -> Any:
        """Return the JSON value without secrets, however they are spelled: those that were read,
        and all others, because another program may answer what it was sent before."""
        pattern = _pattern(tuple(_values()))
        if pattern is None:
            return value
        written = json.dumps(value, ensure_ascii=False, default=str)
        return _without(pattern, value) if pattern.search(written) else value

    def hidden_in(self, error: DomainError) -> DomainError:
        """Return the error without secrets in its text; the same error if there is none in it."""
        text = error.recorded
        if (told := self.hidden(text)) == text:
            return error
        return type(error)(told, code=error.code)


def _values() -> Iterator[str]:
    given = [value for value, _hosts in settings.AUTOMATION_SECRETS.values()]
    for value in {*given, settings.AI_API_KEY, *settings.AUTOMATIONS_WEBHOOK_SECRETS}:
        if len(value) >= SHORTEST:
            yield value


@lru_cache(maxsize=4)
def _pattern(values: tuple[str, ...]) -> Pattern[str] | None:
    return spellings.pattern_of(values) if values else None


def _without(pattern: Pattern[str], value: Any) -> Any:
    if isinstance(value, str):
        return pattern.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {_without(pattern, k): _without(pattern, v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without(pattern, one) for one in value]
    if isinstance(value, int | float) and pattern.search(json.dumps(value)):
        return HIDDEN
    return value
