"""What programs know by name is the same in every language; what is kept in a cache is not."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from apps.approvals import attention
from apps.approvals.activities.signed_runs import run_activities
from apps.approvals.signed_words import Wording
from apps.approvals.views.clock import _moments
from apps.common.dates import day_words, hour_words, moment_words, weekday_words
from apps.common.identifiers import new_id
from apps.common.language import as_written, filled
from apps.common.language import lazy as _
from apps.common.uploads import size_in_words
from apps.console.templatetags.ui import duration
from apps.engine.cron_words import cron_words
from apps.interventions.services.attention import ATTENTION
from apps.interventions.services.batches_rows import RUN
from apps.interventions.services.batches_signing import SIGNED_BATCH
from apps.interventions.services.batches_warnings import batch_warn
from apps.interventions.views.batches import RUNS
from apps.web.tables import Column
from config.api import api
from tests.interventions.batch_world import asked as batch_asked
from tests.interventions.batch_world import payment
from tests.interventions.conftest import World
from tests.language.pages import Opened
from tests.pseudo import LANGUAGE, unmarked
from tests.pseudo import pseudo as told


def test_a_text_is_had_as_the_code_has_it(pseudo: None) -> None:
    text = _("Asked by")
    assert (as_written(text), str(text)) == ("Asked by", told("Asked by"))


def test_columns_of_files(pseudo: None) -> None:
    assert Column(head=_("Asked by"), value="requested_by").names == ("asked_by",)
    spent = Column(head=_("Spent"), value="spent", form="amount")
    assert spent.names == ("spent", "spent_currency")


def test_activities(pseudo: None) -> None:
    names = {one.__name__ for one in run_activities(RUN, SIGNED_BATCH).all()}
    verbs = ("open", "read", "expire", "refuse", "finish", "cancel")
    assert names == {f"{verb}_batch" for verb in verbs}


def test_fields_of_what_is_signed(pseudo: None) -> None:
    row: Any = SimpleNamespace(pk=new_id())
    wording = Wording({"intervention": str(row.pk)})
    attention._words(ATTENTION.row, wording, row)
    (line,) = wording.lines()
    assert (line.fields, str(line.label)) == (("intervention",), told("Intervention"))
    assert line.href


def test_ids_of_lists(pseudo: None, shown: Opened, as_person: Callable[[str], Client]) -> None:
    page = as_person("admin").get(reverse("policies")).content.decode()
    assert 'id="policy-rows"' in page


def test_the_description_of_the_api(pseudo: None) -> None:
    assert "⟦" not in json.dumps(api.get_openapi_schema(), ensure_ascii=False)


@pytest.mark.parametrize("weekdays", ["1-5", "mon-fri", "MON-FRI"])
def test_names_in_cron_expressions(pseudo: None, weekdays: str) -> None:
    days = told("From {first} to {last}").format(first=told("Monday"), last=told("Friday"))
    assert days in cron_words(f"0 9 * * {weekdays}", "UTC")


def test_actions_of_runs_are_put_into_words_when_they_are_shown(pseudo: None) -> None:
    shown = RUNS.verbs["cancel"].shown("cancel", "/", {})
    assert shown["title"] == told("Cancel it")
    assert shown["button"] == told("Cancel the batch")


def test_states_of_a_clock(pseudo: None) -> None:
    at = "2026-03-01T09:30:00+00:00"
    event = {"event": "reminder", "number": 1, "at": at, "done_at": at}
    request: Any = SimpleNamespace(clock=[event], expires_at=None)
    (moment,) = _moments(request, is_open=True)
    assert (moment.state, moment.tone) == ("done", "good")


@pytest.mark.parametrize("size", [1, 14 * 1024, 10_276_045])
def test_sizes_and_lengths_of_time_are_in_words(pseudo: None, size: int) -> None:
    assert unmarked([size_in_words(size), duration(0.85), duration(210.0), duration(1e6)], []) == []
    assert size_in_words(14 * 1024) == told("{size} KB").format(size=14)


def test_days_and_times_are_in_the_readers_language() -> None:
    at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert (day_words(at.date()), moment_words(at)) == ("1 Mar 2026", "1 Mar 2026, 09:30 UTC")
    assert weekday_words(at) == "Sun, 1 Mar 2026"
    text = filled("{day}; {at}", day=at.date(), at=at)
    with translation.override("de"):
        assert (day_words(at.date()), hour_words(at)) == ("1. März 2026", "09:30 UTC")
        assert str(text) == "1. März 2026; 1. März 2026 09:30 UTC"
    assert str(text) == "1 Mar 2026; 1 Mar 2026, 09:30 UTC"


def test_pages_are_found_by_programs(world: World, as_person: Callable[[str], Client]) -> None:
    found = as_person("admin").get("/api/v1/search", {"q": "Policies"}).json()
    assert ("pages", "Policies") in {(one["kind"], one["title"]) for one in found["items"]}


def test_cached_warnings_are_in_the_language_of_each_reader(
    pseudo_for_some: Callable[[], AbstractContextManager[None]], world: World
) -> None:
    alike: dict[str, Any] = {"target": "Chika", "amount": "100.00"}
    batch = batch_asked(world, [payment(**alike), payment(**alike)])

    def seen() -> str:
        by = world.people["reviewer"]
        (warning,) = batch_warn(batch, by=by, as_of=timezone.now()).first
        return warning.detail

    with pseudo_for_some():
        assert seen() == "The same target and amount as payment 1."
        with translation.override(LANGUAGE):
            assert "⟦" in seen()
        assert seen() == "The same target and amount as payment 1."
