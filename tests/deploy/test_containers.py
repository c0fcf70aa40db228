"""No container engine runs in the tests: the files are held against the project instead."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from django.core.management import get_commands

from deploy.local.servers import Temporal
from deploy.local.stack import APPS, ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def words(service: str) -> str:
    return " ".join(COMPOSE[service].get("command", []))


@pytest.mark.parametrize("service", [n for n in COMPOSE if "manage.py" in words(n)])
def test_compose_names_management_commands_that_exist(service: str) -> None:
    names = re.findall(r"manage\.py (\w+)", words(service))
    assert names
    assert [name for name in names if name not in get_commands()] == []


def test_compose_starts_every_process_of_a_stack() -> None:
    assert {*APPS, "migrate"} <= set(COMPOSE)


def test_compose_gives_temporal_the_settings_of_the_launcher(folder) -> None:
    ours = Temporal(port=1, run_dir=folder, log=folder / "log", data=folder).argv
    needed = {ours[i + 1] for i, word in enumerate(ours) if word.startswith(("--dynamic", "--sql"))}
    given = {word.partition("=")[2] for word in COMPOSE["temporal"]["command"]}
    assert len(needed) == 6
    assert needed <= given


def test_the_image_runs_without_root_and_checks_every_hash() -> None:
    _, build, final = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    assert "--require-hashes" in build
    assert "USER 10001" in final
    assert "HEALTHCHECK" in final


def test_what_the_image_copies_is_let_in_by_dockerignore() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    assert set(copied) == let_in
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_static_files_are_collected_with_what_the_build_sets() -> None:
    """Production settings refuse what is missing: the build must name all that they ask for."""
    command = re.search(r"^RUN (SECRET_KEY=.*?)\n[A-Z]", DOCKERFILE, re.MULTILINE | re.DOTALL)
    *settings, python, manage, name, flag = shlex.split(command[1].replace("\\\n", " "))
    assert (python, manage) == ("python", "manage.py")
    env = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        **dict(setting.split("=", 1) for setting in settings),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / manage), name, flag, "--dry-run", "-v", "0"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
