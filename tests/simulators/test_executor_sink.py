"""The executor simulator, as a process of its own over real HTTP."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from apps.simulators.__main__ import main
from deploy.local.processes import free_port
from tests.support import PLAIN, eventually

ROOT = Path(__file__).resolve().parents[2]
BODY = {"intervention_id": "i-1", "target": "Somebody", "amount": "5.00", "currency": "NGN"}


class Simulators:
    """`python -m apps.simulators`, started and stopped."""

    def __init__(self, effects: Path | None) -> None:
        self.effects = effects
        self.port = free_port()
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "apps.simulators", "--port", str(self.port)]
        if self.effects:
            words += ["--effects-file", str(self.effects)]
        self.process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: self.get("/health").status_code == 200, timeout=60)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def get(self, path: str, **query: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", params=query, verify=PLAIN)

    def post(self, path: str, body: Any = None, key: str = "") -> httpx2.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return httpx2.post(
            f"http://127.0.0.1:{self.port}/executor{path}",
            json=body,
            headers=headers,
            timeout=10,
            verify=PLAIN,
        )

    def count(self, key: str) -> dict[str, Any]:
        counts: dict[str, Any] = self.get("/executor/effects", key=key).json()
        return counts


@pytest.fixture(scope="module")
def one() -> Iterator[Simulators]:
    running = Simulators(None)
    yield running
    running.kill()


@pytest.fixture
def sink(one: Simulators) -> Simulators:
    one.post("/behaviour", {})
    return one


def test_one_key_has_one_effect_also_from_ten_at_once(sink: Simulators) -> None:
    sink.post("/behaviour", {"delay_seconds": 0.2})
    with ThreadPoolExecutor(10) as threads:
        calls = [threads.submit(sink.post, "/executions", BODY, "k-1") for _ in range(10)]
        receipts = {call.result().json()["receipt"] for call in calls}
    assert len(receipts) == 1
    counts = sink.count("k-1")
    assert (counts["requests"], counts["executions"]) == (10, 1)


def test_a_key_belongs_to_its_body(sink: Simulators) -> None:
    sink.post("/executions", BODY, "k-2")
    answer = sink.post("/executions", BODY | {"amount": "6.00"}, "k-2")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


def test_it_fails_as_often_as_told_before_or_after_the_effect(sink: Simulators) -> None:
    sink.post("/behaviour", {"fail_next": 1, "fail_status": 500})
    assert sink.post("/executions", BODY, "k-3").status_code == 500
    assert sink.count("k-3")["executions"] == 0
    sink.post("/behaviour", {"fail_next": 1, "fail_after_effect": True})
    assert sink.post("/executions", BODY, "k-3").status_code == 503
    assert sink.count("k-3")["executions"] == 1
    assert sink.post("/executions", BODY, "k-3").status_code == 200
    assert sink.count("k-3")["executions"] == 1


@pytest.mark.parametrize("by", ["receipt", "key"])
def test_an_execution_is_reversed_once_by_receipt_or_key(sink: Simulators, by: str) -> None:
    key = f"k-4-{by}"
    receipt = sink.post("/executions", BODY, key).json()["receipt"]
    name = receipt if by == "receipt" else key
    for _ in range(2):
        answer = sink.post(f"/executions/{name}/reversal", {}, "r")
        assert answer.json()["state"] == "reversed"
    assert sink.count(key)["reversals"] == 1
    assert sink.post("/executions", BODY, key).status_code == 409


def test_what_the_demonstration_tells_of_as_paid_is_reversed_and_not_voided(
    sink: Simulators,
) -> None:
    paid = "01940000-0000-7000-8000-000000000001"
    for _ in range(2):
        answer = sink.post(f"/executions/DEMO-{paid}/reversal", {}, "r")
        assert answer.json() == {"state": "reversed", "receipt": f"DEMO-{paid}"}
    counts = sink.count(f"{paid}:execute")
    assert (counts["executions"], counts["reversals"]) == (1, 1)
    assert sink.post("/executions/DEMO-nobody/reversal", {}, "r").json()["state"] == "voided"


def test_a_key_that_is_reversed_before_it_is_known_never_takes_effect(sink: Simulators) -> None:
    answer = sink.post("/executions/k-5%3Aexecute/reversal", {}, "r")
    assert answer.json() == {"state": "voided"}
    answer = sink.post("/executions", BODY, "k-5:execute")
    assert (answer.status_code, answer.json()["code"]) == (409, "voided")
    assert sink.count("k-5:execute")["executions"] == 0


def test_a_reversal_passes_a_call_that_is_still_on_its_way(sink: Simulators) -> None:
    sink.post("/behaviour", {"delay_seconds": 1})
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(sink.post, "/executions", BODY, "k-6")
        eventually(lambda: sink.count("k-6")["requests"] == 1)
        assert sink.post("/executions/k-6/reversal", {}, "r").json()["state"] == "voided"
        assert late.result().json()["code"] == "voided"
    assert sink.count("k-6")["executions"] == 0


def test_void_only_leaves_alone_what_took_effect(sink: Simulators) -> None:
    receipt = sink.post("/executions", BODY, "k-7").json()["receipt"]
    answer = sink.post("/executions/k-7/reversal", {"void_only": True}, "r")
    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["receipt"]) == ("executed", receipt)
    assert sink.count("k-7")["reversals"] == 0


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda s: s.post("/executions", BODY), 400),
        (lambda s: s.post("/executions", {"target": 5}, "k"), 422),
        (lambda s: s.post("/executions", [1], "k"), 400),
        (lambda s: s.post("/nowhere", {}, "k"), 404),
        (lambda s: s.get("/nowhere"), 404),
        (lambda s: s.post("/behaviour", {"unknown": 1}), 422),
        (lambda s: s.post("/behaviour", {"delay_seconds": -1}), 422),
        (lambda s: s.post("/behaviour", {"delay_seconds": "nan"}), 422),
        (lambda s: s.post("/behaviour", {"refuse_targets": 5}), 422),
    ],
)
def test_nonsense_gets_a_code_and_no_effect(
    sink: Simulators, call: Callable[[Simulators], httpx2.Response], status: int
) -> None:
    answer = call(sink)
    assert (answer.status_code, "code" in answer.json()) == (status, True)


def test_effects_in_a_file_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "effects.jsonl"
    sink = Simulators(file)
    receipt = sink.post("/executions", BODY, "k-1").json()["receipt"]
    sink.post("/executions/k-2/reversal", {}, "r")
    sink.kill()
    with file.open("a") as lines:
        lines.write('{"key": "k-3", "rece')
    sink.start()
    try:
        assert sink.count("k-1")["executions"] == 1
        assert sink.count("k-2")["void"] is True
        assert sink.post("/executions", BODY, "k-1").json()["receipt"] == receipt
        assert sink.count("k-1")["executions"] == 1
        sink.post("/executions", BODY, "k-4")
    finally:
        sink.kill()
    sink.start()
    try:
        assert sink.count("k-4")["executions"] == 1
    finally:
        sink.kill()


def test_it_is_refused_where_simulators_are_not_allowed(settings: Any) -> None:
    settings.SIMULATORS_ALLOWED = False
    with pytest.raises(SystemExit, match="refuse simulators"):
        main(["--port", "1"])
