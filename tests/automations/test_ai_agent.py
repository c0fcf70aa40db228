"""`ai_agent`: a question to a simulated OpenAI-compatible server."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from apps.automations.checking import issues_of
from apps.simulators.ai import AiSink
from apps.simulators.http import Answer
from tests.automations.drawing import graph, node
from tests.automations.effects import refused, told, tried
from tests.outbound.serving import http_answer, server
from tests.simulators.running import Recorder, running
from tests.support import PLAIN

KEY = "sk-live-0123456789abcdef"


@pytest.fixture
def ai(settings: Any) -> Iterator[AiSink]:
    sink = AiSink()
    with running({"ai": sink.answer}) as url:
        settings.AI_BASE_URL, settings.AI_API_KEY = f"{url}/ai/v1", KEY
        settings.AI_MODEL = "simulated-1"
        httpx2.post(f"{url}/ai/behaviour", json={"key": KEY}, verify=PLAIN)
        yield sink


def behave(settings: Any, **behaviour: Any) -> None:
    place = f"{settings.AI_BASE_URL.removesuffix('/v1')}/behaviour"
    httpx2.post(place, json={"key": KEY, **behaviour}, verify=PLAIN).raise_for_status()


def test_a_chat_is_answered_with_a_text(ai: AiSink) -> None:
    output = tried("ai_agent", prompt="Greet {{ params.who }} please", params={"who": "Zoë"})
    assert output == {"answer": "please Zoë Greet", "model": "simulated-1", "tokens": 6}


def test_a_question_may_be_any_value(ai: AiSink) -> None:
    output = tried("ai_agent", prompt="{{ inputs }}", inputs={"b": 1, "a": 2})
    assert output["answer"] == '{"a":2,"b":1}'


@pytest.mark.parametrize("fenced", [False, True])
def test_json_is_answered_with_a_value(ai: AiSink, settings: Any, fenced: bool) -> None:
    behave(settings, fenced=fenced)
    output = tried("ai_agent", agent_type="json", prompt="How many words")
    assert output["answer"] == {"question": "How many words", "words": 3}


@pytest.mark.parametrize("said", ["no JSON", "{", '{"a": NaN}', "", "[" * 5000, "```\n```"])
def test_what_is_not_json_is_asked_again(ai: AiSink, said: str) -> None:
    said = told("ai_agent", agent_type="json", prompt=f"Say: {said}")
    assert said == ("Unavailable", "answer_not_json")


def test_every_try_is_one_effect(ai: AiSink, settings: Any) -> None:
    behave(settings, fail_next=2)
    for _ in range(2):
        assert told("ai_agent", prompt="Hello") == ("Unavailable", "call_unavailable")
    assert tried("ai_agent", prompt="Hello")["answer"] == "Hello"
    assert ai.counted.told("exec-1:node") == {"key": "exec-1:node", "requests": 3, "effects": 1}


@pytest.mark.parametrize("prompt", ["{{ inputs.no }}", "{{ inputs.empty }}"])
def test_nothing_is_not_asked(ai: AiSink, prompt: str) -> None:
    said = told("ai_agent", prompt=prompt, inputs={"empty": ""})
    assert said == ("Invalid", "prompt_missing")
    assert ai.counted.told(None) == {"effects": {}}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "text",
        {"choices": []},
        {"choices": {"0": 1}},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": ["a"]}}]},
    ],
)
def test_an_answer_that_is_none_is_asked_for_again(settings: Any, answer: Any) -> None:
    recorder = Recorder()
    recorder.says = Answer(200, answer)
    with running({"ai": recorder.answer}) as url:
        settings.AI_BASE_URL = f"{url}/ai"
        assert told("ai_agent", prompt="Hello") == ("Unavailable", "answer_not_understood")


def test_a_server_may_leave_out_what_it_does_not_count(settings: Any) -> None:
    recorder = Recorder()
    recorder.says = Answer(200, {"choices": [{"message": {"content": "Hi"}}], "usage": None})
    with running({"ai": recorder.answer}) as url:
        settings.AI_BASE_URL, settings.AI_API_KEY, settings.AI_MODEL = f"{url}/ai", "", "small"
        output = tried("ai_agent", prompt="Hello")
    assert output == {"answer": "Hi", "model": "small", "tokens": None}
    (request,) = recorder.heard
    assert "authorization" not in request.headers
    assert request.json()["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_wrong_key_is_final_and_told_nowhere(ai: AiSink, settings: Any) -> None:
    """Servers repeat the key that they refuse."""
    settings.AI_API_KEY = "sk-wrong-0123456789"
    error = refused("ai_agent", prompt="Hello")
    assert error.code == "call_refused"
    assert "Incorrect API key provided: [secret]" in error.detail
    assert "0123456789" not in error.detail


def test_an_answer_that_repeats_the_key_is_told_without_it(ai: AiSink) -> None:
    output = tried("ai_agent", prompt=f"Say: it is {KEY}, or {json.dumps(KEY)}")
    assert output["answer"] == 'it is [secret], or "[secret]"'


def test_an_answer_that_is_too_large_is_final(settings: Any) -> None:
    with server(http_answer(b'{"a": "' + b"x" * 5_000_000)) as port:
        settings.AI_BASE_URL = f"http://127.0.0.1:{port}/v1"
        assert told("ai_agent", prompt="Hello") == ("Invalid", "output_too_large")


def test_a_redirect_takes_the_key_nowhere(settings: Any) -> None:
    recorder, other = Recorder(), Recorder()
    with running({"ai": recorder.answer, "other": other.answer}) as url:
        recorder.says = Answer(307, {}, headers={"location": f"{url}/other"})
        settings.AI_BASE_URL = f"{url}/ai"
        assert told("ai_agent", prompt="Hello") == ("Unavailable", "answer_not_understood")
    assert other.heard == []


@pytest.mark.parametrize("name", ["AI_BASE_URL", "AI_MODEL"])
def test_without_a_server_the_checker_says_so(ai: AiSink, settings: Any, name: str) -> None:
    definition = graph("a", a=node("ai_agent", prompt="Hello"))
    assert issues_of(definition) == []
    setattr(settings, name, "")
    assert told("ai_agent", prompt="Hello") == ("Invalid", "ai_not_configured")
    (issue,) = issues_of(definition)
    assert (issue.code, issue.node, issue.path) == ("ai_not_configured", "a", "/nodes/0")
