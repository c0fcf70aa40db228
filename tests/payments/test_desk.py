"""What people do with quarantined events: once each, whoever is first, and the counters agree."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.identifiers import new_id
from apps.payments.contracts import Stage as Stage_
from apps.payments.models import Intake, PaymentEvent, PaymentRule, QuarantinedEvent
from apps.payments.services import desk
from apps.payments.services.carrying import event_quarantine
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from tests.payments.samples import a_message, an_event
from tests.payments.stage import Stage
from tests.payments.world import taken
from tests.stage import failure, orm

SAID: dict[str, Any] = {"via": "api"}


@pytest.fixture
def admin(transactional_db: None) -> User:
    demo_people_ensure()
    return User.objects.get(username="admin")


def refused(call: Any, **about: Any) -> str:
    with pytest.raises(DomainError) as raised:
        call(**about)
    return raised.value.code


def only() -> QuarantinedEvent:
    return QuarantinedEvent.objects.get()


def test_a_discarded_event_is_restored(admin: User) -> None:
    events_take([a_message(b"{")])
    row = only()
    for _ in range(2):
        desk.event_discard(row_id=row.pk, by=admin, reason="spam", **SAID)
    assert only().state == "discarded"
    assert counters_check() == (1, [])
    assert refused(desk.event_replay, row_id=row.pk, by=admin, **SAID) == "already_settled"
    for _ in range(2):
        desk.event_restore(row_id=row.pk, by=admin, **SAID)
    assert only().state == "open"
    assert counters_check() == (1, [])
    said = AuditEntry.objects.filter(action__startswith="quarantined_event.", outcome="done")
    assert sorted(said.values_list("action", flat=True)) == [
        "quarantined_event.discarded",
        "quarantined_event.restored",
    ]


def test_refusals_have_codes_and_are_audited(admin: User) -> None:
    events_take([a_message(b"{")])
    row = only()
    nobody = User.objects.get(username="auditor")
    assert refused(desk.event_replay, row_id=row.pk, by=nobody, **SAID) == "permission_denied"
    for odd in ("x", "", "\0", str(new_id())):
        assert refused(desk.event_replay, row_id=odd, by=admin, **SAID) == (
            "quarantined_event_not_found"
        )
    assert refused(desk.event_replay, row_id=row.pk, by=admin, **SAID) == "not_replayable"
    assert (
        refused(desk.event_discard, row_id=row.pk, by=admin, reason="", **SAID) == "reason_required"
    )
    assert AuditEntry.objects.filter(outcome="refused").count() == 7


async def test_a_replayed_event_is_kept_under_its_id(stage: Stage) -> None:
    admin = await orm(_admin)
    event_id = stage.named("e-1")
    await stage.take(an_event(event_id, currency="SEK"))
    assert await failure(stage.run_of(event_id)) == "currency_allowed"
    row = await orm(only)
    # Again as it was: the same row opens again.
    await orm(lambda: desk.event_replay(row_id=row.pk, by=admin, **SAID))
    assert (await orm(only)).state == "replaying"
    await stage.deliver()
    assert await failure(stage.run_of(event_id)) == "currency_allowed"
    again = await orm(only)
    assert (again.pk, again.state, again.attempt) == (row.pk, "open", 2)
    await orm(lambda: PaymentRule.objects.filter(code="currency_allowed").update(enabled=False))
    await orm(lambda: desk.event_replay(row_id=row.pk, by=admin, **SAID))
    await stage.deliver()
    await stage.run_of(event_id).result()
    assert await orm(lambda: PaymentEvent.objects.get().event_id) == event_id
    assert (await orm(only)).state == "replayed"
    assert await orm(counters_check) == (1, [])
    code = await orm(lambda: refused(desk.event_replay, row_id=row.pk, by=admin, **SAID))
    assert code == "already_settled"


async def test_two_operators_replay_one_event_once(stage: Stage) -> None:
    admin = await orm(_admin)
    event_id = stage.named("e-1")
    await stage.take(an_event(event_id, amount_cents=0))
    assert await failure(stage.run_of(event_id)) == "amount_bounds"
    row = await orm(only)

    def replay(_: int) -> str:
        try:
            desk.event_replay(row_id=row.pk, by=admin, **SAID)
            return "replayed"
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        found = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(pool, replay, n) for n in range(6))
        )
    assert sorted(found) == ["already_replaying"] * 5 + ["replayed"]
    assert await orm(lambda: Intake.objects.get().attempt) == 2
    assert await orm(counters_check) == (1, [])


async def test_an_event_that_became_readable_gets_its_own_intake(
    stage: Stage, settings: Any
) -> None:
    admin = await orm(_admin)
    event_id = stage.named("e-1")
    settings.PAYMENT_EVENT_MAX_BYTES = 100
    await stage.take(an_event(event_id))
    assert await orm(Intake.objects.count) == 0
    settings.PAYMENT_EVENT_MAX_BYTES = 10_000
    row = await orm(only)
    await orm(lambda: desk.event_replay(row_id=row.pk, by=admin, **SAID))
    await stage.deliver()
    await stage.run_of(event_id).result()
    assert (await orm(only)).state == "replayed"
    assert await orm(counters_check) == (1, [])


async def test_an_id_that_another_event_has_is_not_replayed(stage: Stage) -> None:
    admin = await orm(_admin)
    event_id = stage.named("e-1")
    await stage.take(an_event(event_id), an_event(event_id, amount_cents=7))
    await stage.run_of(event_id).result()
    row = await orm(only)
    code = await orm(lambda: refused(desk.event_replay, row_id=row.pk, by=admin, **SAID))
    assert code == "event_known"


def test_another_content_of_an_event_that_waits_is_not_replayed(admin: User) -> None:
    # Without a workflow, which could keep the event before it is quarantined.
    taken([an_event("e-1"), an_event("e-1", amount_cents=7)])
    intake = Intake.objects.get()
    other = only()
    event_quarantine(
        event_id="e-1", stage=Stage_.ENGINE, code="workflow_terminated", detail="ended"
    )
    code = refused(desk.event_replay, row_id=other.pk, by=admin, **SAID)
    assert code == "event_waits_elsewhere"
    assert Intake.objects.get(pk=intake.pk).digest == intake.digest
    assert counters_check() == (2, [])


def _admin() -> User:
    demo_people_ensure()
    return User.objects.get(username="admin")
