"""Pages of runs with items, as far as their domains share them."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.approvals.models import BulkDecision
from apps.common import csvio
from apps.web.runs import Progress, bar_of
from tests.approvals.test_api import Api
from tests.approvals.test_bulk import begin, work
from tests.approvals.test_bulk_doors import signed_in, text
from tests.approvals.world import opened, person, rule
from tests.console.test_tables import heads

SIGNED = Progress(text="{done} signed, {failed} refused of {total}")


@pytest.mark.parametrize(
    ("counts", "ended", "percent", "widths"),
    [
        ({}, 0, 0, ("0.00%", "0.00%")),
        ({"waiting": 3}, 0, 0, ("0.00%", "0.00%")),
        ({"done": 1, "failed": 1, "waiting": 1}, 2, 66, ("33.33%", "33.33%")),
        ({"done": 2, "cancelled": 2}, 4, 100, ("50.00%", "0.00%")),
        ({"done": 1, "stopped": 1}, 1, 50, ("50.00%", "0.00%")),
    ],
)
def test_the_bar_counts_what_has_ended_and_draws_what_is_done_and_what_failed(
    counts: dict[str, int], ended: int, percent: int, widths: tuple[str, str]
) -> None:
    bar = bar_of(counts, SIGNED)
    assert (bar.ended, bar.percent, (bar.done_width, bar.failed_width)) == (ended, percent, widths)
    assert bar.text == (
        f"{counts.get('done', 0)} signed, {counts.get('failed', 0)} refused"
        f" of {sum(counts.values())}"
    )


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first")


@pytest.fixture
def bulk(requester: User, reviewer: User) -> BulkDecision:
    """Three requests of the reviewer's own, which they cannot sign, and one of somebody else."""
    return begin(reviewer, [*(opened(reviewer) for _ in range(3)), opened(requester)])


def _rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    body = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(body)))


def test_what_was_refused_is_a_file_with_why_read_in_parts(
    bulk: BulkDecision, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvio, "PART", 2)
    address = reverse("bulk_failed_csv", args=[bulk.pk])
    client = signed_in(reviewer)
    assert _rows(client.get(address)) == []
    assert address not in text(client.get(reverse("bulk", args=[bulk.pk])))
    work(bulk)
    rows = _rows(client.get(address))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert {row["code"] for row in rows} == {"requester_cannot_sign"}
    assert rows[0]["request"] == str(bulk.items.get(number=1).request_id)
    assert address in text(client.get(reverse("bulk", args=[bulk.pk])))
    assert signed_in(person("colleague", "first")).get(address).status_code == 404
    assert Client().get(address).status_code == 302


def test_only_the_verbs_of_a_run_are_called_and_only_those_that_fit_are_shown(
    bulk: BulkDecision, reviewer: User
) -> None:
    client = signed_in(reviewer)
    for verb in ("explode", "pause", "cancel"):
        assert client.post(f"/bulk/{bulk.pk}/{verb}/").status_code == 404
    page = text(client.get(f"/bulk/{bulk.pk}/"))
    assert f'action="/bulk/{bulk.pk}/stop/"' in page
    assert f'action="/bulk/{bulk.pk}/resume/"' not in page
    work(bulk)
    ended = text(client.get(f"/bulk/{bulk.pk}/"))
    assert f'action="/bulk/{bulk.pk}/' not in ended


def test_the_fragment_has_every_part_of_the_page_that_changes_and_no_page_around_it(
    bulk: BulkDecision, reviewer: User
) -> None:
    client = signed_in(reviewer)
    page = text(client.get(f"/bulk/{bulk.pk}/", {"show": "left"}))
    fragment = text(client.get(f"/bulk/{bulk.pk}/live/", {"show": "left"}))
    assert "<html" in page
    assert "<html" not in fragment
    parts = ("head", "progress", "acts", "tabs", "items", "items-end")
    for part in parts:
        assert f'id="bulk-{part}"' in page
        assert f'id="bulk-{part}"' in fragment
    assert f"/bulk/{bulk.pk}/live/?show=left" in page
    assert f"/bulk/{bulk.pk}/?show=refused" not in page, "a tab with nothing in it"


def test_a_part_that_is_fetched_again_leaves_no_message_for_the_next_page(
    bulk: BulkDecision, reviewer: User
) -> None:
    """The page has told that the place in the list is gone; its parts are fetched many times."""
    client = signed_in(reviewer)
    gone = "no longer exists"
    assert gone in text(client.get("/bulk/", {"cursor": "nonsense"}))
    for _ in range(3):
        client.get("/bulk/live/", {"cursor": "nonsense"})
    assert gone not in text(client.get("/bulk/"))


def test_the_list_has_the_same_filter_on_the_page_and_by_the_api(
    bulk: BulkDecision, reviewer: User
) -> None:
    client, api = signed_in(reviewer), Api(reviewer)
    for status, found in (("pending", 1), ("completed", 0)):
        assert text(client.get("/bulk/", {"status": status})).count(f"/bulk/{bulk.pk}/") == found
        assert len(api.get("/bulk-decisions", status=status).json()["items"]) == found
    assert "The filters do not make sense" in text(client.get("/bulk/", {"status": "nonsense"}))
    assert api.get("/bulk-decisions", status="nonsense").status_code == 422


def test_the_items_are_a_table_that_costs_as_much_for_many(
    bulk: BulkDecision, reviewer: User, requester: User
) -> None:
    client = signed_in(reviewer)
    work(bulk)
    page = text(client.get(f"/bulk/{bulk.pk}/"))
    assert heads(page, "bulk-items") == ["Request", "Why", "Amount", "Ended", "Outcome"]
    assert page.count('data-code="requester_cannot_sign"') == 3
    assert '<span class="badge tone-good">signed</span>' in page

    def cost(run: BulkDecision) -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/bulk/{run.pk}/")
        return len(queries)

    many = begin(reviewer, [opened(requester) for _ in range(20)])
    work(many)
    assert cost(many) == cost(bulk)


def test_the_preview_is_two_tables(requester: User, reviewer: User) -> None:
    mine, theirs = opened(reviewer), opened(requester)
    client = signed_in(reviewer)
    page = text(client.post("/inbox/bulk/", {"ids": [mine.pk, theirs.pk]}))
    assert heads(page, "bulk-lines") == ["Tick", "Request", "Age", "Then", "Amount", "Open"]
    assert heads(page, "bulk-barred") == ["Request", "Why not", "Amount"]
    assert f'<label class="row-title" for="item-{theirs.pk}">' in page
    assert 'data-code="requester_cannot_sign"' in page
