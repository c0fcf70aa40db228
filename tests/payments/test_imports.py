"""Quarantined events out as JSON lines, and back as edits."""

import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.payments.models import QuarantinedEvent, QuarantineEdit
from apps.payments.services import imports
from apps.payments.services.imports import edits_import
from apps.payments.services.intake import events_take
from tests.payments.people import People
from tests.payments.samples import a_message, an_event

REASON = "The sender has confirmed it."


def take(number: int) -> list[QuarantinedEvent]:
    """So many events whose amount is a text."""
    ids = [f"stripe:i{n}" for n in range(number)]
    events = [an_event(one, amount_cents="50") for one in ids]
    events_take([a_message(event, offset=n) for n, event in enumerate(events)])
    return list(QuarantinedEvent.objects.order_by("event_id"))


def line(row: QuarantinedEvent, **changes: Any) -> dict[str, Any]:
    event = an_event(row.event_id or "", amount_cents=50)
    return {"id": str(row.pk), "event": {**event, **changes}}


def bring(people: People, *lines: Any, **given: Any) -> list[tuple[str, str]]:
    body = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines)
    about: dict[str, Any] = {"reason": REASON, "by": people.corrector, "via": "api"} | given
    found = edits_import(body=body, as_of=timezone.now(), **about)
    return [(one.outcome.value, one.code) for one in found]


def test_each_line_becomes_an_edit_once(people: People) -> None:
    rows = take(3)
    lines = [line(row) for row in rows]
    assert bring(people, *lines) == [("asked", "")] * 3
    assert bring(people, *lines) == [("waiting", "")] * 3
    assert QuarantineEdit.objects.count() == 3
    edit = people.sign(QuarantineEdit.objects.get(event=rows[0]))
    assert edit.status == "signed"
    assert bring(people, *lines) == [("unchanged", "")] + [("waiting", "")] * 2
    assert QuarantineEdit.objects.count() == 3


def test_a_line_that_is_refused_stops_no_other(people: People) -> None:
    first, second, third = take(3)
    people.edit(third, an_event(third.event_id or "", amount_cents=7))
    outcomes = bring(
        people,
        b"{not json",
        b'{"id": "a", "id": "b"}',
        b"[]",
        {"id": str(first.pk)},
        {"id": str(first.pk), "event": []},
        {"id": "x", "event": {}},
        {"id": "\0", "event": {}},
        {"id": str(first.pk).replace("0", "1"), "event": {}},
        line(first, event_id="stripe:other"),
        line(first, amount_cents="still a text"),
        {**line(first), "digest": "0" * 64},
        line(third),
        line(second),
    )
    assert [code for _outcome, code in outcomes] == [
        *("json_invalid", "json_invalid", "line_invalid", "line_invalid", "line_invalid"),
        *("quarantined_event_not_found", "invalid_text", "quarantined_event_not_found"),
        *("field_locked", "edit_unreadable", "edited_since", "edit_waits", ""),
    ]
    assert outcomes[-1] == ("asked", "")
    assert QuarantineEdit.objects.filter(event=first).count() == 0


def test_a_file_that_is_none_is_refused_whole(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**given: Any) -> str:
        with pytest.raises(DomainError) as raised:
            bring(people, **given)
        return raised.value.code

    assert refused() == "empty_file"
    assert refused(by=people.auditor) == "permission_denied"
    monkeypatch.setattr(imports, "MOST_LINES", 2)
    with pytest.raises(DomainError) as raised:
        bring(people, b"{}", b"{}", b"{}")
    assert raised.value.code == "too_many_items"
    monkeypatch.setattr(imports, "MOST_BYTES", 2)
    with pytest.raises(DomainError) as raised:
        bring(people, b"{} ")
    assert raised.value.code == "too_large"
    refusals = AuditEntry.objects.filter(action="quarantined_event.import", outcome="refused")
    assert refusals.count() == 4


def test_the_same_file_twice_at_once_asks_once(people: People) -> None:
    lines = [line(row) for row in take(4)]

    def attempt(number: int) -> list[tuple[str, str]]:
        try:
            return bring(people, *lines)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(attempt, range(3)))
    for outcomes in zip(*found, strict=True):
        codes = sorted(outcomes)
        assert codes.count(("asked", "")) == 1
        assert set(codes) <= {("asked", ""), ("waiting", ""), ("refused", "edit_waits")}
    assert QuarantineEdit.objects.count() == 4


def test_the_file_keeps_every_digit_there_and_back(people: People) -> None:
    number = b'{"event_id":"stripe:d","amount_cents":"5","metadata":{"n":12345678901234567890.10}}'
    events_take([a_message(number), a_message(b"\xff{", offset=2)])
    client = Client()
    client.force_login(people.corrector)
    url = reverse("quarantined_events_export", args=["jsonl"])
    answer = client.post(url)
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert len(lines) == 2
    [kept] = [one for one in lines if "stripe:d" in one]
    assert '"n":12345678901234567890.10' in kept
    [broken] = [json.loads(one) for one in lines if "stripe:d" not in one]
    assert (broken["event"], broken["raw"]) == (None, b64encode(b"\xff{").decode())
    # Nothing was changed in it, so nothing is asked.
    assert bring(people, kept.encode()) == [("unchanged", "")]
    told = AuditEntry.objects.filter(action__in=("list.export", "list.exported"))
    assert told.count() == 2


def test_contents_need_their_permission(people: People) -> None:
    take(1)
    client = Client()
    client.force_login(people.auditor)
    page = client.get(reverse("quarantined_events")).content.decode()
    assert "list.csv" in page and "list.jsonl" not in page
    assert client.post(reverse("quarantined_events_export", args=["jsonl"])).status_code == 403
    assert client.post(reverse("payment_events_export", args=["jsonl"])).status_code == 404
    assert client.get(reverse("quarantine_import")).status_code == 403


def test_the_page_says_what_became_of_each_line(people: People) -> None:
    row = take(1)[0]
    client = Client()
    client.force_login(people.corrector)
    url = reverse("quarantine_import")
    assert "Import corrected events" in client.get(url).content.decode()
    text = json.dumps(line(row)) + "\n{no"
    shown = client.post(url, {"text": text, "reason": REASON}).content.decode()
    assert "1 asked for its signature" in shown and "1 refused" in shown
    assert "The line is no JSON." in shown
    assert client.post(url, {"text": "", "reason": REASON}).status_code == 422
    assert client.post(url, {"text": text, "reason": ""}).status_code == 422


def test_programs_bring_lines_too(people: People) -> None:
    row = take(1)[0]
    client = Client()
    client.force_login(people.corrector)
    body = json.dumps(line(row))
    answer = client.post(
        f"/api/v1/quarantine/edits?reason={REASON}", body, content_type="application/x-ndjson"
    )
    assert answer.status_code == 200, answer.content
    [item] = answer.json()["items"]
    assert (item["line"], item["outcome"], item["row"]) == (1, "asked", str(row.pk))
    answer = client.post("/api/v1/quarantine/edits", b"", content_type="application/x-ndjson")
    assert (answer.status_code, answer.json()["code"]) == (422, "empty_file")
