"""What may look at what. The Temporal sandbox does not notice a workflow that queries the ORM."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from temporalio.common import VersioningBehavior

from apps.approvals.activities.signed_runs import RunActivities
from workers.registry import QUEUES

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / "workers" / "workflows").glob("*.py"))
ACTIVITIES = sorted([*ROOT.glob("apps/*/activities.py"), *ROOT.glob("apps/*/activities/*.py")])
#: What workflows may import of `workers`: deterministic themselves.
HELPERS = (
    "workers.approval_wait",
    "workers.attributes",
    "workers.bounded",
    "workers.children",
    "workers.saga",
    "workers.signed_run",
    "workers.steps",
    "workers.wakeups",
)
CONTRACTS = sorted([*ROOT.glob("apps/*/contracts.py"), *ROOT.glob("apps/*/contracts/*.py")])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def app_module(module: str, *kinds: str) -> bool:
    parts = module.split(".")
    return len(parts) > 2 and parts[0] == "apps" and parts[2] in kinds


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_module_imports_only_what_is_deterministic(path: Path) -> None:
    strangers = {
        module
        for module in imports(path)
        if not standard(module)
        and not module.startswith(("temporalio.", *HELPERS))
        and not app_module(module, "contracts", "activities")
    }
    assert strangers == set()


@pytest.mark.parametrize("path", CONTRACTS, ids=module_of)
def test_contracts_import_only_the_standard_library_and_contracts(path: Path) -> None:
    strangers = {m for m in imports(path) if not standard(m) and not app_module(m, "contracts")}
    assert strangers == set()


def imports_at_run_time(path: Path) -> Iterator[str]:
    """As `imports`, without what is imported for types only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


#: The user model is everybody's, as in Django, whose own apps import theirs so: `get_user_model()`
#: would say the same in eighty places, and say less to a reader and to the type checker.
EVERYBODYS_MODELS = {"apps.accounts.models.User"}


def test_no_app_imports_the_models_of_another() -> None:
    """Its selectors, services and contracts are what it offers; its tables are its own business.

    Of all apps, the workers and the site's configuration. Abstract models (`models_abstract`) are
    offered; what is imported for types only makes nothing depend on a table.
    """
    guilty = [
        f"{path.relative_to(ROOT)}: {module}"
        for folder in ("apps", "workers", "config")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
        for module in imports_at_run_time(path)
        if app_module(module, "models")
        and module.split(".")[1] != path.relative_to(ROOT).parts[1]
        and module not in EVERYBODYS_MODELS
    ]
    assert guilty == []


def test_the_import_rules_name_every_app() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (inside,) = (rule for rule in rules["contracts"] if rule["id"] == "inside-an-app")
    apps = {f"apps.{path.parent.name}" for path in ROOT.glob("apps/*/__init__.py")}
    assert set(inside["containers"]) == apps


def test_no_app_asks_the_registry_for_the_models_of_another() -> None:
    """`get_model` goes around the import. Of Django's own apps it is how migrations do it."""
    guilty = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.args[0].value}"
        for path in sorted((ROOT / "apps").rglob("*.py"))
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("get_model")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and str(node.args[0].value).split(".")[0] not in ("auth", path.relative_to(ROOT).parts[1])
    ]
    assert guilty == []


def test_apps_never_import_workers() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "apps").rglob("*.py")
        if any(module.partition(".")[0] == "workers" for module in imports(path))
    ]
    assert guilty == []


def test_automations_reach_other_programs_by_the_guarded_calls_only() -> None:
    """Whoever opens a connection past `apps.outbound` forgets one of its checks."""
    ways = ("socket", "ssl", "http.client", "urllib.request", "httpx2", "httpcore2", "requests")
    guilty = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in (ROOT / "apps" / "automations").rglob("*.py")
        for module in imports(path)
        if module in ways or module.startswith(tuple(f"{way}." for way in ways))
    ]
    assert guilty == []


def test_package_files_of_workers_and_apps_are_empty() -> None:
    """One that imports activities before workflows breaks the sandbox."""
    packages = [*ROOT.glob("apps/__init__.py"), *ROOT.glob("apps/*/__init__.py")]
    packages += ROOT.glob("workers/**/__init__.py")
    full = [str(path.relative_to(ROOT)) for path in packages if any(imports(path))]
    assert full == []


def test_importing_contracts_loads_no_django() -> None:
    modules = [module_of(path).removesuffix(".__init__") for path in CONTRACTS]
    script = (
        f"import importlib, sys; [importlib.import_module(m) for m in {modules!r}]; "
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('django', 'temporalio')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def defined_workflows() -> set[str]:
    """Classes under @workflow.defn, by reading the source."""
    return {
        node.name
        for path in WORKFLOWS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("workflow.defn" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


def test_every_workflow_is_in_the_registry() -> None:
    registered = {w.__name__ for spec in QUEUES.values() for w in spec.workflows}
    assert registered == defined_workflows()


def test_every_workflow_declares_how_it_moves_to_a_new_version() -> None:
    undeclared = [
        workflow.__name__
        for spec in QUEUES.values()
        for workflow in spec.workflows
        if workflow.__temporal_workflow_definition.versioning_behavior
        in (None, VersioningBehavior.UNSPECIFIED)
    ]
    assert undeclared == []


def test_every_worker_is_made_with_the_common_options() -> None:
    """Without them nobody checks what comes from outside (workers.inbound)."""
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("apps", "tests", "workers")
        for path in (ROOT / folder).rglob("*.py")
        if any(made in path.read_text() for made in ("Worker(", "Replayer("))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("Worker", "Replayer")
        and not any(
            keyword.arg is None and "worker_options(" in ast.unparse(keyword.value)
            for keyword in node.keywords
        )
    ]
    assert bare == []


def test_every_activity_is_in_the_registry() -> None:
    defined = {
        f"{path.relative_to(ROOT).parts[1]}.{node.name}"
        for path in ACTIVITIES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("activity.defn" in ast.unparse(d) for d in node.decorator_list)
    }
    # Made for a kind of run, not written for it: their names are of its noun.
    made = {
        activity
        for path in ACTIVITIES
        for value in vars(import_module(module_of(path))).values()
        if isinstance(value, RunActivities)
        for activity in value.all()
    }
    activities = {a for spec in QUEUES.values() for a in spec.activities}
    assert made <= activities
    registered = {f"{a.__module__.split('.')[1]}.{a.__name__}" for a in activities - made}
    assert registered == defined


def test_activities_are_plain_functions() -> None:
    """They run in threads: the ORM's async half is slower and has no transactions."""
    asynchronous = [
        f"{path.relative_to(ROOT).parts[1]}.{node.name}"
        for path in ACTIVITIES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef)
    ]
    assert asynchronous == []


def test_our_runworker_wins_over_the_one_of_channels() -> None:
    application = get_commands()["runworker"]
    command = load_command_class(
        application if isinstance(application, str) else application.name, "runworker"
    )
    assert type(command).__module__ == "workers.management.commands.runworker"
