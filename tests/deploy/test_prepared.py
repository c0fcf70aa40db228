"""When a local folder's database is prepared again: the sources say so, without starting Django."""

import time
from pathlib import Path

import pytest

from deploy.local.run import Launcher, _prepares, fingerprint
from deploy.local.screen import Screen
from deploy.local.stack import AUTOMATIONS_TABLES, ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The sources that count, and one that does not."""
    for name, text in (
        ("requirements/dev.txt", "django==5.2"),
        ("apps/loans/migrations/0001_initial.py", "operations = []"),
        ("apps/loans/registration.py", 'roles.grant("auditor", "loans.view_loan")'),
        (
            "apps/loans/registration/shell.py",
            'declare(DefaultSchedule(name="x", cron="5 * * * *"))',
        ),
        ("apps/loans/apps.py", "post_migrate.connect(ensure)"),
        ("apps/loans/views.py", "def page(): ..."),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("requirements/dev.txt", True),
        ("apps/loans/migrations/0001_initial.py", True),
        ("apps/loans/registration.py", True),
        ("apps/loans/registration/shell.py", True),
        ("apps/loans/apps.py", True),
        ("apps/loans/views.py", False),
    ],
)
def test_a_change_of_what_prepares_the_database_is_seen(
    name: str, counts: bool, tree: Path
) -> None:
    before = fingerprint(tree)
    path = tree / name
    path.write_text(path.read_text() + "  # changed")
    assert (fingerprint(tree) != before) is counts


def test_a_new_grant_in_a_new_place_is_seen(tree: Path) -> None:
    before = fingerprint(tree)
    (tree / "apps/loans/anywhere.py").write_text('grant("auditor", "loans.sign_loan")')
    assert fingerprint(tree) != before


def test_a_folder_prepared_from_other_sources_is_prepared_again(tmp_path: Path) -> None:
    launcher = Launcher({"COUNTERSIGN_DATA": str(tmp_path)}, Screen())
    (tmp_path / "postgres").mkdir(exist_ok=True)
    (tmp_path / "postgres" / "PG_VERSION").touch()
    assert not launcher._is_prepared()
    (tmp_path / "prepared").write_text(fingerprint())
    assert not launcher._is_prepared()
    (tmp_path / "prepared").write_text(fingerprint() + AUTOMATIONS_TABLES)
    assert launcher._is_prepared()
    (tmp_path / "prepared").write_text("of other sources")
    assert not launcher._is_prepared()


def test_every_source_that_grants_or_declares_is_among_them() -> None:
    """The words are those by which roles and schedules are declared here."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "apps").rglob("*.py")
        if _prepares(path)
    }
    assert found >= {
        "apps/accounts/roles.py",
        "apps/automations/database/role.py",
        "apps/engine/default_schedules.py",
        "apps/engine/registration.py",
        "apps/interventions/registration/shell.py",
        "apps/approvals/registration/shell.py",
        "apps/notifications/registration.py",
    }


def test_asking_is_cheap() -> None:
    began = time.perf_counter()
    fingerprint()
    assert time.perf_counter() - began < 1
