"""Scopes of API keys. Each app registers its own in `AppConfig.ready()`.

A scope limits what a key may be used for. It narrows the user's permissions, never adds to them.
"""

from collections.abc import Iterable

from apps.common.registry import Registry

#: Everything that the person may do; a signed-in session has it.
ALL = "all"

_scopes = Registry[str]("scope")


def register(scopes: Iterable[str]) -> None:
    """Make the scopes known: a key can only be given known ones."""
    for scope in scopes:
        _scopes.add(str(scope), str(scope))


def registered() -> list[str]:
    """Every scope, by name."""
    return sorted(_scopes.values())


register([ALL])
