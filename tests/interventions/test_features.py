"""The feature store and its copy in Redis: only ever forward, and PostgreSQL answers for it."""

import socket
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from redis import Redis

from apps.common.redis import CALL_SECONDS
from apps.engine import effects
from apps.interventions.contracts import Execution
from apps.interventions.models import FeatureValue
from apps.interventions.services import execution, online_store, outcomes
from apps.interventions.services.online_store import COPIES, copy_end, features_online
from deploy.local.processes import free_port
from tests.interventions.conftest import World
from tests.interventions.test_api import Caller
from tests.plans import rows_by_indexes
from tests.support import within

TARGET = "Village cooperative"
#: A name with all that keys and addresses stumble over.
ODD = "Família d'Ávila / 50% {x}:\n"


@pytest.fixture(autouse=True)
def redis(settings: Any) -> Iterator["Redis"]:
    """The tests' real server; every test has its own names in it."""
    settings.LIVE_PREFIX = f"test-{uuid.uuid4().hex}"
    COPIES.redis.breaker.reset()
    client = Redis.from_url(settings.REDIS_URL, decode_responses=True)
    yield client
    COPIES.redis.breaker.reset()
    client.close()


@pytest.fixture
def away(settings: Any) -> Callable[[], None]:
    """`away()`: nobody listens where Redis is; again, and it is back."""
    here, nowhere = settings.REDIS_URL, f"redis://127.0.0.1:{free_port()}/0"

    def switch() -> None:
        settings.REDIS_URL = nowhere if here == settings.REDIS_URL else here

    return switch


def add(name: str, value: str, entity: str = TARGET) -> FeatureValue:
    """A row of the store, of which the copy knows nothing yet."""
    return FeatureValue.objects.create(
        entity=entity, name=name, value=Decimal(value), key=uuid.uuid4().hex
    )


def known(entity: str = TARGET) -> tuple[dict[str, Decimal], str]:
    found = features_online(entity)
    return found.values, found.source


PAID = {"paid_count": Decimal(1), "paid_total_ngn": Decimal(5000)}


# --- payments -------------------------------------------------------------------------------------
def test_a_payment_is_in_the_copy_after_its_commit(shared_world: World) -> None:
    assert known() == ({}, "postgres")
    shared_world.finish(shared_world.ask())
    # The first look leaves a copy, the second one finds it.
    assert known() == (PAID, "postgres")
    assert known() == (PAID, "redis")
    shared_world.finish(shared_world.ask())
    paid = {"paid_count": Decimal(2), "paid_total_ngn": Decimal(10000)}
    assert [known(), known()] == [(paid, "postgres"), (paid, "redis")]


def test_a_payment_that_is_rolled_back_never_reaches_the_copy(
    world: World, django_capture_on_commit_callbacks: Any
) -> None:
    intervention = world.ask()
    world.execute(intervention)
    with django_capture_on_commit_callbacks() as callbacks:
        outcomes.feature_update(intervention_id=intervention.pk)
    puts = [one for one in callbacks if getattr(one, "func", None) is copy_end]
    assert len(puts) == 1
    with django_capture_on_commit_callbacks() as callbacks:
        outcomes.feature_update(intervention_id=intervention.pk)
    assert not [one for one in callbacks if getattr(one, "func", None) is copy_end]


def test_an_undone_payment_is_taken_out_of_the_copy_too(shared_world: World) -> None:
    intervention = shared_world.ask()
    shared_world.execute(intervention)
    outcomes.feature_update(intervention_id=intervention.pk)
    known()
    effects.undo_begin(execution.EXECUTION, intervention.pk)
    effects.undo_finish(execution.EXECUTION, intervention.pk, Execution.REVERSED, "R-2")
    nothing = {"paid_count": Decimal(0), "paid_total_ngn": Decimal(0)}
    assert [known(), known()] == [(nothing, "postgres"), (nothing, "redis")]


def test_without_redis_a_payment_is_made_and_arrives_when_it_is_back(
    shared_world: World, redis: "Redis", away: Callable[[], None]
) -> None:
    shared_world.finish(shared_world.ask())
    known()
    away()
    second = shared_world.ask()
    shared_world.finish(second)
    second.refresh_from_db()
    assert second.status == "executed"
    paid = {"paid_count": Decimal(2), "paid_total_ngn": Decimal(10000)}
    assert known() == (paid, "postgres")
    away()
    # Nobody could end the copy; it ends by itself, within seconds.
    assert known() == (PAID, "redis")
    key = COPIES.key(TARGET)
    assert 0 < redis.ttl(key) <= COPIES.seconds
    redis.delete(key)
    assert [known(), known()] == [(paid, "postgres"), (paid, "redis")]


def test_a_redis_that_hangs_holds_up_one_payment_for_a_moment_and_then_none(
    shared_world: World, settings: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with within(2 * CALL_SECONDS + 1):
            copy_end(TARGET, row=1)
        with within(CALL_SECONDS):
            for row in range(100):
                copy_end(TARGET, row=row)
        intervention = shared_world.ask()
        shared_world.finish(intervention)
    intervention.refresh_from_db()
    assert intervention.status == "executed"


# --- only ever forward ----------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_slow_reader_does_not_bring_back_what_was_before() -> None:
    rows = [add("paid_count", str(n)) for n in range(1, 4)]
    # It read the first row, and is here only now, after the commits of the others.
    for row in (rows[2], rows[1]):
        copy_end(TARGET, row=row.pk)
    COPIES.put(TARGET, {"paid_count": "1"}, row=rows[0].pk)
    newest = {"paid_count": Decimal(3)}
    assert [known(), known()] == [(newest, "postgres"), (newest, "redis")]
    COPIES.put(TARGET, {"paid_count": "2"}, row=rows[1].pk)
    copy_end(TARGET, row=rows[0].pk)
    assert known() == (newest, "redis")


@pytest.mark.django_db
def test_ids_and_values_of_any_size_are_compared_as_numbers() -> None:
    big = 2**53 - 1
    COPIES.put(TARGET, {"paid_count": "999999999999999999.999999"}, row=big)
    for row in (9_999_999, big - 1):
        COPIES.put(TARGET, {"paid_count": "1"}, row=row)
    assert known() == ({"paid_count": Decimal("999999999999999999.999999")}, "redis")


def test_two_payments_to_one_target_at_once_are_both_counted(
    shared_world: World, side_by_side: Any
) -> None:
    asked = [shared_world.ask() for _ in range(6)]
    for intervention in asked:
        shared_world.execute(intervention)

    def pay(n: int) -> None:
        outcomes.feature_update(intervention_id=asked[n].pk)
        known()

    assert side_by_side(pay, 6) == [None] * 6
    paid = {"paid_count": Decimal(6), "paid_total_ngn": Decimal(30000)}
    assert known()[0] == paid
    assert known() == (paid, "redis")


# --- what is lost ---------------------------------------------------------------------------------
@pytest.mark.django_db
def test_after_a_flush_postgresql_answers_and_one_payment_is_not_taken_for_all(
    redis: "Redis",
) -> None:
    add("paid_total_brl", "70")
    add("paid_total_ngn", "5")
    known()
    redis.delete(COPIES.key(TARGET))
    copy_end(TARGET, row=add("paid_total_ngn", "6").pk)
    newer = {"paid_total_brl": Decimal(70), "paid_total_ngn": Decimal(6)}
    assert [known(), known()] == [(newer, "postgres"), (newer, "redis")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "spoiled", ["nonsense", ":", "1:", "1:[1]", "1:{", '1:{"paid_count": "NaN"}', '1:{"a": null}']
)
def test_a_copy_that_somebody_spoiled_is_read_from_postgresql_and_mended(
    redis: "Redis", spoiled: str
) -> None:
    add("paid_count", "1", ODD)
    row = add("paid_count", "2", ODD)
    assert row.pk > 1
    redis.set(COPIES.key(ODD), spoiled)
    assert known(ODD) == ({"paid_count": Decimal(2)}, "postgres")
    assert known(ODD) == ({"paid_count": Decimal(2)}, "redis")


@pytest.mark.django_db
def test_a_target_that_was_paid_often_costs_no_more_than_another() -> None:
    for n in range(300):
        add("paid_count", str(n))
        add("paid_total_ngn", str(n))
    add("paid_total_brl", "7")
    assert rows_by_indexes(online_store._NEWEST, {"entity": TARGET}) < 50
    assert known()[0] == {
        "paid_count": Decimal(299),
        "paid_total_ngn": Decimal(299),
        "paid_total_brl": Decimal(7),
    }


# --- the API --------------------------------------------------------------------------------------
def test_the_api_tells_the_features_of_a_target(world: World) -> None:
    add("paid_count", "3")
    add("paid_total_ngn", "12.5", "Ward 3/4 & Söhne")
    known()
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
