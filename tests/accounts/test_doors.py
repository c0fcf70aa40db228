"""What of allauth can be reached, and in whose look."""

import inspect
import re
from typing import Any

import pytest
from allauth.account import urls as account_urls
from allauth.mfa import urls as mfa_urls
from django.conf import settings
from django.template.loader import get_template
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from apps.accounts.models import User
from tests.accounts.world import Phone, demanding, sign_in

pytestmark = pytest.mark.django_db
CLOSED = [
    "account_signup",
    "account_email",
    "account_reset_password",
    "account_set_password",
    "account_inactive",
    "account_logout",
    "mfa_index",
    "mfa_generate_recovery_codes",
    "socialaccount_login",
    "socialaccount_connections",
]


def _patterns(patterns: Any) -> list[Any]:
    found: list[Any] = []
    for one in patterns:
        found += _patterns(one.url_patterns) if hasattr(one, "url_patterns") else [one]
    return found


def test_what_is_not_ours_has_no_address() -> None:
    for name in CLOSED:
        with pytest.raises(NoReverseMatch):
            reverse(name)


@pytest.mark.parametrize("prefix", ["", "accounts/", "account/"])
def test_the_usual_addresses_of_allauth_answer_404(client: Client, prefix: str) -> None:
    ours = {str(pattern.pattern) for pattern in _patterns(get_resolver().url_patterns)}
    usual = _patterns([*account_urls.urlpatterns, *mfa_urls.urlpatterns])
    tried = 0
    for path in {str(pattern.pattern) for pattern in usual}:
        if f"{prefix}{path}" not in ours and "(" not in path and "<" not in path and path:
            tried += 1
            assert client.get(f"/{prefix}{path}").status_code == 404, path
    assert tried > 5


def test_every_view_derived_from_allauth_has_a_template_of_ours() -> None:
    found = set()
    for pattern in _patterns(get_resolver().url_patterns):
        view = getattr(pattern.callback, "view_class", None)
        if view is not None and any("allauth" in base.__module__ for base in inspect.getmro(view)):
            found.add(view.template_name)
            origin = get_template(view.template_name).origin.name
            assert origin.startswith(str(settings.BASE_DIR / "templates")), view
        assert not getattr(pattern.callback, "__module__", "").startswith("allauth"), pattern
    assert found == {"accounts/login.html", "accounts/code.html", "accounts/confirm.html"}


def test_all_pages_are_ours_and_need_no_more_than_the_policy_allows(
    client: Client, person: User
) -> None:
    pages = [client.get("/login/")]
    client.force_login(person)
    pages += [client.get("/account/security/"), client.get("/account/password/")]
    pages += [client.get("/account/confirm/")]
    client.post("/logout/")
    sign_in(client)
    pages += [client.get("/account/security/app/")]
    phone = Phone.of(person)
    pages += [client.get("/account/security/codes/"), client.get("/account/security/app/remove/")]
    client.post("/logout/")
    sign_in(client)
    pages += [client.get("/login/code/")]
    assert phone
    for page in pages:
        html = page.content.decode()
        assert page.status_code == 200
        assert "console/css/tokens" in html
        assert "allauth" not in html.lower()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:", html)
        assert "unsafe" not in page["Content-Security-Policy"]
        assert page["X-Frame-Options"] == "DENY"


FORMS = [
    "/login/",
    "/login/code/",
    "/login/cancel/",
    "/account/confirm/",
    "/account/password/",
    "/account/security/app/",
    "/account/security/app/remove/",
    "/account/security/codes/",
]


def test_every_form_needs_the_csrf_token(person: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)
    for path in FORMS:
        assert strict.post(path, {}).status_code == 403, path


MINE = [
    "/account/security/",
    "/account/password/",
    "/account/confirm/",
    "/account/confirm/code/",
    "/account/security/app/",
    "/account/security/app/remove/",
    "/account/security/codes/",
    "/account/security/codes/download/",
]


def test_nobody_else_sees_them(client: Client) -> None:
    for path in MINE:
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer["Location"].startswith("/login/?next=")


def test_nobody_comes_in_by_asking_for_json(client: Client, person: User) -> None:
    demanding("reviewer")
    form = {"username": "amaka", "password": "no"}
    answer = client.post("/login/", form, headers={"Accept": "application/json"})
    assert answer["Content-Type"].startswith("text/html")
