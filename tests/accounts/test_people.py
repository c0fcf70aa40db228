"""The demo's people."""

from typing import Any

import pytest

from apps.accounts.demo_users import PEOPLE, demo_people_ensure
from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.errors import NotAllowed

pytestmark = pytest.mark.django_db


def _groups(user: User) -> set[str]:
    return set(user.groups.values_list("name", flat=True))


def test_the_demo_has_its_people_in_their_groups() -> None:
    people = demo_people_ensure()
    assert {name: _groups(user) for name, user in people.items()} == {
        "requester": {"requester"},
        "reviewer": {"reviewer"},
        "reviewer2": {"reviewer"},
        "senior": {"reviewer", "senior reviewer"},
        "agent": {"booking agent"},
        "editor": {"automation editor"},
        "operator": {"operator"},
        "corrector": {"quarantine operator"},
        "releaser": {"quarantine releaser"},
        "officer": {"key officer"},
        "officer2": {"key officer"},
        "auditor": {"auditor"},
        "admin": set(),
    }
    assert all(user.is_staff and user.check_password("demo") for user in people.values())
    assert [name for name, user in people.items() if user.is_superuser] == ["admin"]
    assert str(people["reviewer"]) == "Ngozi Okafor"


def test_running_it_again_changes_nothing_but_missing_groups() -> None:
    demo_people_ensure()
    reviewer = User.objects.get(username="reviewer")
    reviewer.set_password("my own")
    reviewer.first_name = "Other"
    reviewer.save()
    reviewer.groups.clear()
    entries = AuditEntry.objects.count()
    demo_people_ensure()
    reviewer.refresh_from_db()
    assert reviewer.check_password("my own")
    assert reviewer.first_name == "Other"
    assert _groups(reviewer) == {"reviewer"}
    assert User.objects.count() == len(PEOPLE)
    assert AuditEntry.objects.count() == entries


def test_settings_without_demo_logins_refuse_it(settings: Any) -> None:
    settings.DEMO_LOGINS = False
    with pytest.raises(NotAllowed) as caught:
        demo_people_ensure()
    assert caught.value.code == "demo_logins_off"
    assert not User.objects.exists()
