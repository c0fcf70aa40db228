"""Redis that can be done without: asked, left alone after a failure, asked again."""

from typing import Any

import pytest

from apps.common.breaker import Breaker
from apps.common.redis import CALL_SECONDS, GuardedRedis, RedisAway
from deploy.local.processes import free_port
from tests.support import within


def test_it_is_asked_and_answers_with_text(settings: Any) -> None:
    redis, key = GuardedRedis("away"), f"{settings.LIVE_PREFIX}:guarded"
    assert redis.ask(lambda client: client.set(key, "é", ex=9)) is True
    assert redis.ask(lambda client: client.get(key)) == "é"


@pytest.mark.parametrize("address", ["redis://127.0.0.1:{port}/0", "redis://192.0.2.1:6379/0", "x"])
def test_away_it_costs_one_question_and_one_line_in_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    here, settings.REDIS_URL = settings.REDIS_URL, address.format(port=free_port())
    redis = GuardedRedis("nobody is shown")
    with within(CALL_SECONDS + 1):
        for _ in range(100):
            with pytest.raises(RedisAway):
                redis.ask(lambda client: client.ping())
    assert caplog.text.count("nobody is shown") == 1
    # Another server, or the same one of which others know that it is back.
    settings.REDIS_URL = here
    assert redis.ask(lambda client: client.ping()) is True


def test_a_breaker_closes_after_its_time_and_tells_places_apart() -> None:
    breaker = Breaker(60)
    breaker.trip("a")
    assert (breaker.is_open("a"), breaker.is_open("b")) == (True, False)
    breaker.reset()
    assert not breaker.is_open("a")
    brief = Breaker(0)
    brief.trip()
    assert not brief.is_open()
