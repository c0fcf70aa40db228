"""The app, the recovery codes, and what happens to them. Codes are computed as a phone does."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import StringIO
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts import services
from apps.accounts.crypto import decrypted
from apps.accounts.models import User, UserSession
from apps.audit.contracts import SystemActor
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed
from tests.accounts.world import PASSWORD, SECRET, Phone, codes_of, person_of, sign_in, signed_in

pytestmark = pytest.mark.django_db
SETUP, CODE, CODES = "/account/security/app/", "/login/code/", "/account/security/codes/"


def actions(user: User) -> list[tuple[str, str, str]]:
    entries = AuditEntry.objects.about("user", user.pk).order_by("id")
    return [(entry.action, entry.outcome, entry.code) for entry in entries]


def secret_on(page: Any) -> str:
    found = re.search(r'class="secret">([A-Z2-7 ]+)<', page.content.decode())
    assert found
    return found[1].replace(" ", "")


# --- setting up ----------------------------------------------------------------------------------
def test_setting_up_shows_a_code_to_scan_and_ends_with_recovery_codes(
    client: Client, person: User
) -> None:
    sign_in(client)
    page = client.get(SETUP)
    html = page.content.decode()
    assert '<svg class="qr"' in html
    assert 'aria-label="QR code for your authenticator app"' in html
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)", html)
    assert "no-store" in page["Cache-Control"]
    phone = Phone(secret_on(page))
    done = client.post(SETUP, {"code": phone.code()})
    assert done["Location"] == f"{CODES}?fresh=1"
    shown = client.get(done["Location"]).content.decode()
    codes = codes_of(person)
    assert len(codes) == 10
    assert all(f"<li>{code[:4]} {code[4:]}</li>" in shown for code in codes)
    assert ("mfa.add", "done", "") in actions(person)


def test_a_wrong_code_sets_nothing_up_and_the_same_secret_is_shown_again(
    client: Client, person: User
) -> None:
    sign_in(client)
    secret = secret_on(client.get(SETUP))
    again = client.post(SETUP, {"code": "000000"})
    assert again.status_code == 200
    assert secret_on(again) == secret == secret_on(client.get(SETUP))
    assert not Authenticator.objects.exists()
    assert ("mfa.add", "refused", "incorrect_code") in actions(person)


def test_the_secrets_are_not_in_the_database_as_they_are_and_nowhere_in_the_trail(
    client: Client, person: User
) -> None:
    sign_in(client)
    secret = secret_on(client.get(SETUP))
    code = Phone(secret).code()
    client.post(SETUP, {"code": code})
    row = Authenticator.objects.get(type="totp")
    assert secret not in str(row.data)
    assert decrypted(row.data["secret"]) == secret
    everything = str(list(AuditEntry.objects.values_list("body", flat=True)))
    for hidden in (secret, code, PASSWORD, *codes_of(person)):
        assert hidden not in everything
    assert secret not in str(dict(client.session))


def test_the_code_of_the_setup_cannot_sign_in_afterwards(client: Client, person: User) -> None:
    sign_in(client)
    phone = Phone(secret_on(client.get(SETUP)))
    code = phone.code()
    client.post(SETUP, {"code": code})
    other = Client()
    sign_in(other)
    assert other.post(CODE, {"code": code}).status_code == 200
    assert not signed_in(other)


def test_setting_up_twice_at_once_leaves_one(client: Client, person: User) -> None:
    now = timezone.now()
    given: dict[str, Any] = {
        "user": person,
        "as_of": now,
        "keep": None,
        "by": person,
        "via": "page",
    }
    services.totp_activate(secret=SECRET, code=Phone().code(), **given)
    with pytest.raises(Conflict):
        services.totp_activate(secret=SECRET, code=Phone().code(1), **given)
    assert Authenticator.objects.filter(type="totp").count() == 1


def test_sessions_that_a_password_alone_opened_end_when_it_is_on(
    client: Client, person: User
) -> None:
    stranger = Client()
    sign_in(stranger)
    sign_in(client)
    client.post(SETUP, {"code": Phone(secret_on(client.get(SETUP))).code()})
    assert client.get("/notifications/").status_code == 200
    assert stranger.get("/notifications/").status_code == 302


# --- signing in ----------------------------------------------------------------------------------
def test_the_password_alone_opens_nothing_and_the_code_opens_what_was_wanted(
    client: Client, person: User, phone: Phone
) -> None:
    assert sign_in(client, next="/inbox/?mine=on")["Location"] == CODE
    assert not signed_in(client)
    assert client.get("/notifications/")["Location"].startswith("/login/")
    before = client.session.session_key
    assert client.post(CODE, {"code": phone.code()})["Location"] == "/inbox/?mine=on"
    assert signed_in(client)
    assert client.session.session_key != before
    assert actions(person) == [("mfa.use", "done", ""), ("user.login", "done", "")]


def test_without_a_password_before_there_is_no_page_for_a_code(
    client: Client, phone: Phone
) -> None:
    assert client.get(CODE)["Location"] == "/login/"
    assert client.post(CODE, {"code": phone.code()})["Location"] == "/login/"
    assert not signed_in(client)


def test_a_code_is_accepted_once(client: Client, person: User, phone: Phone) -> None:
    code = phone.code()
    for expected in (True, False):
        one = Client()
        sign_in(one)
        one.post(CODE, {"code": code})
        assert signed_in(one) is expected
    assert ("mfa.use", "refused", "incorrect_code") in actions(person)


def test_an_earlier_code_is_worth_nothing_after_a_later_one(person: User, phone: Phone) -> None:
    use = {"user": person, "as_of": timezone.now(), "via": "page"}
    services.second_factor_use(code=phone.code(1), **use)
    with pytest.raises(NotAllowed):
        services.second_factor_use(code=phone.code(), **use)


@pytest.mark.parametrize(
    ("ahead", "good"), [(-3, False), (-1, True), (0, True), (1, True), (3, False)]
)
def test_half_a_minute_of_a_wrong_clock_is_forgiven(
    person: User, phone: Phone, ahead: int, good: bool
) -> None:
    with time_machine.travel("2026-03-03T10:00:15Z", tick=False):
        code, now = phone.code(ahead), timezone.now()
    if good:
        services.second_factor_use(user=person, code=code, as_of=now, via="page")
    else:
        with pytest.raises(NotAllowed):
            services.second_factor_use(user=person, code=code, as_of=now, via="page")


@pytest.mark.parametrize(
    "code", ["", " ", "abcdef", "１２３４５６", "\0", "0" * 5000, "é", "' or 1=1"]
)
def test_hostile_codes_are_ordinary_failures(client: Client, phone: Phone, code: str) -> None:
    sign_in(client)
    assert client.post(CODE, {"code": code}).status_code == 200
    assert not signed_in(client)


def test_the_second_step_ends_after_a_quarter_of_an_hour(client: Client, phone: Phone) -> None:
    start = timezone.now()
    sign_in(client)
    with time_machine.travel(start + timezone.timedelta(minutes=16)):
        assert client.post(CODE, {"code": phone.code()})["Location"] == "/login/"
    assert not signed_in(client)


def test_who_stands_at_the_second_step_can_start_over(client: Client, phone: Phone) -> None:
    sign_in(client)
    assert client.get("/login/")["Location"] == CODE
    client.post("/login/cancel/")
    assert client.get("/login/").status_code == 200
    assert client.get(CODE)["Location"] == "/login/"


def test_a_second_factor_whose_key_is_lost_is_a_refusal_not_a_failure(
    client: Client, person: User, phone: Phone, settings: Any
) -> None:
    former = settings.SECRET_KEY
    sign_in(client)
    settings.SECRET_KEY = "another-" + "1" * 50
    with pytest.raises(NotAllowed):
        services.second_factor_use(user=person, code=phone.code(), as_of=timezone.now(), via="page")
    settings.SECRET_KEY_FALLBACKS = [former]
    services.second_factor_use(user=person, code=phone.code(), as_of=timezone.now(), via="page")


# --- recovery codes ------------------------------------------------------------------------------
def test_a_recovery_code_signs_in_once(client: Client, person: User, phone: Phone) -> None:
    code = codes_of(person)[3]
    for expected in (True, False):
        one = Client()
        sign_in(one)
        one.post(CODE, {"code": f" {code[:4]}-{code[4:]} "})
        assert signed_in(one) is expected
    assert code not in codes_of(person)
    entry = AuditEntry.objects.get(action="mfa.use", outcome="done")
    assert entry.body == {"kind": "recovery code", "left": 9}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["totp", "recovery"])
def test_of_many_at_once_with_the_same_code_one_is_let_in(kind: str, settings: Any) -> None:
    settings.CODE_ATTEMPTS = 50
    person = person_of("amaka")
    phone = Phone.of(person)
    code = phone.code() if kind == "totp" else codes_of(person)[0]
    now = timezone.now()

    def use(_: int) -> bool:
        with closing(connection):
            try:
                services.second_factor_use(user=person, code=code, as_of=now, via="page")
            except NotAllowed:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(use, range(6))) == 1


def test_new_codes_replace_the_old_ones(client: Client, person: User, phone: Phone) -> None:
    old = codes_of(person)
    sign_in(client)
    client.post(CODE, {"code": phone.code()})
    assert client.post(CODES)["Location"] == CODES
    fresh = codes_of(person)
    assert len(fresh) == 10
    assert not set(old) & set(fresh)
    assert ("mfa.recovery_codes", "done", "") in actions(person)
    text = client.get(f"{CODES}download/")
    assert text["Content-Disposition"].startswith("attachment")
    assert "no-store" in text["Cache-Control"]
    assert all(f"{code[:4]} {code[4:]}" in text.content.decode() for code in fresh)


# --- later, and without the phone ----------------------------------------------------------------
@pytest.mark.parametrize("path", [CODES, f"{CODES}download/", f"{SETUP}remove/"])
def test_what_matters_asks_again_when_signing_in_is_long_ago(
    client: Client, person: User, phone: Phone, path: str
) -> None:
    sign_in(client)
    client.post(CODE, {"code": phone.code()})
    assert client.get(path).status_code == 200
    later = timezone.now() + timezone.timedelta(minutes=6)
    with time_machine.travel(later):
        asked = client.get(path)["Location"]
        # A password would be the weaker of the two.
        assert asked.startswith("/account/confirm/code/?next=")
        assert client.get("/account/confirm/")["Location"].startswith("/account/confirm/code/")
        assert client.post(asked, {"code": phone.code()})["Location"] == path
        assert client.get(path).status_code == 200


def test_setting_up_asks_for_the_password_when_signing_in_is_long_ago(
    client: Client, person: User
) -> None:
    client.force_login(person)
    asked = client.get(SETUP)["Location"]
    assert asked.startswith("/account/confirm/?next=")
    wrong = client.post(asked, {"password": "no"})
    assert b"The password is wrong" in wrong.content
    assert ("user.confirm", "refused", "bad_credentials") in actions(person)
    assert client.post(asked, {"password": PASSWORD})["Location"] == SETUP
    assert client.get(SETUP).status_code == 200


def test_removing_it_takes_a_confirmation_and_is_recorded(
    client: Client, person: User, phone: Phone
) -> None:
    sign_in(client)
    client.post(CODE, {"code": phone.code()})
    assert b"Your password alone then signs you in" in client.get(f"{SETUP}remove/").content
    client.post(f"{SETUP}remove/")
    assert not Authenticator.objects.filter(user=person).exists()
    assert ("mfa.remove", "done", "") in actions(person)
    client.post(f"{SETUP}remove/")
    assert ("mfa.remove", "refused", "no_second_factor") in actions(person)
    client.post("/logout/")
    assert sign_in(client)["Location"] == "/"


def test_a_lost_phone_is_helped_by_somebody_else_who_says_why(person: User, phone: Phone) -> None:
    sign_in(client := Client())
    client.post(CODE, {"code": phone.code()})
    helper = person_of("helper")
    for by, reason, code in (
        (helper, " ", "reason_required"),
        (person, "lost", "own_second_factor"),
    ):
        with pytest.raises(DomainError) as caught:
            services.second_factor_reset(user=person, by=by, reason=reason, via="admin")
        assert caught.value.code == code
    services.second_factor_reset(user=person, by=helper, reason="phone stolen", via="admin")
    assert not Authenticator.objects.filter(user=person).exists()
    assert client.get("/notifications/").status_code == 302
    assert not UserSession.objects.filter(user=person).exists()
    entry = AuditEntry.objects.get(action="mfa.reset", outcome="done")
    assert (entry.actor_label, entry.body) == ("helper", {"reason": "phone stolen"})
    with pytest.raises(Conflict):
        services.second_factor_reset(user=person, by=helper, reason="again", via="admin")


def test_the_command_does_the_same(person: User, phone: Phone) -> None:
    out = StringIO()
    call_command("resetmfa", "amaka", "--reason", "phone stolen", stdout=out)
    assert "amaka" in out.getvalue()
    assert AuditEntry.objects.get(action="mfa.reset").actor_label == "command line"
    for name in ("amaka", "nobody", "a\0b"):
        with pytest.raises(CommandError):
            call_command("resetmfa", name, "--reason", "x")
    with pytest.raises(Invalid):
        services.second_factor_reset(user=person, by=SystemActor("x"), reason="", via="command")


def test_the_admin_has_an_action_for_it(client: Client, person: User, phone: Phone) -> None:
    boss = person_of("boss", is_superuser=True)
    Phone.of(boss)
    client.force_login(boss)
    post = {
        "action": "second_factor_reset",
        "_selected_action": [person.pk, boss.pk],
        "confirmed": "yes",
        "reason": "phone stolen",
    }
    page = client.post("/admin/accounts/user/", post).content.decode()
    assert "signed out everywhere" in page
    assert "Somebody else has to" in page
    assert list(Authenticator.objects.values_list("user", flat=True).distinct()) == [boss.pk]
    shown = client.get("/admin/mfa/authenticator/").content.decode()
    row = Authenticator.objects.filter(type="totp").get()
    shown += client.get(f"/admin/mfa/authenticator/{row.pk}/change/").content.decode()
    assert "boss" in shown
    assert row.data["secret"] not in shown
