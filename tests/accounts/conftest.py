from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings

from apps.accounts import throttle
from apps.accounts.services import sessions
from tests.accounts.world import Phone, person_of


@pytest.fixture(autouse=True)
def _counters() -> Iterator[None]:
    """Failures of other tests do not count."""
    store = redis.Redis.from_url(settings.REDIS_URL)

    def forget() -> None:
        for key in store.scan_iter(f"{settings.LIVE_PREFIX}:throttle:*"):
            store.delete(key)
        throttle.reset()
        sessions._looked_at.clear()

    forget()
    yield
    forget()
    store.close()


@pytest.fixture
def person(db: None) -> Any:
    """Somebody who may sign in."""
    return person_of("amaka")


@pytest.fixture
def phone(person: Any) -> Phone:
    """The person's second factor."""
    return Phone.of(person)
