"""Which way things may look, where a rule names modules and not whole packages.

The Temporal sandbox does not catch a workflow that queries the ORM; this does.
"""

import ast
import sys
from pathlib import Path

import pytest

from deploy.local.stack import ROOT

WORKFLOWS = sorted((ROOT / "workers" / "workflows").glob("[!_]*.py"))
CONTRACTS = sorted((ROOT / "apps").glob("*/contracts.py"))
APPS = sorted(path.name for path in (ROOT / "apps").iterdir() if (path / "apps.py").exists())


def imports(path: Path) -> set[str]:
    """Every module that the file names in an import, as far as it names it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parts[: -node.level]
                base = ".".join([*package, *filter(None, [base])])
            # `from apps.engine import models` names a module in its last word.
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def may_be_in_a_workflow(module: str) -> bool:
    words = module.split(".")
    if words[0] == "temporalio" or words[0] in sys.stdlib_module_names:
        return True
    if words[:2] == ["workers", "local"] or module == "workers":
        return True
    if words[0] == "apps":
        return len(words) < 3 or words[2] in {"contracts", "activities"}
    return False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_imports_only_what_is_deterministic_or_passed_through(path: Path) -> None:
    assert sorted(m for m in imports(path) if not may_be_in_a_workflow(m)) == []


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.parent.name)
def test_contracts_import_the_standard_library_and_other_contracts(path: Path) -> None:
    def plain(module: str) -> bool:
        words = module.split(".")
        return (
            words[0] in sys.stdlib_module_names
            or module == "apps"
            or (words[0] == "apps" and (len(words) == 2 or words[2] == "contracts"))
        )

    assert sorted(m for m in imports(path) if not plain(m)) == []


@pytest.mark.parametrize("package", ["apps", "workers", "workers/workflows"])
def test_a_package_marker_is_empty_where_lists_would_break_the_sandbox(package: str) -> None:
    assert (ROOT / package / "__init__.py").read_text().strip() == ""


def test_our_runworker_wins_over_the_one_of_channels() -> None:
    from django.core.management import get_commands

    assert get_commands()["runworker"] == "workers"


def test_there_are_apps_and_contracts_to_look_at() -> None:
    assert {"audit", "engine", "interventions"} <= set(APPS)
    assert CONTRACTS
