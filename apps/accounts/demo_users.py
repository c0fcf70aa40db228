"""Demo users, all with the password `demo`. Local and test settings only."""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction

from apps.accounts.models import User
from apps.audit.contracts import SystemActor
from apps.audit.selectors import entries_about
from apps.audit.services import entry_record
from apps.common.errors import NotAllowed

PASSWORD = "demo"  # noqa: S105 - known to everybody, and refused where it matters
SEEDER = SystemActor("demo seed")
DONE = "demo.seeded"


@dataclass(frozen=True)
class Person:
    """A demo user."""

    username: str
    first_name: str
    last_name: str
    groups: tuple[str, ...] = ()
    superuser: bool = False
    senior: str = ""


PEOPLE: tuple[Person, ...] = (
    Person("requester", "Amaka", "Eze", ("requester",)),
    Person("reviewer", "Ngozi", "Okafor", ("reviewer",), senior="senior"),
    Person("reviewer2", "Rafael", "Moreira", ("reviewer",), senior="senior"),
    Person("senior", "Helena", "Duarte", ("reviewer", "senior reviewer")),
    Person("agent", "Yemi", "Alabi", ("booking agent",)),
    Person("editor", "Zainab", "Bello", ("automation editor",)),
    Person("operator", "Tunde", "Bakare", ("operator",)),
    Person("corrector", "Kemi", "Adeyemi", ("quarantine operator",)),
    Person("releaser", "Bruno", "Tavares", ("quarantine releaser",)),
    Person("officer", "Marina", "Lopes", ("key officer",), senior="senior"),
    Person("officer2", "Danilo", "Prado", ("key officer",), senior="senior"),
    Person("auditor", "Beatriz", "Nogueira", ("auditor",)),
    # In no group: being a superuser is no authority to sign.
    Person("admin", "Chidi", "Anozie", superuser=True),
)


def demo_people_ensure() -> dict[str, User]:
    """Make missing demo users and their groups; returns all of them by name.

    Idempotent: an existing user keeps password and name, and gets back missing groups. Raises
    NotAllowed `demo_logins_off` unless settings.DEMO_LOGINS.
    """
    if not settings.DEMO_LOGINS:
        raise NotAllowed(
            "Demo people have a known password; these settings refuse them.",
            code="demo_logins_off",
        )
    with transaction.atomic(durable=True):
        # One hash for all of them: eight would take seconds of the first start.
        password = make_password(PASSWORD)
        groups = {group.name: group for group in Group.objects.all()}
        people: dict[str, User] = {}
        for person in PEOPLE:
            user, created = User.objects.get_or_create(
                username=person.username,
                defaults={
                    "first_name": person.first_name,
                    "last_name": person.last_name,
                    "email": f"{person.username}@demo.invalid",
                    "is_staff": True,
                    "is_superuser": person.superuser,
                    "password": password,
                },
            )
            user.groups.add(*(groups[name] for name in person.groups))
            if created:
                entry_record(
                    action="user.create",
                    subject_type="user",
                    subject_id=user.pk,
                    by=SEEDER,
                    via="command",
                    body={"username": user.username, "groups": person.groups},
                )
            people[person.username] = user
        for person in PEOPLE:
            user = people[person.username]
            if person.senior and user.senior_id is None:
                user.senior = people[person.senior]
                user.save(update_fields=["senior"])
    return people


def demo_once(title: str, part: Callable[[], None]) -> bool:
    """Make a part of the demo unless an earlier run has, whatever became of it since; whether it
    was made now. The audit trail keeps that it was."""
    if entries_about(("demo", title)).filter(action=DONE).exists():
        return False
    part()
    with transaction.atomic(durable=True):
        entry_record(action=DONE, subject_type="demo", subject_id=title, by=SEEDER, via="command")
    return True
