"""What the console adds to the shared parts of the site."""

from apps.accounts import scopes
from apps.console.scopes import Scope


def register() -> None:
    """Called once, when Django is ready."""
    scopes.register(Scope)
