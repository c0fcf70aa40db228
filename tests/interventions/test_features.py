"""The feature store and its online copy: only ever forward, and PostgreSQL answers for it."""

import asyncio
import socket
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from redis import Redis

from apps.common.errors import Unavailable
from apps.engine import effects
from apps.engine import leader_tasks as engine_duties
from apps.interventions import services
from apps.interventions.contracts import Execution
from apps.interventions.models import FeatureValue
from apps.interventions.services import online_store
from apps.interventions.services.online_store import (
    Feature,
    features_online,
    online_catch_up,
    online_put,
    online_rebuild,
)
from deploy.local.processes import free_port
from tests.interventions.conftest import World
from tests.interventions.stage import orm
from tests.interventions.test_api import Caller
from tests.support import within

TARGET = "Village cooperative"
#: A name with all that keys and addresses stumble over.
ODD = "Família d'Ávila / 50% {x}:\n"


@pytest.fixture(autouse=True)
def redis(settings: Any) -> Iterator["Redis"]:
    """The tests' real server; every test has its own names in it."""
    settings.LIVE_PREFIX = f"test-{uuid.uuid4().hex}"
    online_store._quiet_until.clear()
    client = Redis.from_url(settings.REDIS_URL, decode_responses=True)
    yield client
    online_store._quiet_until.clear()
    client.close()


@pytest.fixture
def away(settings: Any) -> Callable[[], None]:
    """`away()`: nobody listens where Redis is; again, and it is back."""
    here, nowhere = settings.REDIS_URL, f"redis://127.0.0.1:{free_port()}/0"

    def switch() -> None:
        settings.REDIS_URL = nowhere if here == settings.REDIS_URL else here

    return switch


def add(name: str, value: str, entity: str = TARGET) -> Feature:
    """A row of the store, of which the copy knows nothing yet."""
    row = FeatureValue.objects.create(
        entity=entity, name=name, value=Decimal(value), key=uuid.uuid4().hex
    )
    return Feature(entity, name, row.value, row.pk)


def rebuild(**options: Any) -> str:
    out = StringIO()
    call_command("rebuildfeatures", stdout=out, **options)
    return out.getvalue()


def known(entity: str = TARGET) -> tuple[dict[str, Decimal], str]:
    found = features_online(entity)
    return found.values, found.source


PAID = {"paid_count": Decimal(1), "paid_total_ngn": Decimal(5000)}


# --- payments -------------------------------------------------------------------------------------
def test_a_payment_is_in_the_copy_after_its_commit(shared_world: World) -> None:
    rebuild()
    assert known() == ({}, "postgres")
    shared_world.finish(shared_world.ask())
    # The first look fills the target's hash as a whole, the second one finds it.
    assert known() == (PAID, "postgres")
    assert known() == (PAID, "redis")
    shared_world.finish(shared_world.ask())
    paid = {"paid_count": Decimal(2), "paid_total_ngn": Decimal(10000)}
    assert known() == (paid, "redis")


def test_a_payment_that_is_rolled_back_never_reaches_the_copy(
    world: World, django_capture_on_commit_callbacks: Any
) -> None:
    intervention = world.ask()
    world.execute(intervention)
    with django_capture_on_commit_callbacks() as callbacks:
        services.feature_update(intervention_id=intervention.pk)
    puts = [one for one in callbacks if getattr(one, "func", None) is online_put]
    assert len(puts) == 1
    with django_capture_on_commit_callbacks() as callbacks:
        services.feature_update(intervention_id=intervention.pk)
    assert not [one for one in callbacks if getattr(one, "func", None) is online_put]


def test_an_undone_payment_is_taken_out_of_the_copy_too(shared_world: World) -> None:
    rebuild()
    intervention = shared_world.ask()
    shared_world.execute(intervention)
    services.feature_update(intervention_id=intervention.pk)
    known()
    effects.undo_begin(services.EXECUTION, intervention.pk)
    effects.undo_finish(services.EXECUTION, intervention.pk, Execution.REVERSED, "R-2")
    nothing = {"paid_count": Decimal(0), "paid_total_ngn": Decimal(0)}
    assert known() == (nothing, "redis")


def test_without_redis_a_payment_is_made_and_arrives_when_it_is_back(
    shared_world: World, away: Callable[[], None]
) -> None:
    rebuild()
    shared_world.finish(shared_world.ask())
    known()
    away()
    second = shared_world.ask()
    shared_world.finish(second)
    second.refresh_from_db()
    assert second.status == "executed"
    paid = {"paid_count": Decimal(2), "paid_total_ngn": Decimal(10000)}
    assert known() == (paid, "postgres")
    with pytest.raises(Unavailable):
        online_catch_up()
    away()
    assert known() == (PAID, "redis")
    online_catch_up()
    assert known() == (paid, "redis")


def test_a_redis_that_hangs_holds_up_one_payment_for_a_moment_and_then_none(
    shared_world: World, settings: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with within(2 * online_store.REDIS_SECONDS + 1):
            assert online_put([Feature(TARGET, "paid_count", Decimal(1), 1)]) is False
        with within(online_store.REDIS_SECONDS):
            for row in range(100):
                assert online_put([Feature(TARGET, "paid_count", Decimal(1), row)]) is False
        intervention = shared_world.ask()
        shared_world.finish(intervention)
    intervention.refresh_from_db()
    assert intervention.status == "executed"


# --- only ever forward ----------------------------------------------------------------------------
@pytest.mark.django_db
def test_writes_that_arrive_out_of_order_leave_the_newest_row() -> None:
    rows = [add("paid_count", str(n)) for n in range(1, 5)]
    rebuild()
    for row in (rows[3], rows[1], rows[0], rows[2]):
        assert online_put([row])
    assert known() == ({"paid_count": Decimal(4)}, "redis")
    newer = [rows[3]._replace(row=rows[3].row + n, value=Decimal(n)) for n in (3, 1, 2)]
    online_put(newer)
    assert known()[0] == {"paid_count": Decimal(3)}


@pytest.mark.django_db
def test_ids_and_values_of_any_size_are_compared_as_numbers() -> None:
    big = 2**53 - 1
    add("paid_count", "0")
    rebuild()
    online_put([Feature(TARGET, "paid_count", Decimal("999999999999999999.999999"), big)])
    online_put([Feature(TARGET, "paid_count", Decimal("1"), 9_999_999)])
    online_put([Feature(TARGET, "paid_count", Decimal("1"), big - 1)])
    assert known()[0] == {"paid_count": Decimal("999999999999999999.999999")}


def test_many_at_once_leave_the_newest_row(shared_world: World, side_by_side: Any) -> None:
    rows = [add("paid_count", str(n)) for n in range(1, 13)]
    rebuild()
    assert side_by_side(lambda n: online_put([rows[n]]), 12) == [True] * 12
    assert known() == ({"paid_count": Decimal(12)}, "redis")


def test_two_payments_to_one_target_at_once_are_both_counted(
    shared_world: World, side_by_side: Any
) -> None:
    rebuild()
    asked = [shared_world.ask() for _ in range(6)]
    for intervention in asked:
        shared_world.execute(intervention)
    outcomes = side_by_side(lambda n: services.feature_update(intervention_id=asked[n].pk), 6)
    assert outcomes == [None] * 6
    paid = {"paid_count": Decimal(6), "paid_total_ngn": Decimal(30000)}
    assert [known(), known()] == [(paid, "postgres"), (paid, "redis")]


# --- what is lost ---------------------------------------------------------------------------------
@pytest.mark.django_db
def test_after_a_flush_postgresql_answers_and_one_payment_is_not_taken_for_all(
    redis: "Redis",
) -> None:
    add("paid_total_brl", "70")
    add("paid_total_ngn", "5")
    rebuild()
    redis.flushdb()
    both = {"paid_total_brl": Decimal(70), "paid_total_ngn": Decimal(5)}
    assert known() == (both, "postgres")
    assert known() == (both, "postgres"), "nobody keeps the copy up to date: it is not believed"
    online_catch_up()
    online_put([add("paid_total_ngn", "6")])
    newer = both | {"paid_total_ngn": Decimal(6)}
    assert [known(), known()] == [(newer, "postgres"), (newer, "redis")]


@pytest.mark.django_db
def test_a_copy_that_has_lost_only_its_watermark_is_not_believed(
    redis: "Redis",
) -> None:
    add("paid_count", "1")
    rebuild()
    redis.delete(online_store._state_key())
    add("paid_count", "2")
    online_catch_up()
    # The hash is still there, with what was believed under the watermark that is gone.
    assert known() == ({"paid_count": Decimal(2)}, "postgres")


@pytest.mark.django_db
def test_a_hash_that_somebody_spoiled_is_read_from_postgresql_and_mended(redis: "Redis") -> None:
    row = add("paid_count", "1")
    rebuild()
    redis.hset(online_store._key(TARGET), "paid_count", "nonsense")
    assert known() == ({"paid_count": Decimal(1)}, "postgres")
    assert known() == ({"paid_count": Decimal(1)}, "redis")
    redis.hset(online_store._key(TARGET), "paid_count", f"{row.row}:NaN:")
    assert known()[0] == {"paid_count": Decimal(1)}


@pytest.mark.django_db
def test_rows_that_commit_late_are_not_passed_by(monkeypatch: Any) -> None:
    """A row below the newest id may still be uncommitted: the watermark stays behind it."""
    early, late = add("paid_count", "1"), add("paid_count", "2", "Clinic")
    rebuild()
    FeatureValue.objects.filter(pk=early.row).delete()
    assert online_catch_up() == 0
    FeatureValue.objects.create(
        id=early.row, entity=TARGET, name="paid_count", value=Decimal(7), key="late"
    )
    online_catch_up()
    assert known()[0] == {"paid_count": Decimal(7)}
    monkeypatch.setattr(online_store, "OVERLAP_SECONDS", -1)
    assert online_catch_up() == 2
    assert online_catch_up() == 0
    assert late.row == FeatureValue.objects.latest("id").pk


@pytest.mark.django_db
def test_catching_up_goes_through_many_rows_in_turns(monkeypatch: Any) -> None:
    monkeypatch.setattr(online_store, "OVERLAP_SECONDS", -1)
    monkeypatch.setattr(online_store, "PUSH_ROWS", 3)
    monkeypatch.setattr(online_store, "PUSH_TURNS", 2)
    rebuild()
    for number in range(10):
        add("paid_count", str(number), f"Target {number}")
    assert [online_catch_up() for _ in range(3)] == [6, 4, 0]


async def test_the_relays_leader_catches_up(shared_world: World) -> None:
    (duty,) = [one for one in engine_duties.standard() if one.name == "features"]
    await orm(rebuild)
    row = await orm(add, "paid_count", "1")
    await orm(known)
    leader = engine_duties.Leader(client=None, prepared=asyncio.Event())  # type: ignore[arg-type]
    assert await duty.fn(leader) is False
    assert await orm(known) == ({"paid_count": Decimal(1)}, "redis")
    await orm(add, "paid_count", "2")
    assert await orm(known) == ({"paid_count": Decimal(1)}, "redis")
    assert await duty.fn(leader) is False
    assert await orm(known) == ({"paid_count": Decimal(2)}, "redis")
    assert row.row > 0


# --- rebuilding -----------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_copy_is_rebuilt_in_batches_and_says_how_far_it_is(monkeypatch: Any) -> None:
    monkeypatch.setattr(online_store, "REBUILD_ENTITIES", 2)
    for entity in ("a", "B", "ç", ODD, TARGET):
        add("paid_count", "1", entity)
        add("paid_count", "2", entity)
    said = rebuild()
    assert said.splitlines() == [
        "2 targets",
        "4 targets",
        "5 targets",
        "OK: 5 targets are in the copy",
    ]
    assert known(ODD) == ({"paid_count": Decimal(2)}, "redis")
    assert {known(e)[1] for e in ("a", "B", "ç", TARGET)} == {"redis"}
    assert rebuild() == said


@pytest.mark.django_db
def test_an_interrupted_rebuild_goes_on_where_it_was(monkeypatch: Any) -> None:
    monkeypatch.setattr(online_store, "REBUILD_ENTITIES", 2)
    for number in range(5):
        add("paid_count", "1", f"Target {number}")
    interrupted = online_rebuild()
    assert next(interrupted) == 2
    interrupted.close()
    assert known("Target 4")[1] == "postgres"
    assert list(online_rebuild()) == [2, 1]
    assert known("Target 0")[1] == "redis"
    assert list(online_rebuild()) == [2, 2, 1]
    begun = online_rebuild()
    next(begun)
    assert list(online_rebuild(again=True)) == [2, 2, 1]
    with pytest.raises(Unavailable) as refused:
        next(begun)
    assert refused.value.code == "copy_begun_anew"


@pytest.mark.django_db
def test_after_a_restored_backup_a_rebuild_believes_postgresql() -> None:
    add("paid_count", "1")
    rebuild()
    online_put([Feature(TARGET, "paid_count", Decimal(9), 10**9)])
    online_put([Feature(TARGET, "paid_total_brl", Decimal(9), 10**9)])
    assert known()[0]["paid_count"] == Decimal(9)
    rebuild()
    assert known() == ({"paid_count": Decimal(1)}, "redis")


@pytest.mark.django_db
def test_the_duty_sees_by_itself_that_a_backup_was_restored() -> None:
    add("paid_count", "1")
    rebuild()
    lost = add("paid_count", "2")
    online_catch_up()
    assert known() == ({"paid_count": Decimal(2)}, "redis")
    FeatureValue.objects.filter(pk=lost.row).delete()
    online_catch_up()
    assert known() == ({"paid_count": Decimal(1)}, "postgres")
    assert known() == ({"paid_count": Decimal(1)}, "redis")


def test_two_rebuilds_at_once_both_end_with_a_whole_copy(
    shared_world: World, side_by_side: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(online_store, "REBUILD_ENTITIES", 1)
    for number in range(6):
        add("paid_count", "1", f"Target {number}")
    list(online_rebuild())
    outcomes = side_by_side(lambda _: sum(online_rebuild()), 3)
    begun_anew = [one for one in outcomes if isinstance(one, Unavailable)]
    assert len(begun_anew) < 3
    assert {one.code for one in begun_anew} <= {"copy_begun_anew"}
    assert {known(f"Target {number}")[1] for number in range(6)} == {"redis"}


@pytest.mark.django_db
def test_without_redis_a_rebuild_says_so(away: Callable[[], None]) -> None:
    add("paid_count", "1")
    away()
    with pytest.raises(CommandError, match=r"Redis does not answer\. 0 targets were filled"):
        rebuild()


# --- the API --------------------------------------------------------------------------------------
def test_the_api_tells_the_features_of_a_target(world: World) -> None:
    add("paid_count", "3")
    add("paid_total_ngn", "12.5", "Ward 3/4 & Söhne")
    rebuild()
    caller = Caller(world.people["reviewer"])
    answer = caller.get(f"/api/v1/features/{TARGET}")
    assert (answer.status_code, answer.json()) == (
        200,
        {"entity": TARGET, "features": {"paid_count": "3.000000"}, "source": "redis"},
    )
    answer = caller.get("/api/v1/features/Ward%203/4%20%26%20S%C3%B6hne")
    assert answer.json()["features"] == {"paid_total_ngn": "12.500000"}


@pytest.mark.parametrize(
    "entity",
    ["nobody", "%00", "a%00b", "%FF", "%ED%A0%80", "x" * 201, "x" * 7000, "a/b/c", "%2F"],
    ids=lambda text: text[:12],
)
def test_of_a_target_that_nobody_knows_the_api_knows_nothing(world: World, entity: str) -> None:
    answer = Caller(world.people["reviewer"]).get(f"/api/v1/features/{entity}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "written", ["Söhne & Co", "So\u0308hne & Co", " Söhne  &\u00a0Co ", "So\u0308hne\t& Co"]
)
def test_a_name_that_reads_the_same_finds_the_same_target(world: World, written: str) -> None:
    stored = world.ask(target="So\u0308hne  & Co").target
    add("paid_count", "1", stored)
    answer = Caller(world.people["reviewer"]).get(f"/api/v1/features/{quote(written, safe='')}")
    if "\t" in written:
        assert answer.status_code == 404, "no payment can be asked for with it"
        return
    assert answer.json()["entity"] == stored == "Söhne & Co"
    assert answer.json()["features"] == {"paid_count": "1.000000"}


def test_features_are_for_who_may_see_them(world: World) -> None:
    add("paid_count", "3")
    url = f"/api/v1/features/{TARGET}"
    refused = Caller(world.requester).get(url)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    other = Caller(world.people["auditor"], "budgets:read").get(url)
    assert (other.status_code, other.json()["code"]) == (403, "scope_missing")
    assert Caller(world.people["auditor"], "interventions:read").get(url).status_code == 200
    assert Group.objects.filter(name="reviewer", permissions__codename="view_featurevalue").exists()
