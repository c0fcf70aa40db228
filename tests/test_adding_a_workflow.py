"""`docs/adding-a-workflow.md` is kept true by walking a domain that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "adding-a-workflow.md").read_text()
DOMAIN = "interventions"


def _named_files() -> list[str]:
    rows = [line for line in GUIDE.splitlines() if re.match(r"\| \d+ \|", line)]
    cells = [row.split("|")[2] for row in rows]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def _candidates(name: str) -> list[Path]:
    name = name.replace("<domain>", DOMAIN)
    if "<WorkflowType>" in name:
        return list((ROOT / name.split("<")[0]).glob("*Workflow"))
    # Where one file became too long it is a package of the same name.
    direct, inside = ROOT / name, ROOT / "apps" / DOMAIN / name
    return [
        path
        for path in (direct, inside, direct.with_suffix(""), inside.with_suffix(""))
        if path.exists()
    ]


def test_every_file_that_the_guide_names_exists_for_the_interventions_domain() -> None:
    names = _named_files()
    assert len(names) >= 10
    assert [name for name in names if not _candidates(name)] == []


def test_every_python_file_of_a_domain_has_a_place_in_the_guide() -> None:
    known = {Path(name).stem for name in _named_files()}
    # Helpers that stand behind an activity or a service need no row of their own.
    known |= {"__init__", "burndown", "executor", "forms", "selectors"}
    # `batch_forms` stands where `forms` does.
    stems = {path.stem for path in (ROOT / "apps" / DOMAIN).glob("*.py")} - {"__init__"}
    assert sorted(s for s in stems if not {s, s.rpartition("_")[2]} & known) == []
