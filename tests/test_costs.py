"""The table of budgets is whole, and what a session took is told of."""

import re
from pathlib import Path

import pytest

from tests import costs
from tests.costs import Costs

TESTS = Path(__file__).parent


def test_the_rooms_of_the_core_have_their_budgets_within_ten_minutes() -> None:
    there = {path.parent.name for path in TESTS.glob("*/test_*.py")} | {"tests"}
    assert set(costs.ROOMS) - there == set()
    assert sum(costs.ROOMS.values()) <= costs.CORE_BUDGET


def test_make_test_has_as_many_workers() -> None:
    recipe = (TESTS.parent / "Makefile").read_text()
    assert re.findall(r"pytest -n (\d+) --dist loadgroup", recipe) == [str(costs.WORKERS)]


def test_a_session_names_its_dearest_tests_and_rooms() -> None:
    session = Costs()
    for seconds in (1.0, 30.0, 0.5):
        session.add("tests/engine/test_outbox.py::test_one[a@b]@some group", seconds)
    session.add("tests/test_costs.py::test_two", 2.0)
    for number in range(20):
        session.add(f"tests/web/test_runs.py::test_{number}", 0.1)
    told = session.told()
    assert told[0] == "   31.5  tests/engine/test_outbox.py::test_one[a@b]"
    assert len([line for line in told if "::" in line]) == 10
    assert f"    2.0  of {costs.ROOMS['web']}: web" in told
    assert f"    2.0  of {costs.ROOMS['tests']}: tests" in told
    assert told[-1] == "   35.5  all tests"
    assert session.passed() == []


def test_a_budget_that_is_passed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(costs, "APPS", tmp_path)
    (tmp_path / "payments").mkdir()
    session = Costs()
    session.add("tests/payments/test_api.py::test_one", 721.0)
    assert session.passed() == ["payments took 721 of 720 worker-seconds"]
    session.add("tests/web/test_runs.py::test_one", 2401.0)
    session.add("tests/tiny/test_runs.py::test_one", 21.0)
    said = session.passed()
    assert f"web took 2401 of {costs.ROOMS['web']} worker-seconds" in said
    assert "tiny took 21 of 20 worker-seconds" in said
    assert said[-1] == f"the core took 2422 of {costs.CORE_BUDGET} worker-seconds"
