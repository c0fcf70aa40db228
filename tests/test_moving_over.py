"""The page for movers says what is true: every name on our side of it exists."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from config.settings.env import ALIASES
from tests.test_adding_a_workflow import ROOT
from workers.registry import QUEUES

PAGE = (ROOT / "docs" / "moving-over.md").read_text()
ENVIRONMENT = (ROOT / "docs" / "contracts" / "environment.md").read_text()


def here() -> str:
    """What the page says of us: the second cells of its tables, and all that is no table."""
    lines = []
    for line in PAGE.splitlines():
        cells = line.split("|")
        lines.append("|".join(cells[2:]) if line.startswith("|") else line)
    return "\n".join(lines)


HERE = here()


def test_every_accepted_name_from_before_is_listed() -> None:
    names = {alias for aliases in ALIASES.values() for alias in aliases}
    assert sorted(name for name in names if f"`{name}`" not in PAGE) == []


def test_an_alias_stands_beside_the_name_that_is_ours() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]
    for ours, aliases in ALIASES.items():
        for alias in aliases:
            [said] = [here for there, here in rows if f"`{alias}`" in there]
            assert f"`{ours}`" in said, alias


def test_every_variable_of_ours_is_on_the_environment_page() -> None:
    names = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=\w+)?`", HERE))
    assert len(names) > 20
    known = set(re.findall(r"[A-Z][A-Z0-9_]+", ENVIRONMENT))
    assert names <= known


def test_every_command_exists() -> None:
    commands = set(re.findall(r"manage\.py (\w+)", PAGE))
    assert {"runworker", "runrelay", "consumeevents"} <= commands <= set(get_commands())
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", HERE)) <= targets


@pytest.mark.parametrize("queue", ["payment-events", "intervention-critical"])
def test_the_workflows_and_activities_of_a_queue_are_ours(queue: str) -> None:
    spec = QUEUES[queue]
    workflows = {
        name for one in spec.workflows if (name := one.__temporal_workflow_definition.name)
    }
    activities = {one.__temporal_activity_definition.name for one in spec.activities}
    assert f"`{queue}`" in PAGE
    named = set(re.findall(r"`(\w+Workflow)`", PAGE))
    assert named & workflows
    said = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE)) & activities
    assert len(said) >= 5


def test_the_page_names_the_variables_of_the_dict_connector() -> None:
    from tests.pix.test_source_worker import BLOCK

    assert sorted(name for name in BLOCK if f"`{name}" not in PAGE) == []
    assert "conn-dict-task-queue" in QUEUES


def test_every_workflow_and_table_on_the_page_exists() -> None:
    workflows = {
        one.__temporal_workflow_definition.name
        for spec in QUEUES.values()
        for one in spec.workflows
    }
    assert set(re.findall(r"`(\w+Workflow)`", PAGE)) <= workflows
    tables = {model._meta.db_table for model in apps.get_models()}
    assert {"payment_events", "payment_events_quarantine"} <= tables


def test_every_link_leads_somewhere() -> None:
    for target, anchor in re.findall(r"\]\(([\w/.-]+)(?:#([\w-]+))?\)", PAGE):
        page: Path = ROOT / "docs" / target
        assert page.exists(), target
        titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors, anchor
