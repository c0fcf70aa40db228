"""Whoever is killed at any point leaves what the next attempt carries on, and nothing happens
twice."""

from typing import Any

import pytest
from django.utils import timezone

from apps.pix.contracts.entries import OwnerGiven
from apps.pix.models import DirectoryCall, Entry, EntryChange, PossessionCode
from apps.pix.services import (
    directory_calls,
    entries,
    entry_ending,
    entry_ownership,
    possession,
)
from tests.directory import SimulatedDirectory
from tests.pix.entries.conftest import PHONE, Keys

pytestmark = pytest.mark.django_db(transaction=True)

POINTS = {
    "entry_change.uncommitted": entries,
    "directory_call.noted": directory_calls,
    "directory_call.answered": directory_calls,
    "entry_apply.uncommitted": entry_ending,
}


class Killed(BaseException):
    """No code of ours catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, module: Any, point: str) -> None:
    """The first who comes by is killed."""
    killed: list[str] = []

    def failpoint(name: str) -> None:
        if name == point and not killed:
            killed.append(name)
            raise Killed(name)

    monkeypatch.setattr(module, "failpoint", failpoint)


def insist(step: Any) -> Any:
    """Once more after the kill, and once more for the repeat that Temporal may send."""
    try:
        step()
    except Killed:
        step()
    return step()


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_a_change_is_made_once(
    shared_keys: Keys,
    directory: SimulatedDirectory,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    kind: str,
) -> None:
    keys = shared_keys
    known = keys.active(key_type="EVP", key=None) if kind != "create" else None
    kill_at(monkeypatch, POINTS[point], point)
    told: list[str] = []
    monkeypatch.setattr(entry_ending, "event_emit", lambda **event: told.append(event["type"]))

    def ask() -> EntryChange:
        about = keys.about(idempotency_key="one")
        if known is None:
            body = keys.body(key_type="EVP", key=None, idempotency_key="one")
            return entries.entry_create(**body)[0]
        if kind == "update":
            owner, why = OwnerGiven(name="J."), "RFB_VALIDATION"
            return entries.entry_update(entry_id=known.pk, owner=owner, reason=why, **about)[0]
        return entries.entry_delete(entry_id=known.pk, **about)[0]

    change = insist(ask)
    insist(lambda: keys.carry(change))
    assert EntryChange.objects.filter(kind=kind).count() == 1
    change.refresh_from_db()
    assert change.status == "done"
    held = directory.dump()
    live = Entry.objects.live()
    assert len(held) == live.count() == (0 if kind == "delete" else 1)
    for one in held:
        entry = live.get()
        assert (one.entry.key, one.entry.owner.name) == (entry.key, entry.name)
        assert one.request_id == str(entry.request_id)
    # What is not committed tells nobody; the outbox takes part in the transaction.
    assert set(told) == {f"entry.{kind}d"}
    assert not DirectoryCall.objects.filter(known_at=None).exists()


def test_killed_while_a_code_is_taken_nothing_is_taken(
    shared_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = shared_keys.ask(key_type="PHONE", key=PHONE)
    kill_at(monkeypatch, possession, "possession.uncommitted")
    about = {"entry_id": change.entry_id, "code": shared_keys.code(), **shared_keys.about()}
    with pytest.raises(Killed):
        possession.possession_prove(**about)
    assert PossessionCode.objects.get().proved_at is None
    assert possession.possession_prove(**about).status == "running"


def test_killed_while_a_claim_gives_the_key_it_has_one_owner(
    shared_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import transaction

    entry = shared_keys.active()
    claim = shared_keys.claim(entry)
    kill_at(monkeypatch, entry_ownership, "entry_ownership.uncommitted")

    def give() -> Any:
        with transaction.atomic():
            return entry_ownership.entry_ownership_update(claim, as_of=timezone.now())

    made = insist(give)
    assert Entry.objects.live().get() == made
    assert Entry.objects.count() == 2
