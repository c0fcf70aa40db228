"""API keys: making, revoking, recognising, and the command."""

import hashlib
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import APIKey, User
from apps.accounts.scopes import registered
from apps.accounts.services import (
    api_key_authenticate,
    api_key_create,
    api_key_revoke,
)
from apps.audit.contracts import SystemActor
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db
TESTER = SystemActor("tester")


@pytest.fixture
def person() -> User:
    """Somebody in no group."""
    return User.objects.create_user(username="amaka", password="correct horse")


def _create(person: User, **changes: Any) -> tuple[APIKey, str]:
    values: dict[str, Any] = {"name": "sync", "scopes": ["all"], "by": TESTER}
    return api_key_create(user=person, **{**values, **changes})


def test_only_a_hash_of_the_secret_is_kept_anywhere(person: User) -> None:
    key, shown = _create(person)
    secret = shown.split("_", 2)[2]
    key.refresh_from_db()
    assert key.secret_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert shown.startswith(f"csk_{key.prefix}_")
    entry = AuditEntry.objects.get(action="api_key.create")
    assert secret not in str(entry.body)
    history = APIKey.pgh_event_models["insert"].objects.get()  # type: ignore[attr-defined]
    assert not hasattr(history, "secret_hash")


def test_creating_and_revoking_are_audited(person: User) -> None:
    key, _ = _create(person)
    api_key_revoke(key=key, by=person, via="admin")
    entries = AuditEntry.objects.about("user", person.pk).order_by("id")
    assert [(e.action, e.actor_label, e.via) for e in entries] == [
        ("api_key.create", "tester", "command"),
        ("api_key.revoke", "amaka", "admin"),
    ]
    assert {e.body["key"] for e in entries if e.body} == {key.prefix}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": " "}, "name_required"),
        ({"name": "x" * 81}, "name_required"),
        ({"name": "a\0"}, "name_required"),
        ({"scopes": []}, "scope_required"),
        ({"scopes": ["all", "everything"]}, "unknown_scope"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expired"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_and_that_is_audited(
    person: User, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        _create(person, **changes)
    assert caught.value.code == code
    assert not APIKey.objects.exists()
    entry = AuditEntry.objects.get(action="api_key.create")
    assert (entry.outcome, entry.code) == ("refused", code)


def test_nobody_gets_a_key_for_somebody_inactive(person: User) -> None:
    person.is_active = False
    person.save(update_fields=["is_active"])
    with pytest.raises(Invalid, match="not active"):
        _create(person)


def test_a_key_is_revoked_once(person: User) -> None:
    key, _ = _create(person)
    first = api_key_revoke(key=key, by=TESTER).revoked_at
    with pytest.raises(Conflict):
        api_key_revoke(key=key, by=TESTER)
    key.refresh_from_db()
    assert key.revoked_at == first


def test_two_keys_never_share_a_prefix(person: User) -> None:
    assert len({_create(person)[0].prefix for _ in range(20)}) == 20


def test_a_key_expires_at_its_moment(person: User) -> None:
    moment = timezone.now() + timedelta(hours=1)
    key, shown = _create(person, expires_at=moment)
    before = api_key_authenticate(presented=shown, as_of=moment - timedelta(microseconds=1))
    assert before == key
    assert api_key_authenticate(presented=shown, as_of=moment) is None


def test_an_unknown_prefix_costs_a_comparison_like_a_known_one(
    person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []

    def compare(left: str, right: str) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr("apps.accounts.services.keys.compare_digest", compare)
    key, _ = _create(person)
    for presented in (f"csk_{key.prefix}_wrong", "csk_unknown123_wrong"):
        assert api_key_authenticate(presented=presented, as_of=timezone.now()) is None
    assert len(compared) == 2
    assert len({len(left) for left, _ in compared}) == 1


# --- createapikey -------------------------------------------------------------------------------
def _command(*words: str) -> str:
    out = io.StringIO()
    call_command("createapikey", *words, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_key_as_the_last_word(person: User) -> None:
    shown = _command("--user", "amaka", "--scope", "all").split()[-1]
    key = api_key_authenticate(presented=shown, as_of=timezone.now())
    assert key is not None
    assert (key.user, key.scopes, key.expires_at) == (person, ["all"], None)


def test_the_command_takes_several_scopes_a_name_and_an_end(person: User) -> None:
    text = _command(
        *("--user", "amaka", "--scope", "budgets:read", "--scope", "approvals:read"),
        *("--name", "nightly", "--days", "2"),
    )
    key = APIKey.objects.get()
    assert key.name == "nightly"
    assert key.scopes == ["approvals:read", "budgets:read"]
    assert key.expires_at is not None
    assert timedelta(days=1, hours=23) < key.expires_at - timezone.now() <= timedelta(days=2)
    assert text.split()[-1].startswith("csk_")


@pytest.mark.parametrize("name", ["nobody", "", "a\0b", "x" * 500])
def test_the_command_names_a_user_who_is_not_there(name: str) -> None:
    with pytest.raises(CommandError) as caught:
        _command("--user", name, "--scope", "all")
    assert repr(name) in str(caught.value)


def test_the_command_lists_the_scopes_when_one_is_unknown(person: User) -> None:
    with pytest.raises(CommandError) as caught:
        _command("--user", "amaka", "--scope", "every")
    assert "every" in str(caught.value)
    assert all(scope in str(caught.value) for scope in registered())


@pytest.mark.parametrize("days", ["0", "-1", "999999999"])
def test_the_command_refuses_senseless_days(person: User, days: str) -> None:
    with pytest.raises(CommandError, match="--days"):
        _command("--user", "amaka", "--scope", "all", "--days", days)
