"""The demo's keys: once, and on their way to the directory by their own workflows."""

import pytest

from apps.engine.models import EngineCommand
from apps.pix.models import Entry, EntryChange, Participant
from apps.pix.services.entry_demo import keys_seed
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.pix.entries.conftest import Keys

pytestmark = pytest.mark.django_db


def test_the_demos_keys_come_to_the_directory_and_are_known_there_again(
    keys: Keys, directory: SimulatedDirectory
) -> None:
    list(keys_seed(people=keys.people))
    made = Entry.objects.count()
    list(keys_seed(people=keys.people))
    assert Entry.objects.count() == EngineCommand.objects.count() == made
    assert {one.ispb for one in Participant.objects.filter(ours=True)} >= {OURS, OTHER}
    for change in EntryChange.objects.all():
        assert keys.carry(change).status == "active"
    held = [one for ispb in (OURS, OTHER) for one in directory.dump(ispb)]
    assert len(held) == made
    # A database that was made anew, beside a directory that was not.
    EntryChange.objects.all().delete()
    Entry.objects.all().delete()
    list(keys_seed(people=keys.people))
    for change in EntryChange.objects.all():
        assert keys.carry(change).status == "active"
    assert len([one for ispb in (OURS, OTHER) for one in directory.dump(ispb)]) == made
