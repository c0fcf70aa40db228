"""Every page for every role: what it answers, what it shows, what it asks the database."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.views.defaults import server_error

from apps.notifications.models import Notification
from apps.notifications.services import notify
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World
from tests.support import FULL_SIZE

PEOPLE = ["requester", "reviewer", "senior", "operator", "auditor", "admin"]
LISTS = [
    *("/", "/inbox/", "/interventions/", "/budgets/", "/notifications/"),
    "/budgets/transfers/",
]
FRAGMENTS = ["/home/live/", "/inbox/live/", "/interventions/live/", "/budgets/live/", "/counts/"]


def test_every_page_opens_for_every_role(world: World, as_person: AsPerson) -> None:
    intervention, approval = ask_to_sign(world)
    world.finish(world.ask())
    details = [
        f"/requests/{approval.pk}/",
        f"/requests/{approval.pk}/live/",
        f"/interventions/{intervention.pk}/",
        f"/interventions/{intervention.pk}/live/",
        "/budgets/main/",
        "/budgets/main/live/",
    ]
    answers = {
        (name, path): as_person(name).get(path).status_code
        for name in PEOPLE
        for path in [*LISTS, *FRAGMENTS, *details]
    }
    assert {key: status for key, status in answers.items() if status != 200} == {}


def test_no_page_needs_more_than_the_content_security_policy_allows(
    world: World, as_person: AsPerson
) -> None:
    intervention, approval = ask_to_sign(world)
    pages = [*LISTS, f"/requests/{approval.pk}/", f"/interventions/{intervention.pk}/"]
    for path in [*pages, "/budgets/main/", "/interventions/new/", "/nowhere/"]:
        response = as_person("admin").get(path)
        html = response.content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:", html)
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize("path", [*LISTS, "/interventions/new/"])
def test_whoever_is_not_signed_in_is_sent_to_the_login(path: str, db: None) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/?next=")


@pytest.mark.parametrize("path", FRAGMENTS)
def test_a_fragment_sends_a_page_whose_session_is_over_to_the_login(path: str, db: None) -> None:
    response = Client().get(path, headers={"HX-Current-URL": "http://testserver/inbox/?mine=on"})
    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == "/login/?next=%2Finbox%2F%3Fmine%3Don"
    assert response.content == b""


@pytest.mark.parametrize("sent", ["http://[", "http://[::1", "//[x]y", "http://\u2100.example/"])
def test_a_fragment_survives_an_address_that_is_none(sent: str, db: None) -> None:
    response = Client().get(FRAGMENTS[0], headers={"HX-Current-URL": sent})
    assert response.status_code == 401
    assert response.headers["HX-Redirect"].startswith("/login/?next=%2F")


def test_a_fragment_carries_only_parts_that_the_page_can_merge(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    html = as_person("reviewer").get(f"/requests/{approval.pk}/live/").content.decode()
    assert "<html" not in html
    for part in (
        *("request-head", "request-asked", "request-now", "request-presence", "decide-bar"),
        *("decide", "request-signatures", "timeline"),
    ):
        assert re.search(rf'id="{part}" data-merge="(replace|state|keyed)"', html)


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.parametrize("path", [*LISTS, "/budgets/main/"])
def test_a_list_asks_as_often_for_many_rows_as_for_few(
    path: str, world: World, as_person: AsPerson
) -> None:
    def add(count: int, prefix: str) -> None:
        for number in range(count):
            ask_to_sign(world, target=f"{prefix} {number}")
            done = world.ask(target=f"{prefix} done {number}")
            world.finish(done)
            world.budget(f"{prefix}-{number}", "100.00")
            notify(
                key=f"{prefix}:{number}",
                recipients=[world.people["senior"]],
                kind="test",
                title="Something ended",
            )

    client = as_person("senior")
    client.get(path)  # fills the caches of content types and permissions
    add(2, "few")
    few = queries(client, path)
    add(8, "many")
    assert queries(client, path) == few
    # Home has nine panels, of which one asks for the failures of two domains; the header asks, too.
    # The home page has a card for each domain.
    assert few <= 34


def test_detail_pages_ask_the_same_whatever_happened(world: World, as_person: AsPerson) -> None:
    client = as_person("senior")
    fresh, approval = ask_to_sign(world)
    ended = world.ask()
    world.finish(ended)
    client.get("/")
    before = queries(client, f"/interventions/{fresh.pk}/")
    assert queries(client, f"/interventions/{ended.pk}/") <= before + 1
    assert queries(client, f"/requests/{approval.pk}/") <= 30


def test_what_belongs_to_others_is_not_found(world: World, as_person: AsPerson) -> None:
    intervention = world.ask(by=world.people["admin"])
    world.open(intervention)
    client = as_person("requester")
    _, approval = ask_to_sign(world)
    approval.__class__.objects.filter(pk=approval.pk).update(requested_by=world.people["admin"])
    for path in [
        f"/interventions/{intervention.pk}/",
        f"/interventions/{intervention.pk}/live/",
        f"/requests/{approval.pk}/",
        f"/requests/{approval.pk}/live/",
        f"/requests/{uuid4()}/",
        "/budgets/unknown/",
        "/requests/not-an-id/",
    ]:
        response = client.get(path)
        assert response.status_code == 404, path
        assert b"Page not found" in response.content
    assert client.post(f"/requests/{approval.pk}/", {"verdict": "approve"}).status_code == 404


QUERIES = [
    "?kind=%00",
    "?status=%00",
    "?cursor=%00",
    "?cursor=nonsense",
    "?least=%00&most=NaN",
    "?least=99999999999999999999999",
    "?budget=%00&policy=%00",
    "?before=99999999999999999999",
    "?before=%00",
    "?mine=%00&age=%F0%9F%92%A9",
    "?verdict=%00",
    "?older=%00",
    "?older=99999999999999999999",
    "?older=1",
]


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_string_breaks_a_page(query: str, world: World, as_person: AsPerson) -> None:
    """Each on every second page, others with the next; `make large` has each on all."""
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    pages = [f"/requests/{approval.pk}/", *LISTS, *FRAGMENTS, "/budgets/main/"]
    for path in pages if FULL_SIZE else pages[QUERIES.index(query) % 2 :: 2]:
        assert client.get(path + query).status_code == 200, path


def test_a_filter_that_is_not_valid_finds_nothing_and_says_so(
    world: World, as_person: AsPerson
) -> None:
    ask_to_sign(world)
    html = as_person("reviewer").get("/inbox/?least=abc").content.decode()
    assert "The filters do not make sense" in html
    assert "Makoko" not in html


def test_a_refused_form_token_has_our_look() -> None:
    strict = Client(enforce_csrf_checks=True)
    refused = strict.post("/login/", {"username": "reviewer", "password": "demo"})
    assert refused.status_code == 403
    assert b"The form was not accepted" in refused.content
    assert b"tokens.css" in refused.content


def test_the_failure_page_needs_no_database(rf: RequestFactory) -> None:
    """Without the db fixture every query fails."""
    response = server_error(rf.get("/"))
    assert response.status_code == 500
    assert b"The server failed" in response.content


def test_notifications_are_the_persons_own_and_read_by_post_only(
    world: World, as_person: AsPerson
) -> None:
    for name in ("reviewer", "senior"):
        notify(
            key=f"hello:{name}",
            recipients=[world.people[name]],
            kind="test",
            title=f"For {name}",
            url="/inbox/",
        )
    client = as_person("reviewer")
    assert b"For reviewer" in client.get("/notifications/").content
    assert b"For senior" not in client.get("/notifications/").content
    assert client.get("/notifications/read/").status_code == 405
    theirs = Notification.objects.get(recipient=world.people["senior"])
    client.post("/notifications/read/", {"id": str(theirs.pk)})
    client.post("/notifications/read/", {"id": "\x00"})
    theirs.refresh_from_db()
    assert theirs.read_at is None
    client.post("/notifications/read/")
    assert Notification.objects.get(recipient=world.people["reviewer"]).read_at is not None
    theirs.refresh_from_db()
    assert theirs.read_at is None
