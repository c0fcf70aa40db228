"""Automations and their versions: who may, twice, two at once, and what is kept for good."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import ProgrammingError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.automations.models import Automation, AutomationVersion
from apps.automations.services.definitions import (
    automation_change,
    automation_create,
    automation_of,
    version_add,
)
from apps.automations.services.demo import AUTOMATIONS, automations_seed
from apps.automations.states import state_of
from apps.common.errors import DomainError
from tests.automations.drawing import graph, node

pytestmark = pytest.mark.django_db(transaction=True)
GOOD, DRAFT = graph("a>b"), graph("a>b b>a")


def create(by: User, code: str = "orders", document: Any = GOOD, **more: Any) -> Any:
    return automation_create(
        **{"code": code, "title": "Orders", "document": document, **more},
        by=by,
        via="api",
        as_of=timezone.now(),
    )


def add(by: User, document: Any, version: int, code: str = "orders") -> Any:
    return version_add(
        code=code, document=document, version=version, by=by, via="api", as_of=timezone.now()
    )


def change(by: User, code: str = "orders", **more: Any) -> Automation:
    return automation_change(code=code, **more, by=by, via="api", as_of=timezone.now())


def refused(call: Callable[..., Any], *args: Any, **given: Any) -> str:
    with pytest.raises(DomainError) as raised:
        call(*args, **given)
    entry = AuditEntry.objects.latest("id")
    assert (entry.outcome, entry.code) == ("refused", raised.value.code)
    return raised.value.code


def test_it_is_made_once_with_its_first_version(people: dict[str, User]) -> None:
    row, new = create(people["editor"])
    assert (new, row.newest, row.valid, state_of(row)) == (True, 1, 1, "switched_on")
    again, new = create(people["editor"])
    assert (new, again.pk) == (False, row.pk)
    version = row.versions.get()
    assert (version.number, version.document, version.issues, version.nodes) == (1, GOOD, [], 2)
    assert AuditEntry.objects.filter(action="automation.created").count() == 1
    assert automation_of(str(row.pk)) == automation_of("orders") == row
    # Another one under the same code, by whoever it may be.
    assert refused(create, people["editor"], document=graph("x")) == "automation_code_taken"
    assert refused(create, people["admin"]) == "automation_code_taken"


def test_versions_follow_each_other_and_a_draft_changes_nothing_that_runs(
    people: dict[str, User],
) -> None:
    by = people["editor"]
    create(by)
    version, new = add(by, DRAFT, 1)
    assert (new, version.number, [one["code"] for one in version.issues]) == (True, 2, ["cycle"])
    row = Automation.objects.get()
    assert (row.newest, row.valid, state_of(row)) == (2, 1, "switched_on")
    # What the newest says already is no version, whatever its author had seen.
    assert add(by, DRAFT, 1) == (version, False)
    assert refused(add, by, graph("x"), 1) == "version_outdated"
    third, _new = add(by, graph("x"), 2)
    row.refresh_from_db()
    assert (third.number, row.newest, row.valid) == (3, 3, 3)


def test_a_first_draft_cannot_run(people: dict[str, User]) -> None:
    row, _new = create(people["editor"], document=DRAFT)
    assert (row.newest, row.valid, state_of(row)) == (1, 0, "draft")


def test_two_at_once_make_one(
    people: dict[str, User], side_by_side: Callable[..., list[Any]]
) -> None:
    by = people["editor"]
    made = side_by_side(lambda number: create(by), 4)
    assert sorted(new for _row, new in made) == [False, False, False, True]

    def another(number: int) -> str:
        try:
            return str(add(by, graph(f"a>n{number}"), 1)[0].number)
        except DomainError as error:
            return error.code

    assert sorted(side_by_side(another, 4)) == ["2", *["version_outdated"] * 3]
    assert [one.number for one in Automation.objects.get().versions.all()] == [2, 1]


def test_it_is_switched_and_renamed_with_a_trail(people: dict[str, User]) -> None:
    by = people["editor"]
    create(by)
    row = change(by, enabled=False, reason="Prices are wrong.")
    assert (row.enabled, state_of(row)) == (False, "switched_off")
    assert change(by, enabled=False).version == row.version
    entry = AuditEntry.objects.get(action="automation.changed")
    assert entry.body == {"enabled": False, "reason": "Prices are wrong."}
    row = change(by, title="All orders", runner="local", enabled=True)
    assert (row.title, row.runner, row.enabled) == ("All orders", "local", True)


def test_refusals_have_codes_and_are_audited(people: dict[str, User]) -> None:
    by = people["editor"]
    for name in ("requester", "reviewer", "operator", "auditor"):
        assert refused(create, people[name]) == "permission_denied"
        assert refused(change, people[name], enabled=False) == "permission_denied"
    for code in ("", "Big", "a b", "a\0", "x" * 81, "-a", "schema", 7):
        assert refused(create, by, code) == "code_invalid"
    assert refused(create, by, title="") == "title_invalid"
    assert refused(create, by, runner="moon") == "runner_invalid"
    for document in (None, [], "x", 7):
        assert refused(create, by, document=document) == "definition_not_an_object"
    large = graph("a", a=node(mapping={"x": "'" + "y" * 1_000_000 + "'"}))
    assert refused(create, by, document=large) == "definition_too_large"
    assert refused(change, by, enabled=False) == "automation_not_found"
    assert refused(add, by, GOOD, 1) == "automation_not_found"
    for odd in ("", "\0", "x" * 100_000, "no such"):
        with pytest.raises(DomainError) as raised:
            automation_of(odd)
        assert raised.value.code == "automation_not_found"


def test_a_version_stays_as_it_was_written_also_for_raw_sql(people: dict[str, User]) -> None:
    create(people["editor"])
    rows = AutomationVersion.objects.all()
    for changed in ({"text": "{}"}, {"number": 2}, {"issues": [1]}):
        with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
            rows.update(**changed)


def test_the_demo_is_seeded_once(people: dict[str, User]) -> None:
    assert list(automations_seed(people=people)) == ["3 automations"]
    assert list(automations_seed(people=people)) == []
    states = {row.code: (state_of(row), row.newest) for row in Automation.objects.all()}
    assert states == {
        "release-order": ("switched_on", 1),
        "welcome-customer": ("switched_on", 2),
        "chase-invoice": ("draft", 1),
    }
    assert set(states) == set(AUTOMATIONS)
