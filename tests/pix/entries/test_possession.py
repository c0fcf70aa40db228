"""Codes that prove who has a phone or mailbox: five tries in ten minutes, and no more."""

from typing import Any

import pytest
from django.utils import timezone

from apps.common.errors import DomainError, TooMany
from apps.engine.models import EngineCommand
from apps.notifications.models import Mail
from apps.pix.models import EntryChange, PossessionCode
from apps.pix.services import entries, entry_ending, possession
from tests.pix.entries.conftest import CPF, EMAIL, PHONE, Keys, at, at_once
from tests.pix.entries.test_entries import refused

pytestmark = pytest.mark.django_db


def mailbox(keys: Keys, **changes: Any) -> EntryChange:
    return keys.ask(key_type="EMAIL", key="Ana@Example.com", **changes)


def prove(keys: Keys, change: EntryChange, code: str, **about: Any) -> EntryChange:
    return possession.possession_prove(
        **{"entry_id": change.entry_id, "code": code, **keys.about(), **about}
    )


def test_the_code_goes_to_the_mailbox_and_is_kept_nowhere_but_in_the_mail(keys: Keys) -> None:
    change = mailbox(keys)
    mail = Mail.objects.get()
    assert (mail.address, change.entry.status, change.status) == (EMAIL, "possession", "waiting")
    kept = PossessionCode.objects.get()
    assert keys.code().isdigit()
    assert keys.code() not in kept.hashed
    assert possession.code_relevant(mail.key)
    done = prove(keys, change, f" {keys.code()} ")
    assert (done.status, done.entry.status) == ("running", "pending")
    assert not possession.code_relevant(mail.key)
    # The same once more changes nothing.
    assert prove(keys, change, keys.code()).version == done.version
    assert keys.carry(done).status == "active"
    assert EngineCommand.objects.filter(kind="signal").count() == 1


def test_a_phones_code_goes_through_the_door_that_the_settings_name(
    keys: Keys, settings: Any
) -> None:
    change = keys.ask(key_type="PHONE", key=PHONE)
    assert prove(keys, change, keys.code()).status == "running"
    settings.PIX_PHONE_CODE_SENDER = ""
    body = keys.body(key_type="PHONE", key="+5511987654322")
    refused("possession_unavailable", entries.entry_create, **body)


def test_a_mailbox_that_no_mail_reaches_is_refused(keys: Keys) -> None:
    # The directory takes it.
    refused(
        "possession_unavailable", entries.entry_create, **keys.body(key_type="EMAIL", key="a@b")
    )


def test_the_fifth_wrong_code_ends_the_creation(keys: Keys) -> None:
    change = mailbox(keys)
    wrong = "000000" if keys.code() != "000000" else "000001"
    for left in (4, 3, 2, 1, 0):
        said = refused("possession_code_invalid", prove, keys=keys, change=change, code=wrong)
        assert said.extra["tries_left"] == left
    change.refresh_from_db()
    assert (change.status, change.error_code) == ("failed", "possession_code_invalid")
    assert change.entry.__class__.objects.get().status == "removed"
    refused("possession_not_waiting", prove, keys=keys, change=change, code=keys.code())
    # The key is free again.
    assert mailbox(keys).status == "waiting"


@pytest.mark.parametrize("code", ["", "１２３４５６", "12345", "1234567", "\x00", None, 5, ["a"]])
def test_a_code_of_any_shape_is_a_wrong_one(keys: Keys, code: Any) -> None:
    change = mailbox(keys)
    refused("possession_code_invalid", prove, keys=keys, change=change, code=code)
    assert PossessionCode.objects.get().tries == 1


@pytest.mark.django_db(transaction=True)
def test_many_guesses_at_once_are_no_way_around_the_five(shared_keys: Keys) -> None:
    change = mailbox(shared_keys)
    right = shared_keys.code()

    def guess(number: int) -> str:
        try:
            prove(shared_keys, change, f"{(int(right) + 1 + number) % 10**6:06d}")
        except DomainError as error:
            return error.code
        return "done"

    found = at_once(guess, 8)
    assert found.count("possession_code_invalid") == 5
    assert found.count("possession_not_waiting") == 3


def test_after_ten_minutes_the_code_has_ended(keys: Keys) -> None:
    change = mailbox(keys)
    late = at(minutes=10, seconds=1)
    refused(
        "possession_code_expired", prove, keys=keys, change=change, code=keys.code(), as_of=late
    )

    def end(as_of: Any) -> str:
        facts = entry_ending.change_end(
            change_id=change.pk,
            status="failed",  # type: ignore[arg-type]
            code=entry_ending.EXPIRED,
            detail="",
            as_of=as_of,
        )
        return facts.status

    assert end(at(minutes=9)) == "waiting"
    assert end(late) == "failed"


def test_another_code_ends_the_one_before_and_can_be_asked_for_within_limits(keys: Keys) -> None:
    change = mailbox(keys)
    first = keys.code()
    about: dict[str, Any] = {"entry_id": change.entry_id, **keys.about()}
    refused("possession_code_fresh", possession.code_renew, **about)
    for minute in range(1, 5):
        possession.code_renew(**{**about, "as_of": at(minutes=2 * minute)})
    assert Mail.objects.count() == 5
    if keys.code() != first:
        refused("possession_code_invalid", prove, keys=keys, change=change, code=first)
    with pytest.raises(TooMany):
        possession.code_renew(**{**about, "as_of": at(minutes=20)})
    assert prove(keys, change, keys.code(), as_of=at(minutes=9)).status == "running"


def test_what_is_refused_costs_nobody_a_code(keys: Keys) -> None:
    mailbox(keys, idempotency_key="a")
    for _ in range(8):
        refused("entry_already_exists", mailbox, keys=keys)
        entries.entry_create(
            **keys.body(key_type="EMAIL", key="Ana@Example.com", idempotency_key="a")
        )
    assert Mail.objects.count() == 1


def test_a_key_that_waits_for_its_code_can_be_given_up(keys: Keys) -> None:
    change = mailbox(keys)
    done, _ = entries.entry_delete(entry_id=change.entry_id, note="Wrong box.", **keys.about())
    assert (done.pk, done.status, done.entry.status) == (change.pk, "cancelled", "removed")
    refused("entry_not_active", entries.entry_delete, entry_id=change.entry_id, **keys.about())


def test_only_who_may_change_keys_proves_and_nobody_proves_a_cpf(keys: Keys) -> None:
    change = mailbox(keys)
    refused(
        "permission_denied",
        prove,
        keys=keys,
        change=change,
        code=keys.code(),
        by=keys.people["auditor"],
    )
    other = keys.ask(key=CPF)
    refused("possession_not_waiting", prove, keys=keys, change=other, code="123456")
    refused(
        "not_found",
        possession.possession_prove,
        entry_id="nobody",
        code="1",
        **keys.about(as_of=timezone.now()),
    )
