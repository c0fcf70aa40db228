"""CSV and Excel files of lists: what is in them, who gets them, and that they are audited."""

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.audit import list_exports
from apps.audit.models import AuditEntry
from apps.common import csvio, xlsx
from apps.interventions.models import Budget
from apps.notifications.services import notify
from apps.web import exports
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World

pytestmark = pytest.mark.django_db

#: Texts that a spreadsheet would execute.
HOSTILE = ["=cmd()", "+1", "-1+1", "@SUM(1)", "\t=1"]
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def body(response: Any) -> bytes:
    assert response.status_code == 200, response
    return b"".join(response.streaming_content)


def rows_of(client: Client, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body(client.post(address)).decode())))


def sheet(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return book.read("xl/worksheets/sheet1.xml").decode()


def told(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


# --- what is in them -----------------------------------------------------------------------------
def test_a_file_has_what_the_filters_match_in_the_order_of_the_page(
    world: World, as_person: AsPerson
) -> None:
    for number in range(3):
        world.ask(target=f"Target {number}", amount=Decimal("1234.50"))
    _, approval = ask_to_sign(world, target="Other")
    client = as_person("auditor")
    rows = rows_of(client, "/interventions/list.csv")
    assert [row["target"] for row in rows] == ["Other", "Target 2", "Target 1", "Target 0"]
    last = rows[-1]
    assert (last["amount"], last["currency"]) == ("1234.50", "NGN")
    assert (last["policy"], last["budget"], last["asked_by"]) == ("Relief", "main", "Amaka Eze")
    assert datetime.fromisoformat(last["created_at"]).utcoffset() is not None
    oldest = rows_of(client, "/interventions/list.csv?sort=oldest")
    assert oldest == rows[::-1]
    some = rows_of(client, "/interventions/list.csv?status=awaiting_approval")
    assert [row["target"] for row in some] == ["Other"]
    assert [row["state"] for row in some] == ["awaiting_approval"]
    assert [row["id"] for row in rows_of(client, "/inbox/list.csv")] == [str(approval.pk)]


def test_amounts_have_the_places_of_their_currency(world: World, as_person: AsPerson) -> None:
    for currency, amount in (("NGN", "1000.50"), ("JPY", "250000"), ("KWD", "1.25")):
        Budget.objects.create(
            code=currency.lower(), name=currency, currency=currency, total=Decimal(amount)
        )
    Budget.objects.create(
        code="vast", name="Vast", currency="NGN", total=Decimal("99999999999999.99")
    )
    client = as_person("admin")
    rows = {row["code"]: row for row in rows_of(client, "/budgets/list.csv")}
    totals = {code: (row["total"], row["total_currency"]) for code, row in rows.items()}
    assert totals["ngn"] == ("1000.50", "NGN")
    assert totals["jpy"] == ("250000", "JPY")
    assert totals["kwd"] == ("1.250", "KWD")
    content = body(client.post("/budgets/list.xlsx"))
    cells = sheet(content)
    for number in ("1000.5", "250000", "1.25"):
        assert f"<v>{number}</v>" in cells
    # More digits than a number of Excel keeps.
    assert "<t>99999999999999.99</t>" in cells
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        styles = book.read("xl/styles.xml").decode()
    assert 'formatCode="#,##0.000"' in styles
    assert 'formatCode="#,##0.00"' in styles


def test_times_in_an_excel_file_are_times(world: World) -> None:
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    content = b"".join(xlsx.export([{"at": at, "n": 3, "none": None}], ("at", "n", "none")))
    cells = sheet(content)
    assert "<v>46082.5</v>" in cells
    assert "<v>3</v>" in cells


@pytest.mark.parametrize("text", HOSTILE)
def test_no_spreadsheet_executes_a_text(text: str, world: World, as_person: AsPerson) -> None:
    Budget.objects.create(code="h", name=text, currency="NGN", total=1)
    client = as_person("admin")
    (row,) = (row for row in rows_of(client, "/budgets/list.csv") if row["code"] == "h")
    assert row["name"] == f"'{text}"
    cells = sheet(body(client.post("/budgets/list.xlsx")))
    assert "<f>" not in cells
    assert f"{text}</t>" in cells


@pytest.mark.parametrize(
    "text",
    [
        '<r></r></is></c><c r="Z9"><f>1+1</f></c><c t="inlineStr"><is><r></r>',
        "<r>&</r>",
        "<r> <t>bold</t> </r>",
    ],
)
def test_no_text_becomes_cells_of_an_excel_file(text: str) -> None:
    cells = ElementTree.fromstring(sheet(b"".join(xlsx.export([{"name": text}], ("name",)))))
    assert [cell.text for cell in cells.iter(f"{MAIN}t")] == ["name", text]
    assert not list(cells.iter(f"{MAIN}f"))


def test_an_excel_file_that_breaks_off_leaves_no_rows_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def rows() -> Iterator[dict[str, str]]:
        yield {"name": "Amaka Eze"}
        raise ConnectionError("the database is gone")

    with pytest.raises(ConnectionError):
        list(xlsx.export(rows(), ("name",)))
    assert list(tmp_path.iterdir()) == []


# --- who -----------------------------------------------------------------------------------------
def test_nobody_gets_the_rows_of_others(world: World, as_person: AsPerson) -> None:
    world.ask(target="Mine")
    world.ask(target="Theirs", by=world.people["admin"])
    rows = rows_of(as_person("requester"), "/interventions/list.csv")
    assert [row["target"] for row in rows] == ["Mine"]
    for name in ("senior", "reviewer"):
        notify(key=name, recipients=[world.people[name]], kind="test", title=f"For {name}")
    rows = rows_of(as_person("senior"), "/notifications/list.csv?unread=1")
    assert [row["what"] for row in rows] == ["For senior"]


def test_without_the_permission_there_is_no_file_and_the_trail_says_so(world: World) -> None:
    client = Client()
    client.force_login(User.objects.create(username="stranger"))
    assert client.post("/policies/list.csv").status_code == 403
    (entry,) = told("list.export")
    assert (entry.outcome, entry.code, entry.subject_type) == (
        "refused",
        "permission_denied",
        "list",
    )


def test_files_are_asked_for_by_a_form_of_somebody_signed_in(as_person: AsPerson) -> None:
    client = as_person("auditor")
    assert client.get("/interventions/list.csv").status_code == 405
    assert client.post("/interventions/list.exe").status_code == 404
    assert Client().post("/interventions/list.csv").status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="auditor"))
    assert strict.post("/interventions/list.csv").status_code == 403
    html = client.get("/interventions/?status=failed&sort=oldest").content.decode()
    for format in ("csv", "xlsx"):
        address = f"/interventions/list.{format}?status=failed&amp;sort=oldest"
        assert f'formaction="{address}"' in html


# --- audit and limits ----------------------------------------------------------------------------
def test_an_export_is_audited_once_when_it_begins_and_once_when_it_is_whole(
    world: World, as_person: AsPerson
) -> None:
    for _ in range(3):
        world.ask()
    answer = as_person("auditor").post("/interventions/list.csv?budget=main&sort=oldest")
    (begun,) = told("list.export")
    assert not told("list.exported"), "nothing is read yet"
    assert begun.actor_id == User.objects.get(username="auditor").audit_id
    assert (begun.subject_type, begun.subject_id) == ("list", "interventions")
    asked = {"format": "csv", "filters": {"budget": "main"}, "order": "oldest"}
    assert begun.body == asked
    body(answer)
    (ended,) = told("list.exported")
    assert ended.body == {**asked, "rows": 3}


def test_an_export_that_breaks_off_never_looks_whole(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvio, "PART", 2)
    for _ in range(5):
        world.ask()
    read = exports.parts

    def broken(*args: Any, **given: Any) -> Iterator[list[Any]]:
        for number, part in enumerate(read(*args, **given)):
            if number == 2:
                raise ConnectionError("the database is gone")
            yield part

    monkeypatch.setattr(exports, "parts", broken)
    for format in ("csv", "xlsx"):
        answer = as_person("auditor").post(f"/interventions/list.{format}")
        sent = b""
        with pytest.raises(ConnectionError):
            for piece in answer.streaming_content:
                sent += piece
        # The server ends the connection; of an Excel file nothing was sent.
        assert (sent == b"") == (format == "xlsx")
    assert len(told("list.export")) == 2
    assert not told("list.exported")


def test_a_file_is_read_in_parts_and_nothing_is_counted(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvio, "PART", 2)
    for _ in range(5):
        world.ask()
    client = as_person("auditor")
    with CaptureQueriesContext(connection) as captured:
        answer = client.post("/interventions/list.csv")
        pieces = list(answer.streaming_content)
    assert len(pieces) >= 3
    reads = [q["sql"] for q in captured if 'FROM "interventions_intervention"' in q["sql"]]
    assert len([sql for sql in reads if "LIMIT 2" in sql]) == 3
    assert not [sql for sql in reads if "COUNT(" in sql]


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_too_many_rows_are_refused_before_the_first(
    format: str, world: World, as_person: AsPerson
) -> None:
    for _ in range(3):
        world.ask()
    client = as_person("auditor")
    with mock.patch.dict(exports.MOST_ROWS, {format: 2}):
        answer = client.post(f"/interventions/list.{format}?budget=main")
        assert answer.status_code == 302
        assert answer["Location"] == "/interventions/?budget=main"
        (message,) = get_messages(answer.wsgi_request)
        assert re.match(r"No file was made\. The filters match more than the 2 rows", str(message))
    assert not told("list.export")
    with mock.patch.dict(exports.MOST_ROWS, {format: 3}):
        assert body(client.post(f"/interventions/list.{format}"))


def test_filters_that_do_not_make_sense_make_no_file(as_person: AsPerson) -> None:
    answer = as_person("auditor").post("/inbox/list.csv?least=abc")
    assert answer.status_code == 302
    assert not told("list.export")


def test_a_person_exports_only_so_often(
    as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_exports, "MOST_EXPORTS", 2)
    client = as_person("auditor")
    answers = [client.post("/interventions/list.csv").status_code for _ in range(3)]
    assert answers == [200, 200, 302]
    assert as_person("senior").post("/interventions/list.csv").status_code == 200
    assert len(told("list.export")) == 3


def test_who_exported_too_much_costs_no_query_of_the_rows(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_exports, "MOST_EXPORTS", 1)
    client = as_person("auditor")
    assert client.post("/interventions/list.csv").status_code == 200
    with CaptureQueriesContext(connection) as captured:
        answer = client.post("/interventions/list.csv")
    (message,) = get_messages(answer.wsgi_request)
    assert "You have exported many lists" in str(message)
    assert not [q for q in captured if 'FROM "interventions_intervention"' in q["sql"]]


def test_only_so_many_excel_files_are_made_side_by_side(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_places", BoundedSemaphore(2))
    client = as_person("auditor")

    def ask(format: str = "xlsx") -> Any:
        return client.post(f"/interventions/list.{format}")

    first = ask()
    never_read = exports._holding(exports._place(), iter(()))
    third = ask()
    assert (first.status_code, third.status_code) == (200, 302)
    (message,) = get_messages(third.wsgi_request)
    assert "Other Excel files are being made" in str(message)
    # Nothing was begun, and so nothing is told of it. A CSV file needs no place.
    assert len(told("list.export")) == 1
    assert ask("csv").status_code == 200
    # One is made as soon as its first part is there; nobody ever reads the other.
    part = next(iter(first.streaming_content))
    assert part
    fourth = ask()
    assert fourth.status_code == 200
    del never_read
    fifth = ask()
    assert (fifth.status_code, ask().status_code) == (200, 302)
    assert body(fourth)
    assert body(fifth)


@pytest.mark.parametrize("sign", ["x", "\U0001f600"])
def test_a_text_that_is_too_long_for_a_cell_says_that_it_is_cut(sign: str) -> None:
    def written(text: str) -> str:
        cells = sheet(b"".join(xlsx.export([{"text": text}], ("text",))))
        *_, last = ElementTree.fromstring(cells).iter(f"{MAIN}t")
        return str(last.text)

    units = len(sign.encode("utf-16-le")) // 2
    whole = sign * (xlsx.LONGEST_TEXT // units)
    assert written(whole) == whole
    cut = written(whole + sign)
    assert len(cut.encode("utf-16-le")) // 2 <= xlsx.LONGEST_TEXT
    assert cut.endswith(f"{sign}… [cut: the CSV file has the whole text]")
