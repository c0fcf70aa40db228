"""The simulated AI server and the echo, as a process of their own over real HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.simulators.test_executor_sink import Simulators
from tests.support import PLAIN

ASK = {"model": "m", "messages": [{"role": "user", "content": "one two"}]}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulators]:
    running = Simulators(tmp_path_factory.mktemp("kept") / "effects.jsonl")
    yield running
    running.kill()


def send(one: Simulators, path: str, body: Any = None, key: str = "k") -> httpx2.Response:
    return httpx2.post(
        f"http://127.0.0.1:{one.port}{path}",
        json=body,
        headers={"Idempotency-Key": key},
        timeout=30,
        verify=PLAIN,
    )


def test_the_answer_follows_from_the_question(one: Simulators) -> None:
    answers = [send(one, "/ai/v1/chat/completions", ASK).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["choices"][0]["message"]["content"] == "two one"
    assert answers[0]["usage"]["total_tokens"] == 4
    assert send(one, "/ai/v1/chat/completions", {}).status_code == 400
    assert send(one, "/ai/v1/models", {}).status_code == 404


def test_it_fails_as_often_as_told_before_or_after_the_effect(one: Simulators) -> None:
    path, effects = "/ai/v1/chat/completions", "/ai/effects"
    send(one, "/ai/behaviour", {"fail_next": 1, "fail_status": 500})
    assert send(one, path, ASK, "k-1").status_code == 500
    assert one.get(effects, key="k-1").json() == {"key": "k-1", "requests": 1, "effects": 0}
    send(one, "/ai/behaviour", {"fail_next": 1, "fail_after_effect": True})
    assert send(one, path, ASK, "k-1").status_code == 503
    assert send(one, path, ASK, "k-1").status_code == 200
    assert one.get(effects, key="k-1").json() == {"key": "k-1", "requests": 3, "effects": 1}
    send(one, "/ai/behaviour", {"down": True})
    assert send(one, path, ASK, "k-2").status_code == 503
    send(one, "/ai/behaviour", {"senseless": True})
    assert "choices" not in send(one, path, ASK, "k-2").json()
    assert send(one, "/ai/behaviour", {"sense": 1}).status_code == 422
    assert one.get("/ai/behaviour").json()["senseless"] is True
    send(one, "/ai/behaviour", {})


def test_the_echo_answers_what_it_was_sent_and_as_it_was_told(one: Simulators) -> None:
    echo = send(one, "/echo/a%2Fb/c?x=1&y=%C3%BC", {"n": 1}).json()
    assert (echo["method"], echo["path"], echo["query"]) == ("POST", "a/b/c", {"x": "1", "y": "ü"})
    assert (echo["json"], echo["headers"]["idempotency-key"]) == ({"n": 1}, "k")
    assert len(send(one, "/echo?size=5000000").content) == 5_000_000
    moved = send(one, "/echo?status=302&location=http://elsewhere/")
    assert (moved.status_code, moved.headers["location"]) == (302, "http://elsewhere/")
    statuses = [send(one, "/echo?status=503&times=2", key="e").status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert one.get("/echo-counts", key="e").json() == {"key": "e", "requests": 3, "effects": 1}
    began = time.monotonic()
    send(one, "/echo?delay=0.3")
    assert time.monotonic() - began >= 0.3
    for query in ("delay=x", "delay=-1", "status=1000", "size=999999999"):
        assert send(one, f"/echo?{query}").status_code == 422


def test_counts_survive_a_kill(one: Simulators) -> None:
    send(one, "/echo", key="kept")
    send(one, "/ai/v1/chat/completions", ASK, "kept")
    one.kill()
    one.start()
    for path in ("/echo-counts", "/ai/effects"):
        assert one.get(path, key="kept").json() == {"key": "kept", "requests": 1, "effects": 1}
        assert one.get(path).json()["effects"]["kept"] == {"requests": 1, "effects": 1}
    assert Path(one.effects or "").with_name("effects-echo.jsonl").exists()
