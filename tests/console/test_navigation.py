"""The navigation as pages draw it, for each role, without scripts."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from apps.common.windows import midnight, site_day
from apps.console.context import RAIL_COOKIE, Shell
from apps.engine.models import EngineCommand
from apps.interventions.models import Outcome
from apps.interventions.services import transfers
from apps.web import navigation
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World

PEOPLE = ["requester", "reviewer", "senior", "operator", "auditor", "admin"]
COMMANDS = "/admin/engine/enginecommand/"


def html(client: Client, path: str = "/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return unescape(answer.content.decode())


def part(page: str, begin: str, end: str) -> str:
    assert page.count(begin) == 1, begin
    return page.split(begin)[1].split(end)[0]


def sidebar(page: str) -> str:
    return part(page, '<nav class="side-nav"', "</nav>")


def drawer(page: str) -> str:
    return part(page, '<div class="drawer-body">', "</nav>")


def bottom_bar(page: str) -> str:
    return part(page, '<nav class="bottom-bar"', "<details")


def links(text: str) -> list[str]:
    return re.findall(r'<a [^>]*href="([^"]+)"', text)


def marked(text: str) -> list[tuple[str, str]]:
    return re.findall(r'href="([^"]+)" aria-current="([^"]+)"', text)


# --- what is in it -------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/", "/admin/", COMMANDS])
def test_every_item_is_in_the_sidebar_and_in_the_drawer_of_site_and_admin(
    path: str, world: World, as_person: AsPerson
) -> None:
    page = html(as_person("admin"), path)
    everything = [reverse(item.url_name) for item in navigation.items()]
    assert links(sidebar(page)) == links(drawer(page)) == everything
    assert links(bottom_bar(page))[:2] == ["/", "/inbox/"]
    for section in navigation.sections():
        title = f">{section.title}</p>"
        assert title in sidebar(page) and title in drawer(page)


@pytest.mark.parametrize("name", PEOPLE)
def test_what_a_person_sees_in_it_opens_and_what_does_not_open_is_not_in_it(
    name: str, world: World, as_person: AsPerson
) -> None:
    client = as_person(name)
    shown = links(sidebar(html(client)))
    opened = [
        path
        for path in (reverse(item.url_name) for item in navigation.items())
        if client.get(path).status_code == 200
    ]
    assert shown == opened


def test_every_icon_is_in_the_sprite() -> None:
    found = finders.find("console/icons.svg")
    assert isinstance(found, str)
    symbols = set(re.findall(r'<symbol id="([a-z_-]+)"', Path(found).read_text()))
    wanted = {item.icon or "place" for item in navigation.items()}
    assert wanted | {"menu", "fold", "search"} <= symbols


def test_a_page_below_an_item_marks_it_everywhere(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    exact = html(client, "/inbox/")
    below = html(client, f"/requests/{approval.pk}/")
    other = html(client, "/budgets/transfers/")
    for piece in (sidebar, drawer, bottom_bar):
        assert marked(piece(exact)) == [("/inbox/", "page")]
        assert marked(piece(below)) == [("/inbox/", "true")]
    assert marked(sidebar(other)) == [("/budgets/transfers/", "page")]
    assert marked(bottom_bar(other)) == []
    # It has no room for both; the bulk decisions are begun in the inbox.
    assert marked(bottom_bar(html(client, "/bulk/"))) == [("/inbox/", "true")]
    assert marked(sidebar(html(as_person("admin"), COMMANDS))) == [("/admin/", "true")]


def test_a_window_that_the_admin_opens_to_choose_a_row_has_no_navigation(
    world: World, as_person: AsPerson
) -> None:
    page = html(as_person("admin"), f"{COMMANDS}?_popup=1")
    assert "side-nav" not in page and "bottom-bar" not in page


def test_whoever_has_no_place_in_the_admin_sees_none_there(
    world: World, as_person: AsPerson
) -> None:
    world.requester.__class__.objects.filter(username="requester").update(is_staff=False)
    client = as_person("requester")
    assert "/admin/" not in links(sidebar(html(client)))
    assert "side-nav" not in html(Client(), "/login/")


# --- the figure ----------------------------------------------------------------------------------
def test_the_count_of_the_inbox_stands_in_all_three_and_its_fragment_has_all_three(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("reviewer")
    ids = ["nav-inbox", "drawer-inbox", "bar-inbox"]

    def shown(page: str) -> dict[str, tuple[str, str]]:
        found = re.findall(r'id="([a-z]+-inbox)" data-merge="replace"( hidden|)>(\d*)<', page)
        return {key: (hidden.strip(), figure) for key, hidden, figure in found}

    assert shown(html(client)) == dict.fromkeys(ids, ("hidden", ""))
    ask_to_sign(world)
    for path in ("/", "/counts/", "/admin/"):
        assert shown(html(client, path)) == dict.fromkeys(ids, ("", "1")), path


def test_a_figure_is_counted_once_however_often_it_is_shown(world: World) -> None:
    calls = []
    item = navigation.Item("work", "Inbox", "inbox", count=lambda user: str(calls.append(user)))
    request = RequestFactory().get("/")
    request.user = world.people["reviewer"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(navigation, "items", lambda: [item])
        shell = Shell(request)
        for one in (*shell.sections[0].items, *shell.bottom_bar, *shell.counted):
            assert one.count == "None"
    assert len(calls) == 1


# --- the rail ------------------------------------------------------------------------------------
def test_the_rail_is_a_form_and_the_next_page_is_drawn_with_it(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("reviewer")
    page = sidebar(html(client, "/inbox/?mine=on"))
    assert "data-rail" not in page
    assert 'name="next" value="/inbox/?mine=on"' in page
    answer = client.post("/navigation/rail/", {"rail": "1", "next": "/inbox/?mine=on"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/inbox/?mine=on")
    assert client.cookies[RAIL_COOKIE]["path"] == "/"
    for path in ("/inbox/", "/admin/"):
        folded = sidebar(html(client, path))
        assert "data-rail" in folded
        # Icons alone say nothing to a pointer.
        assert folded.count(' title="') == len(links(folded))
    client.post("/navigation/rail/", {"rail": "0", "next": "/"})
    assert "data-rail" not in sidebar(html(client))


@pytest.mark.parametrize(
    "back",
    ["", "https://elsewhere.example/", "//elsewhere.example/", "inbox", "/\\elsewhere", "\n"],
)
def test_the_rail_leads_nowhere_else(back: str, world: World, as_person: AsPerson) -> None:
    client = as_person("reviewer")
    answer = client.post("/navigation/rail/", {"rail": "1", "next": back})
    assert answer.headers["Location"] == "/"
    assert client.get("/navigation/rail/").status_code == 405
    assert Client().post("/navigation/rail/").headers["Location"].startswith("/login/")


def test_the_answer_to_a_form_is_no_page_to_come_back_to(world: World) -> None:
    request = RequestFactory().post("/requests/1/comment/")
    request.user = world.people["reviewer"]
    assert Shell(request).here == ""


# --- two clicks ----------------------------------------------------------------------------------
def walk(client: Client, *words: str) -> str:
    """The page to which a newcomer comes who follows links of these words, from the first page."""
    page = html(client)
    for text in words:
        found = re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL)
        named = [
            path
            for path, inner in found
            if re.sub(r"<span class=\"count\".*|<[^>]+>", "", inner, flags=re.DOTALL).strip()
            == text
        ]
        assert named, f"no link {text!r}"
        page = html(client, named[0])
    return page


@pytest.mark.parametrize("name", ["requester", "reviewer", "operator", "auditor"])
def test_transfers_are_one_click_away(name: str, world: World, as_person: AsPerson) -> None:
    world.budget("second", "1000.00")
    transfers.transfer_request(
        source="main",
        destination="second",
        amount=Decimal("100.00"),
        reason="The second flood.",
        by=world.requester,
        via="api",
        as_of=timezone.now(),
    )
    assert "NGN\u00a0100.00" in walk(as_person(name), "Transfers")


@pytest.mark.parametrize("name", ["operator", "auditor", "admin"])
def test_a_failed_command_is_two_clicks_away(name: str, world: World, as_person: AsPerson) -> None:
    world.ask()
    EngineCommand.objects.update(state="parked", error="Namespace not found.")
    assert "Namespace not found." in walk(as_person(name), "Admin", "Engine commands")


@pytest.mark.parametrize("name", ["requester", "reviewer", "operator", "auditor"])
def test_the_outcomes_of_last_month_are_two_clicks_away(
    name: str, world: World, as_person: AsPerson
) -> None:
    world.finish(world.ask())
    first = site_day(timezone.now()).replace(day=1)
    Outcome.objects.update(at=midnight(first) - timedelta(hours=1))
    page = walk(as_person(name), "Outcomes", "Last month")
    assert "<b>1</b> <span>ended</span>" in page
    assert f"{first - timedelta(days=1):%-d %b %Y}" in page
    assert "<b>0</b> <span>ended</span>" in walk(as_person(name), "Outcomes", "This month")
