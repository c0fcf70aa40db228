"""Payloads go when nobody needs them any more; who it was, where from and why it failed stay."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.common.errors import Conflict
from apps.payments.contracts import QuarantineState
from apps.payments.models import Intake, PaymentEvent, QuarantinedEvent
from apps.payments.services import desk
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from apps.payments.services.quarantine import states_move
from apps.payments.services.replaying import check_payload
from apps.payments.services.retention import OLD_INTAKES, OLD_ROWS, payloads_delete
from tests.payments.kept import keep
from tests.payments.samples import a_message, an_event
from tests.payments.test_desk import SAID, refused
from tests.plans import plan_by_index

pytestmark = pytest.mark.django_db(transaction=True)


def later(days: int = 91) -> Any:
    return timezone.now() + timedelta(days=days)


def failed(state: QuarantineState = QuarantineState.OPEN, **about: Any) -> QuarantinedEvent:
    events_take([a_message(b'{"a', key=b"k", headers=[("h", b"v")], **about)])
    row = QuarantinedEvent.objects.latest("created_at", "pk")
    if state != QuarantineState.OPEN:
        with transaction.atomic():
            states_move(QuarantinedEvent.objects.filter(pk=row.pk), state, timezone.now())
    return QuarantinedEvent.objects.get(pk=row.pk)


def test_settled_payloads_go_after_their_days_and_open_ones_never(settings: Any) -> None:
    settings.PAYMENTS_RAW_DAYS = 90
    rows = {state: failed(state, offset=n) for n, state in enumerate(QuarantineState)}
    assert payloads_delete(now=later(89)) == 0
    assert payloads_delete(now=later()) == 4
    assert payloads_delete(now=later()) == 0
    for state, before in rows.items():
        row = QuarantinedEvent.objects.get(pk=before.pk)
        gone = state not in (QuarantineState.OPEN, QuarantineState.REPLAYING)
        assert (row.raw is None, row.raw_deleted_at is not None) == (gone, gone), state
        assert (row.key is None, row.headers == []) == (gone, gone)
        for name in ("event_id", "digest", "size", "code", "topic", "offset", "came_once", "state"):
            assert getattr(row, name) == getattr(before, name)
        # A sentence may quote the payload.
        assert row.errors[0]["code"] == "not_json"
        assert ("message" in row.errors[0]) is not gone
    assert counters_check() == (1, [])


def test_a_kept_event_loses_its_bytes_and_is_known_as_before() -> None:
    events_take([a_message(an_event("e-1"), key=b"c-1"), a_message(an_event("e-2"), offset=1)])
    keep(Intake.objects.get(event_id="e-1"))
    before = Intake.objects.get(event_id="e-1")
    assert payloads_delete(now=later()) == 1
    row = Intake.objects.get(event_id="e-1")
    assert (bytes(row.raw), row.key, row.headers) == (b"", None, [])
    assert (row.digest, row.offset, row.done_at) == (before.digest, before.offset, before.done_at)
    assert PaymentEvent.objects.get().event_id == "e-1"
    # It waits for its workflow.
    assert bytes(Intake.objects.get(event_id="e-2").raw) != b""
    again = events_take([a_message(an_event("e-1"), offset=7)])
    other = events_take([a_message(an_event("e-1", amount_cents=9), offset=8)])
    assert [again[0].outcome, other[0].code] == ["twin", "event_id_reused"]


def test_it_goes_in_steps() -> None:
    for number in range(5):
        failed(QuarantineState.DISCARDED, offset=number)
    assert [payloads_delete(now=later(), limit=2) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.parametrize(
    ("query", "index"),
    [(OLD_ROWS, "quarantine_payloads"), (OLD_INTAKES, "intake_payloads")],
)
def test_an_index_has_what_is_left_to_delete(query: str, index: str) -> None:
    filled = query.replace("%(before)s", "now()").replace("%(limit)s", "500")
    plan_by_index(filled, index, ordered=True)


def test_two_leaders_delete_each_payload_once() -> None:
    for number in range(20):
        failed(QuarantineState.DISCARDED, offset=number)

    def delete(_: int) -> int:
        try:
            return sum(payloads_delete(now=later(), limit=3) for _ in range(10))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(delete, range(4))) == 20
    assert not QuarantinedEvent.objects.filter(raw_deleted_at=None)


def test_a_row_without_its_payload_is_not_restored() -> None:
    demo_people_ensure()
    admin = User.objects.get(username="admin")
    row = failed(QuarantineState.DISCARDED)
    payloads_delete(now=later())
    assert refused(desk.event_restore, row_id=row.pk, by=admin, **SAID) == "payload_deleted"
    assert QuarantinedEvent.objects.get().state == QuarantineState.DISCARDED
    assert counters_check() == (1, [])


def test_a_row_without_its_payload_is_not_replayed() -> None:
    row = failed(QuarantineState.DISCARDED)
    payloads_delete(now=later())
    row.refresh_from_db()
    with pytest.raises(Conflict) as raised:
        check_payload(row)
    assert raised.value.code == "payload_deleted"


# --- the database holds it ------------------------------------------------------------------------
GONE = {"raw": None, "key": None, "headers": []}


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        ("discarded", {"raw": None}),
        ("discarded", {**GONE}),
        ("discarded", {**GONE, "raw": b"other", "raw_deleted_at": True}),
        ("discarded", {**GONE, "headers": [["h", None]], "raw_deleted_at": True}),
        ("discarded", {"raw_deleted_at": True}),
        ("discarded", {**GONE, "digest": "other", "raw_deleted_at": True}),
        ("open", {**GONE, "raw_deleted_at": True}),
        ("replaying", {**GONE, "raw_deleted_at": True}),
    ],
)
def test_the_database_lets_a_payload_go_and_nothing_else(
    state: QuarantineState, changes: dict[str, Any]
) -> None:
    failed(QuarantineState(state))
    if "raw_deleted_at" in changes:
        changes = {**changes, "raw_deleted_at": timezone.now()}
    with pytest.raises(DatabaseError), transaction.atomic():
        QuarantinedEvent.objects.update(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"raw": b"{}"}, {"key": b"k"}, {"raw_deleted_at": None}, {"state": "open"}],
)
def test_a_deleted_payload_never_comes_back(changes: dict[str, Any]) -> None:
    failed(QuarantineState.DISCARDED)
    payloads_delete(now=later())
    with pytest.raises(DatabaseError), transaction.atomic():
        QuarantinedEvent.objects.update(**changes)


def test_versions_and_attempts_lose_their_content_with_it(people: Any) -> None:
    events_take([a_message(an_event("stripe:evt_x", amount_cents="50", customer_id="c-secret"))])
    row = QuarantinedEvent.objects.get()
    edit = people.sign(people.edit(row, an_event("stripe:evt_x", customer_id="c-secret")))
    assert "c-secret" in row.search_text
    desk.event_discard(row_id=row.pk, by=people.corrector, reason="spam", **SAID)
    digest = edit.digest
    assert payloads_delete(now=later()) == 1
    edit.refresh_from_db()
    row.refresh_from_db()
    assert (bytes(edit.raw), edit.changes, edit.reason, edit.digest) == (b"", [], "", digest)
    assert row.search_text == "stripe:evt_x wrong_type"
    assert "c-secret" not in str(row.errors)
