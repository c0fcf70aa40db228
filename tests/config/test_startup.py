"""The garbage collector pauses while code is loaded, and only then."""

import gc
import importlib
import sys

import pytest

import manage


def test_a_management_command_runs_with_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate", "--help"])
    with pytest.raises(SystemExit) as ended:
        manage.main()
    assert ended.value.code == 0
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_the_web_process_serves_with_the_collector() -> None:
    importlib.import_module("config.asgi")
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
