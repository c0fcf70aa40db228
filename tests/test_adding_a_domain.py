"""`docs/adding-a-domain.md` is kept true: its listing is made in a copy of the project and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import MOST_WORKERS

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "adding-a-domain.md").read_text()
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules")


def _blocks(language: str) -> list[tuple[str, str]]:
    """(file named last before it, content) of each fenced block."""
    found, path = [], ""
    for part in re.finditer(
        r"^(?:### )?`(?P<path>[\w/.]+)`:?$|^```(?P<kind>\w+)\n(?P<body>.*?)^```$",
        GUIDE,
        re.MULTILINE | re.DOTALL,
    ):
        if part["path"]:
            path = part["path"]
        elif part["kind"] == language:
            found.append((path, part["body"]))
    return found


def _write_domain(project: Path) -> None:
    for name, body in _blocks("python"):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body)
    for package in ("apps/visits", "apps/visits/migrations", "tests/visits"):
        (project / package).mkdir(exist_ok=True)
        (project / package / "__init__.py").touch()
    for name, hunk in _blocks("diff"):
        lines = hunk.splitlines(keepends=True)
        known = "".join(line[1:] for line in lines if line[0] == " ")
        added = "".join(line[1:] for line in lines if line[0] == "+")
        text = (project / name).read_text()
        assert text.count(known) == 1, f"{name} has these lines {text.count(known)} times:\n{known}"
        (project / name).write_text(text.replace(known, known + added))


def _run(project: Path, *command: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        # Its own caches; where programs are found stays the same.
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV_", "COVERAGE_"))
        }
        | {"PYTHONPATH": str(project)}
        | env,
        capture_output=True,
        text=True,
        timeout=900,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(command)}\n{output[-8000:]}"
    return output


def _bring_bytecode(copy: Path) -> None:
    """What is compiled here is valid there, as the sources' times are copied: each of the processes
    to come would compile all of it again."""
    if sys.pycache_prefix is None:
        return
    compiled = Path(sys.pycache_prefix)
    for folder in ("apps", "config", "tests", "workers"):
        source = compiled / ROOT.relative_to("/") / folder
        target = compiled / copy.relative_to("/") / folder
        shutil.copytree(source, target, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the domain of the guide."""
    copy = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    _bring_bytecode(copy)
    _write_domain(copy)
    made = _run(copy, "manage.py", "makemigrations", "visits")
    assert "Create model Visit" in made
    return copy


#: Those that share the copy run in one worker.
of_one_copy = pytest.mark.xdist_group("guide")


@of_one_copy
@pytest.mark.timeout(900)
def test_the_domain_of_the_guide_keeps_the_rules(project: Path) -> None:
    _run(project, "-m", "ruff", "check", "apps/visits", "workers", "config", "tests/visits")
    rules = _run(project, "-c", "import importlinter.cli as cli; cli.lint_imports_command()")
    assert " 0 broken" in rules


@of_one_copy
@pytest.mark.waits
@pytest.mark.timeout(900)
def test_the_domain_of_the_guide_works(project: Path, db: None) -> None:
    tests = ("tests/visits", "tests/test_architecture.py")
    address, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    # On the servers of this session, as one more of its workers: its database is a copy of the
    # migrated one, to which the domain's own migration comes.
    result = _run(
        project,
        *("-m", "pytest", *tests, "-q", "-n0", "-p", "no:randomly"),
        PYTEST_XDIST_WORKER=f"gw{MOST_WORKERS - 1}",
        DATABASE_URL=f"{address}/visits",
    )
    assert re.search(r"\b\d+ passed", result) and not re.search(r"\b\d+ failed", result)


def test_the_table_of_costs_is_what_the_listing_has() -> None:
    rows = dict(re.findall(r"^\| `([\w/.]+)` \| (\d+) \|$", GUIDE, re.MULTILINE))
    listed = {name: str(len(body.splitlines())) for name, body in _blocks("python")}
    assert rows == listed
    added = sum(line[0] == "+" for _, hunk in _blocks("diff") for line in hunk.splitlines())
    assert re.search(rf"^\| in shared files \| {added} \|$", GUIDE, re.MULTILINE)
    total = added + sum(map(int, listed.values()))
    assert f"| **Together** | **{total}** |" in GUIDE
