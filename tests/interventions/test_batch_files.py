"""Files as people have them, and payments of a batch that look like another one."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.selectors import simulation
from apps.interventions.models import InterventionBatch, Outcome
from apps.interventions.services import batches, batches_warnings
from apps.interventions.services.batches_input import file_items
from tests.interventions.batch_world import asked, finished, opened, payment, prepared, request_of
from tests.interventions.conftest import World
from tests.interventions.test_api import Caller
from tests.interventions.test_batch_pages import client_of, form, text, upload

HEAD = ("amount", "target", "justification")


def file_of(*amounts: str, by: str = ";") -> bytes:
    quoted = (f'"{amount}"' for amount in amounts)
    lines = (by.join((amount, f"T{n}", "Food")) for n, amount in enumerate(quoted, start=1))
    return "\r\n".join([by.join(HEAD), *lines]).encode()


def tried(world: World, items: Any) -> Any:
    return batches.batch_try(
        policy="relief",
        budget="main",
        currency="NGN",
        items=items,
        by=world.requester,
        via="api",
        as_of=timezone.now(),
    )


def warned(world: World, batch: InterventionBatch, as_of: datetime | None = None) -> Any:
    """As somebody who sees every payment is warned."""
    reviewer = world.people["reviewer"]
    return batches_warnings.batch_warn(batch, by=reviewer, as_of=as_of or timezone.now())


def paid(world: World, *, days_ago: int = 0, **changes: Any) -> None:
    """A payment of a batch of its own that was carried out then."""
    batch = asked(world, [payment(1, **changes)])
    opened(batch)
    (item,) = prepared(batch).items
    intervention = batch.interventions.get(pk=item.intervention_id)
    world.finish(intervention)
    finished(batch)
    at = timezone.now() - timedelta(days=days_ago)
    batch.interventions.update(created_at=at, settled_at=at)
    Outcome.objects.filter(intervention__batch=batch).update(at=at)


# --- amounts -------------------------------------------------------------------------------------
@pytest.mark.parametrize("by", [";", "\t", ","])
@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1234,56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("12.345,6", "12345.60"),
        ("1 234,56", "1234.56"),
        ("1\u00a0234,56", "1234.56"),
        ("1'234.56", "1234.56"),
        ("1.000.000", "1000000.00"),
        ("1234,5", "1234.50"),
        ("1234.56", "1234.56"),
        ("1234", "1234.00"),
    ],
)
def test_amounts_as_people_write_them(world: World, by: str, written: str, amount: str) -> None:
    trial = tried(world, file_items(file_of(written, by=by)))
    assert [item.code for item in trial.errors] == []
    assert trial.amount == Decimal(amount)


@pytest.mark.parametrize("by", [";", "\t", ","])
@pytest.mark.parametrize("written", ["1.234", "1,234", "1.000", "100,000", "1000,000", "1234,567"])
def test_what_can_be_meant_in_two_ways_is_refused_and_never_guessed(
    world: World, by: str, written: str
) -> None:
    (wrong,) = tried(world, file_items(file_of(written, by=by))).errors
    assert (wrong.code, wrong.line, wrong.raw["amount"]) == ("amount_ambiguous", 2, written)
    before_the_mark = re.split("[.,]", written)[0]
    assert f"or as {before_the_mark} and a fraction" in wrong.detail


@pytest.mark.parametrize(
    "written",
    [
        *("1,23,456", "1.23.456,7", "1,234.567.890", "1,2.3", "1,,2", "1,", ",5", "1e3", "-1,50"),
        *("0,125", "0,123,456", "1 2", "1.234 567", "٣,٥", "9" * 100_000, "1" * 21 + ",5", ""),
    ],
)
def test_what_is_no_amount_is_told_as_before(world: World, written: str) -> None:
    (wrong,) = tried(world, file_items(file_of(written))).errors
    assert wrong.code == "amount_invalid"


def test_programs_write_amounts_in_one_way(world: World) -> None:
    trial = tried(world, [payment(amount="1234,56"), payment(amount="1.234,56")])
    assert [item.code for item in trial.errors] == ["amount_invalid"] * 2


# --- columns -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("head", "named"),
    [
        ("amount;target;justification;payee;e-mail", ["Not known: “payee”, “e-mail”."]),
        ("amount\ttarget\treason", ["Not known: “reason”.", "Missing: “justification”."]),
        ("amount,amount,target,justification", ["Named twice: “amount”."]),
        ("amount,target,justification,", ["Not known: a column without a name."]),
        ("amount,target,justification,a\u202eb\x07", ["Not known: “a\\u202eb\\x07”."]),
    ],
)
def test_a_column_that_is_not_known_is_named(world: World, head: str, named: list[str]) -> None:
    answer = upload(Caller(world.requester), head + "\n1,a,b\n")
    assert answer.json()["code"] == "csv_columns"
    assert all(one in answer.json()["detail"] for one in named), answer.json()


# --- JSON lines ----------------------------------------------------------------------------------
def test_json_lines_are_a_file_too_with_amounts_as_programs_write_them(world: World) -> None:
    body = (
        b'\n{"amount": "1234.56", "target": "Amina", "justification": "Food"}\n'
        b'{"amount": 0.10, "target": "Bola", "justification": "Food", "region": null}\n'
        b'{"amount": "1.234,56", "target": "Chika", "justification": "Food"}\n'
        b'["amount"]\n'
        b'{"amount": 1.5, "target": {"a": 1}, "justification": "Food"}\n'
        b'{"amount": 1, "target": "Dayo", "justification": "Food", "payee": 0.5}\n'
    )
    answer = upload(Caller(world.requester), body, dry_run="true").json()
    assert (answer["sound"], answer["amount"]) == (2, "1234.66")
    assert [(one["line"], one["code"]) for one in answer["errors"]] == [
        (4, "amount_invalid"), (5, "item_invalid"), (6, "target_invalid"), (7, "item_invalid"),
    ]  # fmt: skip
    trial = tried(world, file_items(body))
    assert trial.errors[3].raw == {
        "amount": 1, "target": "Dayo", "justification": "Food", "payee": "0.5",
    }  # fmt: skip


def test_a_line_that_is_no_json_is_named_and_nothing_is_stored(world: World) -> None:
    body = b'{"amount": 1, "target": "a", "justification": "b"}\n{"amount": NaN}\n'
    answer = upload(Caller(world.requester), body)
    assert (answer.status_code, answer.json()["code"], answer.json()["line"]) == (
        422, "json_invalid", 2,
    )  # fmt: skip
    assert not InterventionBatch.objects.exists()


# --- payments like another one -------------------------------------------------------------------
def test_rows_alike_and_rows_paid_lately_are_warnings_with_their_line(world: World) -> None:
    paid(world, days_ago=29, target="Amina", amount="100.00")
    paid(world, days_ago=31, target="Bola", amount="100.00")
    body = (
        b"amount;target;justification\n100;Amina;Food\n100,00;Bola;Food\n100;Chika;Food\n"
        b"100;Chika;Shelter\n200;Chika;Food\n"
    )
    answer = upload(Caller(world.requester), body, dry_run="true").json()
    assert (answer["failed"], answer["warned"]) == (0, 2)
    first, second = answer["warnings"]
    assert (first["line"], first["code"]) == (2, "paid_recently")
    assert (second["line"], second["code"]) == (5, "same_in_batch")
    assert "as line 4" in second["detail"]
    page = text(client_of(world, "requester").post(reverse("batch_new"), form(text=body.decode())))
    assert "Line 2: The same target was paid the same amount on" in page
    assert "Line 5: The same target and amount as line 4." in page
    client_of(world, "requester").post(
        reverse("batch_new"), form(text=body.decode(), send="1", check="")
    )
    batch = InterventionBatch.objects.latest("created_at")
    page = text(client_of(world, "requester").get(reverse("batch", args=[batch.pk])))
    assert "Line 2: The same target was paid the same amount on" in page
    assert "Line 5: The same target and amount as line 4." in page
    assert "Line 3" not in page


def test_who_signs_reads_them_also_what_was_paid_since_it_was_asked_for(world: World) -> None:
    batch = asked(world, [payment(1, amount="9000"), payment(1, amount="9000"), payment(2)] * 4)
    opened(batch)
    paid(world, target="Household 2", amount="100.00")
    reviewer = world.people["reviewer"]
    request = request_of(batch)
    effect = simulation(request, reviewer, as_of=timezone.now()).effect
    assert effect is not None
    told = [(fact.label, fact.value) for fact in effect.facts if fact.tone == "warn"]
    assert ("Payment 2", "The same target and amount as payment 1.") in told
    assert any(label == "Payment 3" and "was paid the same" in value for label, value in told)
    assert effect.tone == "warn"
    assert "look like another payment" in effect.outcome
    page = text(client_of(world, "reviewer").get(reverse("request", args=[request.pk])))
    assert "The same target and amount as payment 1." in page


def test_its_own_payments_and_other_currencies_are_none_of_those(world: World) -> None:
    batch = asked(world, 2)
    opened(batch)
    for item in prepared(batch).items:
        world.finish(batch.interventions.get(pk=item.intervention_id))
    assert warned(world, batch).total == 0
    again = warned(world, asked(world, 2))
    assert [one.code for one in again.first] == ["paid_recently"] * 2
    batch.interventions.update(currency="USD")
    assert warned(world, asked(world, 2)).total == 0


def test_however_long_the_list_the_look_ups_are_as_many(world: World) -> None:
    def queries(number: int) -> tuple[int, int]:
        items = [payment(1), payment(1)] * number
        with CaptureQueriesContext(
            connection,
        ) as trying:
            trial = tried(world, items)
        assert trial.warned.total == 2 * number - 1
        batch = asked(world, items)
        with CaptureQueriesContext(connection) as warning:
            found = warned(world, batch)
        assert (found.total, len(found.first)) == (2 * number - 1, min(2 * number - 1, 100))
        return len(trying), len(warning)

    queries(1)  # the person's permissions are read once
    few = queries(2)
    assert queries(500) == few
    assert few[1] == 2


def test_a_page_looks_at_every_payment_once_and_again_when_one_like_them_was_paid(
    world: World,
) -> None:
    batch = asked(world, [payment(1), payment(1), payment(2)])
    paid(world, days_ago=29, target="Household 2", amount="100.00")
    client, address = client_of(world, "requester"), reverse("batch", args=[batch.pk])

    def shown() -> tuple[int, bool]:
        """Payments that the page tells of, and whether it read all of them for it."""
        with CaptureQueriesContext(connection) as asked_for:
            page = text(client.get(address))
        told = page.count("The same target")
        return told, any("MAX(" in query["sql"] for query in asked_for)

    assert shown() == (2, True)
    assert shown() == (2, False)
    paid(world, target="Somebody else", amount="100.00")
    paid(world, target="Household 2", amount="99.00")
    assert shown() == (2, False)
    paid(world, target="Household 1", amount="100.00")
    assert shown() == (4, True)
    later = timezone.now() + timedelta(days=2)
    assert warned(world, batch, later).total == 3
    assert warned(world, batch, later + timedelta(days=30)).total == 1


def test_a_warning_tells_nobody_of_a_payment_that_they_may_not_see(world: World) -> None:
    paid(world, target="Amina", amount="9000.00")
    other = User.objects.create(username="other")
    other.groups.set(world.requester.groups.all())
    world.people["other"] = other
    body = "amount;target;justification\n9000;Amina;Food\n9000;Amina;Shelter\n"
    seen = {}
    for name in ("requester", "other"):
        answer = upload(Caller(world.people[name]), body, dry_run="true").json()
        seen[name] = sorted(one["code"] for one in answer["warnings"])
    assert seen["requester"] == ["paid_recently", "paid_recently", "same_in_batch"]
    assert seen["other"] == ["same_in_batch"]
    batch = asked(world, file_items(body.encode()), by=other)
    opened(batch)
    # The reviewer sees all payments, in both orders of who looks first.
    request = reverse("request", args=[request_of(batch).pk])
    for name, told in (("other", 0), ("reviewer", 2), ("other", 0), ("reviewer", 2)):
        client = client_of(world, name)
        for address in (reverse("batch", args=[batch.pk]), request):
            page = text(client.get(address))
            assert page.count("was paid the same amount") == told, (name, address)
            assert "The same target and amount as" in page
