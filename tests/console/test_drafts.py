"""What the server tells a browser about the forms that it keeps, and where it leads to."""

from pathlib import Path
from re import findall, search
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from apps.console.templatetags.drafts import draft
from apps.web.drafts import COOKIE, MOST_NAMES
from tests.console.conftest import AsPerson, ask_to_sign, form_of
from tests.interventions.conftest import World

TEMPLATES = Path(settings.BASE_DIR) / "templates"
HERE = "http://testserver"
#: Forms without prose, or of people who are not signed in.
WITHOUT = {"_header.html", "_filter_bar.html", "_keys.html", "base_site.html", "search_form.html"}
PROSE = ("<textarea", ".reason }}", "visible_fields", "form.reason", 'name="note"')


def done(client: Client) -> list[str]:
    cookie = client.cookies.get(COOKIE)
    return unquote(cookie.value).split("~") if cookie and cookie.value else []


def test_an_accepted_form_is_named_and_a_refused_one_is_not(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    name = f"decide:{approval.pk}"
    place = f"/requests/{approval.pk}/"
    assert client.post(place, form_of(approval, reason="", draft=name)).status_code == 422
    assert (
        client.post(place, form_of(approval, payload_hash="0" * 64, draft=name)).status_code > 400
    )
    assert done(client) == []
    assert client.post(place, form_of(approval, draft=name)).status_code == 302
    assert done(client) == [name]


def test_a_redirect_that_tells_a_refusal_names_nothing(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    sent = {"to": "nobody", "reason": "On leave.", "draft": f"reassign:{approval.pk}"}
    assert client.post(f"/requests/{approval.pk}/reassign/", sent).status_code == 302
    assert done(client) == []


def test_names_of_several_tabs_wait_for_the_browser_and_strange_ones_do_not(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("requester")
    for number in range(MOST_NAMES + 2):
        client.post("/notifications/read/", {"draft": f"some:{number}"})
    client.post("/notifications/read/", {"draft": "a b; Path=/"})
    client.post("/notifications/read/", {"draft": "x" * 201})
    assert done(client) == [f"some:{number}" for number in range(2, MOST_NAMES + 2)]


@pytest.mark.parametrize("over", [False, True])
def test_signing_out_ends_every_draft_also_when_the_session_was_over(
    over: bool, world: World, as_person: AsPerson
) -> None:
    client = as_person("requester")
    if over:
        Session.objects.all().delete()
    client.post("/logout/")
    assert done(client) == ["*"]


@pytest.mark.parametrize(
    ("sender", "leads_to"),
    [
        (f"{HERE}/requests/1/?verdict=reject", "/requests/1/?verdict=reject"),
        ("https://elsewhere.example/requests/1/", "/inbox/bulk/run/"),
        ("", "/inbox/bulk/run/"),
    ],
)
def test_a_form_sent_after_the_session_leads_back_to_its_page(
    sender: str, leads_to: str, world: World, as_person: AsPerson
) -> None:
    client = as_person("reviewer")
    Session.objects.all().delete()
    answer = client.post("/inbox/bulk/run/", {"draft": "bulk:1"}, headers={"Referer": sender})
    target = urlsplit(answer.headers["Location"])
    assert target.path == "/login/"
    assert parse_qs(target.query)["next"] == [leads_to]
    assert done(client) == []


def test_the_address_of_a_form_that_only_takes_posts_leads_somewhere(
    world: World, as_person: AsPerson
) -> None:
    assert as_person("reviewer").get("/inbox/bulk/run/").headers["Location"] == "/inbox/"


def test_a_draft_is_named_by_what_it_is_about() -> None:
    assert draft("decide", 7, version="payload_hash tier") == (
        'data-draft="decide:7" data-draft-version="payload_hash tier"'
    )
    long = draft("bulk", "a b " * 200)
    assert search(r'^data-draft="bulk:[0-9a-f]{24}"$', long)
    assert '"&gt;' not in draft("x", '"><script>') and "<" not in draft("x", '"><script>')
    assert draft("x", once='"><') == 'data-draft="x" data-draft-once="&quot;&gt;&lt;"'


def test_every_form_with_prose_keeps_what_is_typed() -> None:
    """A new form that forgets the tag fails here."""
    without = []
    for path in sorted(TEMPLATES.rglob("*.html")):
        if path.parent.name == "accounts" or path.name in WITHOUT:
            continue
        for form in findall(r"<form\b.*?</form>", path.read_text().replace("\n", " ")):
            if any(sign in form for sign in PROSE) and "{% draft " not in form:
                without.append(path.relative_to(TEMPLATES))
    assert without == []
