"""The pseudo-language, and something to see on every page in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from apps.accounts.models import APIKey, User
from apps.accounts.services import api_key_create
from apps.approvals import kinds as approval_kinds
from apps.approvals.models import ApprovalRequest, BulkDecision, Evidence
from apps.approvals.services import claim_take, comment_add, delegation_give, evidence_add
from apps.bookings.models import Booking, ManifestLine, Route, Stop, Vehicle
from apps.bookings.services.cancellations import trip_cancel
from apps.bookings.services.refunds import refund_request
from apps.engine.models import EngineCommand, WorkflowRun, WorkflowSchedule
from apps.filters.models import SavedFilter
from apps.interventions.models import Budget, Policy
from apps.notifications import kinds
from apps.payments.rules import METHODS
from apps.pix.contracts import KeyType
from apps.wallets.models import Account, Journal, PaymentReview, Rider
from tests.bookings.conftest import make_world as bookings_world
from tests.database import Image
from tests.interventions.batch_world import asked as batch_asked
from tests.interventions.batch_world import opened as batch_opened
from tests.interventions.conftest import World, world_of
from tests.language.pages import Opened
from tests.pseudo import spoken
from tests.wallets.conftest import World as Wallets

#: What people of the test write: in letters that no mark is in.
NAME, WORDS = "Ладога", "Семена до дождя."


@pytest.fixture
def pseudo(settings: Any) -> Iterator[None]:
    """Everything is in the pseudo-language, also what is kept in rows."""
    with spoken(settings, by_all=True):
        yield


@pytest.fixture
def pseudo_for_some(settings: Any) -> Callable[[], AbstractContextManager[None]]:
    """The pseudo-language for who asks for it; the site's own stays English."""
    return lambda: spoken(settings, by_all=False)


@pytest.fixture
def world(world_image: Image, db: None) -> World:
    return world_of(world_image)


@pytest.fixture
def shown(world: World) -> Opened:
    """Rows of every kind; what people wrote is in Cyrillic. By URL name: the arguments."""
    Policy.objects.update(name=NAME)
    Budget.objects.update(name=NAME)
    User.objects.update(first_name=NAME, last_name="")
    for user in world.people.values():
        user.refresh_from_db()
    trips = _trips()
    world.budget("spare", "1000.00")
    Budget.objects.filter(code="spare").update(name=NAME)
    waits = world.ask(amount=Decimal("25000.00"), target=NAME, justification=WORDS)
    world.open(waits)
    request = ApprovalRequest.objects.get(subject_id=str(waits.pk))
    done = world.ask(target=NAME, justification=WORDS)
    world.finish(done)
    signed = world.ask(amount=Decimal("25000.00"), target=NAME, justification=WORDS)
    world.open(signed)
    world.decide(signed)
    item = {"amount": "100.00", "target": NAME, "justification": WORDS}
    batch = batch_asked(world, [item, {**item, "amount": "-1"}], title=NAME)
    batch_opened(batch)
    from tests.interventions.test_transfers import asked as transfer_asked

    transfer = transfer_asked(world, reason=WORDS)
    wallets = Wallets(world.people)
    wallets.rider("ada", "1000.00")
    top_up, review = _paid(wallets)
    Rider.objects.update(name=NAME, email="")
    adjustment = wallets.ask(reason=WORDS)
    journal = Journal.objects.earliest("pk")
    reviewer, senior = world.people["reviewer"], world.people["senior"]
    now = timezone.now()
    comment_add(request_id=request.pk, by=reviewer, text=WORDS, via="page", as_of=now, nonce="1")
    evidence_add(
        request_id=request.pk,
        by=world.requester,
        name="1.txt",
        body=WORDS.encode(),
        note=WORDS,
        via="page",
        as_of=now,
    )
    claim_take(request_id=request.pk, by=reviewer, via="page", as_of=now)
    delegation_give(
        delegator=senior,
        delegate=reviewer,
        kinds=[],
        most=None,
        currency="",
        starts_at=None,
        by=senior,
        ends_at=now + timedelta(days=3),
        reason=WORDS,
        via="page",
        as_of=now,
    )
    SavedFilter.objects.create(owner=reviewer, page="inbox", name=NAME, query="mine=on")
    api_key_create(user=reviewer, name=NAME, scopes=["all"], by=reviewer, via="page")
    bulk = BulkDecision.objects.create(
        idempotency_key="1", requested_by=reviewer, verdict="approve", total=1, reason=WORDS
    )
    evidence = Evidence.objects.get()
    command, schedule = (
        EngineCommand.objects.earliest("pk"),
        WorkflowSchedule.objects.earliest("pk"),
    )
    run = WorkflowRun.objects.create(
        workflow_id="1", run_id="1", workflow_type="1", status="failed"
    )
    quarantined = _quarantined()
    automation = _automation(world)
    execution, key, infraction = _execution(world), _key(world), _infraction()
    (claim, rulebook), sync = _claim(world), _sync(world)
    return {
        **{f"infraction{end}": [infraction] for end in ("", "_live")},
        **{f"claim{end}": [claim] for end in ("", "_live")},
        **{f"rulebook{end}": [rulebook] for end in ("", "_live")},
        **{f"pix_sync{end}": [sync] for end in ("", "_live")},
        **quarantined,
        **{f"automation{end}": [automation] for end in ("", "_live", "_edit", "_run")},
        **{f"execution{end}": [execution] for end in ("", "_live")},
        **{f"execution_node{end}": [execution, 1] for end in ("", "_live")},
        **{name: [command.pk] for name in ("engine_command", "engine_command_live")},
        **{name: [run.pk] for name in ("workflow_run", "workflow_run_live")},
        **{name: [schedule.name] for name in ("schedule", "schedule_live")},
        "request": [request.pk],
        "request_live": [request.pk],
        "request_edit": [request.pk],
        "request_evidence_erase": [request.pk, evidence.pk],
        "intervention": [waits.pk],
        "intervention_live": [waits.pk],
        "batch": [batch.pk],
        "batch_live": [batch.pk],
        "adjustment": [adjustment.pk],
        "adjustment_live": [adjustment.pk],
        "journal": [journal.pk],
        "journal_live": [journal.pk],
        **{name: [top_up] for name in ("topup", "topup_live")},
        **{name: [review] for name in ("payment_review", "payment_review_live")},
        "wallet": ["ada"],
        "wallet_live": ["ada"],
        "transfer": [transfer.pk],
        "transfer_live": [transfer.pk],
        "bulk": [bulk.pk],
        "bulk_live": [bulk.pk],
        "policy": ["relief"],
        "policy_live": ["relief"],
        "budget": ["main"],
        "budget_live": ["main"],
        **{f"{name}{end}": [pk] for name, pk in trips.items() for end in ("", "_live")},
        **{name: [key] for name in ("entry", "entry_live", "key_change")},
    }


def _key(world: World) -> Any:
    """The id of a key that is on its way to the directory."""
    from apps.pix.contracts.entries import AccountGiven, OwnerGiven
    from apps.pix.models import Participant
    from apps.pix.services.entries import entry_create

    Participant.objects.update_or_create(ispb="12345678", defaults={"name": NAME, "ours": True})
    change, _new = entry_create(
        key_type="CPF",
        key="11122233396",
        account=AccountGiven(participant="12345678", number="1", type="CACC"),
        owner=OwnerGiven(type="NATURAL_PERSON", tax_id="11122233396", name=NAME),
        by=world.people["admin"],
        via="page",
        as_of=timezone.now(),
    )
    return change.entry_id


def _automation(world: World) -> str:
    """The code of an automation whose definition has an issue."""
    from apps.automations.services.definitions import automation_create
    from tests.automations.drawing import graph

    automation_create(
        code="7003",
        title=NAME,
        document={**graph("а>б б>а"), "name": NAME},
        by=world.people["admin"],
        via="page",
        as_of=timezone.now(),
    )
    return "7003"


def _execution(world: World) -> Any:
    """The id of an execution with a failed node, one that handles it, one that waits for a time,
    and one that a person signs."""
    from apps.automations.services.advancing import execution_advance
    from apps.automations.services.requesting import execution_request
    from tests.automations.drawing import condition, delay, graph, node

    by, now = world.people["admin"], timezone.now()
    nodes = {
        "а": condition("params.нет == 1", on_error="branch"),
        "б": condition("params.нет == 1", on_error="continue"),
        "в": delay(3600),
        "г": node("approval", title=WORDS, group="reviewer"),
    }
    document = {**graph("а>д:error б>е:false б>ж:true", **nodes), "name": NAME}
    execution, _new = execution_request(
        document=document, params={"есть": 1}, by=by, via="page", as_of=now
    )
    execution_advance(row_id=execution.pk, as_of=now)
    return execution.pk


def _paid(wallets: Wallets) -> tuple[Any, Any]:
    """A credited top-up, and the review of a second payment of it."""
    from apps.wallets.services.payments import payment_take_in
    from tests.wallets.topups import ask, success

    top_up, now = ask(wallets), timezone.now()
    payment_take_in("1", success(1), top_up, as_of=now)
    payment_take_in("2", success(2), top_up, as_of=now)
    return top_up.pk, PaymentReview.objects.get().pk


def _trips() -> dict[str, Any]:
    """A trip with seats in all states, on a route with a name in Cyrillic; a booking on it with a
    refund, and another trip that is being cancelled. By URL name: the id."""
    bookings = bookings_world()
    for model in (Route, Stop, Vehicle):
        model.objects.update(name=NAME)
    trip = bookings.trip()
    booking = bookings.sell(trip, "A-B", seat=1)
    bookings.hold(trip, "B-C", seat=1)
    trip.seats.filter(number=2).update(blocked=True)
    Booking.objects.filter(pk=booking.pk).update(
        status="confirmed", confirmed_at=bookings.now, charged=booking.fare
    )
    ManifestLine.objects.create(trip=trip, booking=booking, seat_number=1, from_n=1, to_n=2)
    about = {"reason": WORDS, "by": bookings.people["agent"], "via": "page", "as_of": bookings.now}
    refund, _new = refund_request(booking_id=booking.pk, amount=Decimal("100"), **about)
    cancelled, _new = trip_cancel(trip_id=bookings.trip(days=4).pk, **about)
    return {
        "trip": trip.pk,
        "manifest": trip.pk,
        "booking": booking.pk,
        "refund": refund.pk,
        "trip_cancellation": cancelled.pk,
    }


@pytest.fixture
def data(shown: Opened) -> list[str]:
    """What rows hold in Latin letters and is nobody's to translate: names that people log in by,
    codes, names of roles."""
    return [
        *User.objects.values_list("username", flat=True),
        *Group.objects.values_list("name", flat=True),
        *Policy.objects.values_list("code", flat=True),
        *Budget.objects.values_list("code", flat=True),
        *Rider.objects.values_list("user_id", flat=True),
        *Account.objects.values_list("code", flat=True),
        *Journal.objects.values_list("key", flat=True),
        *Route.objects.values_list("code", flat=True),
        *Stop.objects.values_list("code", flat=True),
        *Vehicle.objects.values_list("code", flat=True),
        *Route.objects.values_list("zone", flat=True),
        *Booking.objects.values_list("user_id", flat=True),
        *Booking.objects.values_list("workflow_id", flat=True),
        *WorkflowSchedule.objects.values_list("name", flat=True),
        *WorkflowSchedule.objects.values_list("task_queue", flat=True),
        *EngineCommand.objects.values_list("workflow_id", flat=True),
        *EngineCommand.objects.exclude(name="").values_list("name", flat=True),
        # Kept in rows: who acted that is no person, and what was written before the language was
        # the site's.
        *("engine", "engine signal", "demo seed", "unknown", "tester"),
        *WorkflowSchedule.objects.values_list("note", flat=True),
        # Rulebooks, by their codes, and their versions.
        *("source", "dict", "source v1", "dict v1"),
        # A zone in words.
        "America/Sao Paulo",
        "Checked the papers",
        # Names of files, of scopes, and of kinds in names of rules.
        *Evidence.objects.values_list("name", flat=True),
        "all",
        *(one.name for one in approval_kinds.registered()),
        # What other tests of this process have registered.
        *(one.title for one in approval_kinds.registered() if one.name.startswith("test.")),
        *(one.title for one in kinds.registered() if one.name.startswith("test.")),
        *APIKey.objects.values_list("prefix", flat=True),
        # Types of keys, in the directory's words.
        *KeyType,
        # What producers send, in a rule about it.
        *METHODS,
    ]


@pytest.fixture
def as_person(world: World) -> Callable[[str], Client]:
    """`as_person("reviewer")`: that person's browser."""

    def build(name: str) -> Client:
        client = Client()
        client.force_login(world.people[name])
        return client

    return build


def _claim(world: World) -> tuple[Any, Any]:
    """One that waits for its donor, and the rulebook that it goes by."""
    from apps.pix.contracts.claims import ClaimLook, ClaimOpening, ClaimRequest
    from apps.pix.models import Claim
    from apps.pix.services.claim_carrying import claim_tell
    from apps.pix.services.claims import claim_adopt

    request = ClaimRequest("1002", "PORTABILITY", "12345678", "87654321")
    facts = claim_adopt(ClaimOpening("1002", request, timezone.now()))
    claim_tell(ClaimLook(facts.row_id, "1002", timezone.now()))
    claim = Claim.objects.get()
    return claim.pk, claim.rulebook_id


def _sync(world: World) -> Any:
    """A synchronisation that was asked for."""
    from apps.pix.services.sync_requesting import sync_request

    by = world.people["admin"]
    run, _new = sync_request(participant="12345678", by=by, via="page", as_of=timezone.now())
    return run.pk


def _infraction() -> Any:
    """One that waits, with evidence."""
    from apps.pix.models import Infraction, Participant
    from apps.pix.services.infraction_opening import infraction_open
    from apps.pix.services.infraction_signals import evidence_take

    Participant.objects.update_or_create(ispb="12345678", defaults={"name": NAME, "ours": True})
    input = {"infraction_id": "1001", "counterparty_ispb": "12345678", "details": WORDS}
    now = timezone.now()
    facts = infraction_open(workflow_id="1001", input=input, as_of=now)
    evidence_take(row_id=facts.row_id, key="1", body={"description": WORDS}, as_of=now)
    return Infraction.objects.get().pk


def _quarantined() -> Opened:
    """An event that was kept, one in the quarantine with a version and an attempt, and a replay."""
    from apps.payments.models import Intake, QuarantinedEvent
    from tests.payments.samples import an_event
    from tests.payments.world import asked_replay, fail, keep, people_of, taken

    people = people_of()
    names = dict.fromkeys(
        ("provider", "event_type", "customer_id", "merchant_id", "card_brand"), NAME
    )
    names |= {"provider_event_id": "1"}
    events = [an_event("7001", **names), an_event("7002", currency="SEK", **names)]
    kept, failed = taken(events)
    keep([kept])
    fail([failed])
    row = QuarantinedEvent.objects.get()
    QuarantinedEvent.objects.update(errors=[{"code": row.code, "field": "", "message": WORDS}])
    edit = people.edit(row, an_event("7002", **names), reason=WORDS)
    people.sign(edit, reason=WORDS)
    run = asked_replay(people, reason=WORDS)
    intake = Intake.objects.get(event_id=kept)
    return {
        **{name: [intake.pk] for name in ("payment_event", "payment_event_live")},
        **{name: [row.pk] for name in ("quarantined_event", "quarantined_event_live")},
        **{name: [edit.pk] for name in ("quarantine_edit", "quarantine_edit_live")},
        "quarantine_edit_new": [row.pk],
        "quarantine_group": [row.group_id],
        **{name: [run.pk] for name in ("replay", "replay_live")},
    }
