"""What of another program's answer is a refusal, and what is sent with a call."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.common.errors import Unavailable
from apps.outbound.calls import Caller, Refused
from apps.simulators.http import Answer
from tests.simulators.running import Recorder, running


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Recorder]]:
    recorder = Recorder()
    with running({"it": recorder.answer}) as url:
        yield f"{url}/it", recorder


def envelope(status: int, answer: dict[str, Any]) -> dict[str, Any] | None:
    """A protocol in which `ok` is false where the other side says no."""
    return {"code": "no", "detail": answer["why"]} if answer.get("ok") is False else None


def outcome(served: tuple[str, Recorder], status: int, answer: Any, **options: Any) -> str:
    """`answered`, `refused CODE` or `unknown`, the same of both kinds of call."""
    url, recorder = served
    recorder.says = Answer(status, answer)
    caller = Caller("ledger", url, seconds=5, code="ledger_unavailable", **options)
    said = set()
    for call in (lambda: caller.post("/x", key="k", body={}), lambda: caller.get("/x")):
        try:
            said.add("answered" if call() == answer else "other")
        except Refused as no:
            said.add(f"refused {no.code} {no.reason}")
        except Unavailable as no:
            assert no.code == "ledger_unavailable"
            said.add("unknown")
    (one,) = said
    return one


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"a": 1}, "answered"),
        (200, {"code": "x"}, "answered"),
        (422, {"code": "bad", "detail": "No."}, "refused bad No."),
        (422, {"detail": "No."}, "unknown"),
        (404, {}, "unknown"),
        (429, {"code": "slow"}, "unknown"),
        (503, {"code": "down"}, "unknown"),
        (302, {"code": "elsewhere"}, "unknown"),
    ],
)
def test_a_refusal_is_a_4xx_with_a_code(
    served: tuple[str, Recorder], status: int, answer: Any, said: str
) -> None:
    assert outcome(served, status, answer) == said


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"ok": True}, "answered"),
        (200, {"ok": False, "why": "No."}, "refused no No."),
        (400, {"ok": False, "why": "No."}, "refused no No."),
        (400, {"code": "bad"}, "unknown"),
        (429, {"ok": False, "why": "Slow."}, "unknown"),
    ],
)
def test_a_program_may_say_no_in_a_way_of_its_own(
    served: tuple[str, Recorder], status: int, answer: Any, said: str
) -> None:
    assert outcome(served, status, answer, refusal=envelope) == said


def test_headers_of_the_caller_go_with_every_call_and_more_with_one(
    served: tuple[str, Recorder],
) -> None:
    url, recorder = served
    recorder.says = Answer(200, {})
    recorder.heard.clear()
    caller = Caller("ledger", url, seconds=5, code="x", headers={"Authorization": "Bearer s"})
    caller.post("/x", key="k", body={}, headers={"X-Activity-ID": "7"})
    caller.get("/x")
    sent = [
        [
            request.headers.get(name)
            for name in ("authorization", "idempotency-key", "x-activity-id")
        ]
        for request in recorder.heard
    ]
    assert sent == [["Bearer s", "k", "7"], ["Bearer s", None, None]]
