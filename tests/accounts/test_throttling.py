"""Guessing: passwords, codes and keys; with Redis and without it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client

from apps.accounts import rate_limits, throttle
from apps.accounts.addresses import client_address, network_of
from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.accounts.throttle import Limit
from apps.audit.models import AuditEntry
from deploy.local.processes import free_port
from tests.accounts.world import PASSWORD, Phone, person_of, sign_in, signed_in
from tests.support import eventually

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small(settings: Any) -> None:
    settings.LOGIN_ATTEMPTS = 3
    settings.LOGIN_ATTEMPTS_PER_ADDRESS = 8
    settings.CODE_ATTEMPTS = 3
    settings.KEY_ATTEMPTS_PER_ADDRESS = 3


def guess(client: Client, times: int, name: str = "amaka", **where: str) -> list[int]:
    return [
        client.post("/login/", {"username": name, "password": f"no{n}"}, **where).status_code
        for n in range(times)
    ]


def locked() -> list[Any]:
    entries = AuditEntry.objects.filter(code="too_many_requests").order_by("id")
    return [entry.body for entry in entries]


# --- passwords -----------------------------------------------------------------------------------
def test_after_some_wrong_passwords_even_the_right_one_waits(client: Client, person: User) -> None:
    assert guess(client, 5) == [200, 200, 200, 429, 429]
    answer = sign_in(client)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 300
    assert b"Too many failed attempts" in answer.content
    assert b"tokens.css" in answer.content
    assert not signed_in(client)
    # Once, however long it goes on.
    assert locked() == [{"username": "amaka", "address": "127.0.0.1", "limit": "login-here"}]


def test_a_name_that_is_nobodys_is_answered_the_same(client: Client, person: User) -> None:
    known = [sign_in(client, "amaka", "no") for _ in range(4)]
    unknown = [sign_in(client, "nobody", "no") for _ in range(4)]
    assert [a.status_code for a in known] == [a.status_code for a in unknown]

    def words(answer: Any) -> str:
        html = answer.content.decode()
        return html[html.index("note-bad") : html.index("<form")]

    assert [words(a) for a in known] == [words(a) for a in unknown]


def test_a_stranger_elsewhere_does_not_lock_the_owner_out(client: Client, person: User) -> None:
    guess(client, 5, REMOTE_ADDR="203.0.113.9")
    assert sign_in(client)["Location"] == "/"


def test_an_account_that_is_tried_from_everywhere_is_locked_everywhere(
    client: Client, person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "EVERYWHERE", 2)
    for n in range(2):
        guess(client, 3, REMOTE_ADDR=f"203.0.113.{n}")
    assert sign_in(client).status_code == 429
    assert locked()[-1]["limit"] == "login-account"


def test_an_address_that_tries_many_accounts_is_locked(client: Client, person: User) -> None:
    answers = [guess(client, 1, name=f"name{n}")[0] for n in range(10)]
    assert answers == [200] * 8 + [429] * 2
    assert locked() == [
        {"username": "(nobody's)", "address": "127.0.0.1", "limit": "login-address"}
    ]
    other = sign_in(client, REMOTE_ADDR="203.0.113.9")
    assert other.status_code == 429  # REMOTE_ADDR in a form means nothing


def test_right_passwords_are_never_counted(client: Client, person: User) -> None:
    for _ in range(9):
        assert sign_in(Client()).status_code == 302


def test_right_passwords_between_do_not_wipe_the_wrong_ones(client: Client, person: User) -> None:
    person_of("mine")
    for _ in range(3):
        guess(client, 1)
        sign_in(Client(), "mine")
    assert guess(client, 1) == [429]


def test_many_at_once_are_no_way_around(settings: Any) -> None:
    limit = Limit("test", "x", 5, 60)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: throttle.consume(limit), range(40)))
    assert answers.count(None) == 5
    assert sum(a.first for a in answers if a) == 1


def test_a_wait_ends(settings: Any) -> None:
    limit = Limit("test", "short", 1, 1)
    assert throttle.consume(limit) is None
    # On a busy machine the second may pass between two of them.
    refused = eventually(lambda: throttle.consume(limit), every=0)
    assert refused is not None
    assert refused.retry_after == 1
    assert eventually(lambda: throttle.consume(limit) is None, timeout=3, every=0.1)


# --- codes ---------------------------------------------------------------------------------------
def test_wrong_codes_are_throttled_for_the_person_wherever_they_are(
    client: Client, person: User, phone: Phone
) -> None:
    for n in range(3):
        one = Client(REMOTE_ADDR=f"203.0.113.{n}")
        sign_in(one)
        assert one.post("/login/code/", {"code": "000000"}).status_code == 200
    sign_in(client)
    answer = client.post("/login/code/", {"code": phone.code()})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    client.post("/login/code/", {"code": phone.code()})
    assert not signed_in(client)
    entries = AuditEntry.objects.filter(action="mfa.use").order_by("id")
    assert [e.code for e in entries] == ["incorrect_code"] * 3 + ["too_many_requests"]


def test_wrong_passwords_of_somebody_signed_in_are_throttled_too(
    client: Client, person: User
) -> None:
    client.force_login(person)
    form = {"old_password": "no", "new_password1": "a new horse", "new_password2": "a new horse"}
    answers = [client.post("/account/password/", form).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert client.post("/account/password/", {**form, "old_password": PASSWORD}).status_code == 429
    person.refresh_from_db()
    assert person.check_password(PASSWORD)


# --- keys ----------------------------------------------------------------------------------------
def test_wrong_keys_are_throttled_by_address_and_good_ones_never(
    client: Client, person: User
) -> None:
    key, good = api_key_create(user=person, name="k", scopes=["all"], by=None)
    bad = [f"csk_{key.prefix}_guess-of-a-secret", "csk_unknown123_x", "password-in-the-wrong-place"]

    def call(key: str) -> Any:
        return client.get("/api/v1/approvals", headers={"X-API-Key": key})

    assert [call(one).status_code for one in bad] == [401] * 3
    answer = call(bad[0])
    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_requests"
    assert answer["Content-Type"].startswith("application/problem+json")
    assert 0 < int(answer["Retry-After"]) <= 300
    assert call(bad[0]).status_code == 429
    assert call(good).status_code != 429
    elsewhere = client.get(
        "/api/v1/approvals", headers={"X-API-Key": bad[0]}, REMOTE_ADDR="203.0.113.9"
    )
    assert elsewhere.status_code == 401
    entries = list(AuditEntry.objects.filter(action="api_key.use").order_by("id"))
    assert [e.code for e in entries] == ["bad_key"] * 3 + ["too_many_requests", "bad_key"]
    assert [(e.subject_id, (e.body or {})["key"]) for e in entries[:3]] == [
        (str(person.pk), key.prefix),
        ("", "(nobody's)"),
        ("", "(nobody's)"),
    ]
    everything = str([vars(entry) for entry in entries])
    assert "guess-of-a-secret" not in everything
    assert "password-in-the-wrong-place" not in everything


# --- without Redis -------------------------------------------------------------------------------
def test_without_redis_people_sign_in_and_guessing_is_still_counted(
    client: Client, person: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert sign_in(Client())["Location"] == "/"
    assert guess(client, 5) == [200, 200, 200, 429, 429]
    assert caplog.text.count("throttle_counts_locally") == 1
    answers = [
        client.get("/api/v1/approvals", headers={"X-API-Key": "csk_a_b"}).status_code
        for _ in range(4)
    ]
    assert answers == [401, 401, 401, 429]


def test_redis_that_is_back_is_used_again(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle._redis.server.breaker, "seconds", 0.0)
    good, settings.REDIS_URL = settings.REDIS_URL, f"redis://127.0.0.1:{free_port()}/0"
    limit = Limit("test", "back", 1, 60)
    throttle.consume(limit)
    settings.REDIS_URL = good
    assert throttle.consume(limit) is None
    assert throttle.consume(limit) is not None


def test_counters_of_a_process_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_LOCAL", 10)
    local = throttle._Local()
    for n in range(100):
        local.count(f"key{n}", 60)
    assert len(local._counts) <= 10


# --- addresses -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("trusted", "forwarded", "remote", "expected"),
    [
        (0, "198.51.100.1", "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.2", "10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "10.0.0.1", "10.0.0.1"),
        (1, "", "10.0.0.1", "10.0.0.1"),
        (1, "nonsense", "10.0.0.1", "10.0.0.1"),
        (1, "198.51.100.1:4711", "10.0.0.1", "198.51.100.1"),
        (1, "[2001:db8::1]:4711", "10.0.0.1", "2001:db8::1"),
        (0, "", "::ffff:203.0.113.9", "203.0.113.9"),
        (0, "", "", ""),
    ],
)
def test_only_trusted_proxies_say_where_a_request_comes_from(
    rf: Any, settings: Any, trusted: int, forwarded: str, remote: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = trusted
    request = rf.get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=remote)
    assert client_address(request) == expected


def test_an_ipv6_network_counts_as_one_place() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("203.0.113.9") == "203.0.113.9"
