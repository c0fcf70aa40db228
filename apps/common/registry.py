"""Registries that apps fill in `AppConfig.ready()`, so that shared code imports no domain."""

from typing import Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


class Registry(Generic[T]):
    """Values by key, in the order of registration. `noun` names a value in errors."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._values: dict[str, T] = {}

    def add(self, key: str, value: T) -> None:
        """Register the value; the same value again changes nothing.

        Raises ImproperlyConfigured when the key is taken by another value.
        """
        if self._values.setdefault(key, value) != value:
            raise ImproperlyConfigured(f"the {self._noun} {key!r} is registered twice")

    def get(self, key: str) -> T | None:
        """Return the value of that key, or None."""
        return self._values.get(key)

    def by_key(self) -> dict[str, T]:
        """Return a copy of all values by key, in the order of registration."""
        return dict(self._values)

    def values(self) -> list[T]:
        """Return all values, in the order of registration."""
        return list(self._values.values())
