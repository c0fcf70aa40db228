"""A request's clock in the database: each event once, at its time, to the people who can sign."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds, services
from apps.approvals.contracts import SIGNAL_CHANGED
from apps.approvals.forms import InboxFilter
from apps.approvals.kinds import ApprovalKind
from apps.approvals.models import ApprovalRequest, Delegation
from apps.approvals.selectors import signers
from apps.approvals.services.clock import MOST_STARTS, clock_plan
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, Invalid, NotFound
from apps.engine import process, subjects
from apps.engine.models import EngineCommand, WorkflowRun
from apps.notifications.models import Notification
from tests.approvals import world
from tests.approvals.world import clock_workflow_id

#: A Monday at nine; the default working time is Monday to Friday, nine to five.
MONDAY = datetime(2025, 11, 24, 9, tzinfo=UTC)
BAND: dict[str, Any] = {
    "above": None,
    "tiers": [{"group": "first", "quorum": 1}],
    "reminder_hours": [8, 16],
    "escalation": {"hours": 24, "group": "second", "senior": True},
    "due_hours": 32,
    "expires_hours": 120,
}
CLOCKED = "test.clocked"
kinds.register(
    ApprovalKind(
        name=CLOCKED,
        title="Test with a clock of its own",
        on_settled=world.domain.on_settled,
        facts=lambda request: [],
        subject_url=lambda subject_id: "",
        signal="request_settled",
        task_queue="test-queue",
        clocked=True,
    )
)


@pytest.fixture
def people(db: None) -> dict[str, User]:
    return make_people()


def make_people() -> dict[str, User]:
    senior = world.person("senior", "first")
    return {
        "requester": world.person("requester", "first"),
        "ada": world.person("ada", "first", senior=senior),
        "ben": world.person("ben", "first", is_active=False),
        "senior": senior,
        "chief": world.person("chief", "second"),
        "outsider": world.person("outsider"),
    }


def opened(people: dict[str, User], **changes: Any) -> ApprovalRequest:
    """A request with the clock of BAND, opened on MONDAY; `band` changes fields of it."""
    world.group("second")
    world.rule([BAND | changes.pop("band", {})])
    return world.opened(people["requester"], as_of=MONDAY, **changes)


def tick(request: ApprovalRequest, **after: float) -> Any:
    return services.request_tick(request_id=request.pk, as_of=MONDAY + timedelta(**after))


def entries(request: ApprovalRequest, action: str) -> list[AuditEntry]:
    found = AuditEntry.objects.filter(subject_id=str(request.pk), action=f"approval.{action}")
    return list(found.order_by("id"))


def told(kind: str) -> list[str]:
    messages = Notification.objects.filter(
        kind=f"approval.{kind}", channel=Notification.Channel.IN_APP
    )
    return sorted(messages.values_list("recipient__username", flat=True))


def clock_started(pk: object) -> str:
    return ApprovalRequest.objects.values_list("clock_id", flat=True).get(pk=pk)


def commands(request: ApprovalRequest) -> list[tuple[str, str]]:
    rows = EngineCommand.objects.filter(subject_type="approval", subject_id=str(request.pk))
    return list(rows.order_by("id").values_list("kind", "name"))


# --- the plan ------------------------------------------------------------------------------------
def test_the_plan_is_in_working_time_and_sorted() -> None:
    band = {
        "due_hours": 10,
        "reminder_hours": [4, 12],
        "escalation": {"hours": 4, "group": "second"},
    }
    plan, due_at = clock_plan(band=band, opened_at=MONDAY)
    assert due_at == MONDAY + timedelta(days=1, hours=2)
    assert [(e["event"], e["number"], e["at"], e["done_at"]) for e in plan] == [
        ("reminder", 1, "2025-11-24T13:00:00+00:00", None),
        ("escalation", 1, "2025-11-24T13:00:00+00:00", None),
        ("due", 1, "2025-11-25T11:00:00+00:00", None),
        ("reminder", 2, "2025-11-25T13:00:00+00:00", None),
    ]
    assert clock_plan(band={"expires_hours": 5}, opened_at=MONDAY) == ([], None)


def test_a_request_without_clock_and_expiry_costs_no_workflow(people: dict[str, User]) -> None:
    request = opened(
        people,
        band={"reminder_hours": [], "escalation": None, "due_hours": None, "expires_hours": None},
    )
    assert (request.clock, request.due_at, request.expires_at) == ([], None, None)
    world.decide(request, people["ada"])
    assert commands(request) == []


def test_a_kind_that_keeps_its_own_clock_gets_no_workflow(people: dict[str, User]) -> None:
    world.group("second")
    services.rule_put(kind=CLOCKED, scope="", currency="NGN", bands=[BAND], by=None)
    request = world.opened(people["requester"], kind=CLOCKED, as_of=MONDAY)
    assert len(request.clock) == 4
    tick(request, days=6)
    assert world.fresh(request).status == "open"
    world.decide(request, people["ada"], as_of=MONDAY)
    assert commands(request) == []


def test_any_other_kind_with_a_clock_gets_one_workflow_that_hears_of_the_end(
    people: dict[str, User],
) -> None:
    request = opened(people)
    assert request.due_at == MONDAY + timedelta(days=3, hours=8)
    assert commands(request) == [("start", "")]
    start = EngineCommand.objects.get(kind="start", subject_id=str(request.pk))
    assert (start.workflow_type, start.task_queue) == ("ApprovalClockWorkflow", "approvals")
    assert start.args[0]["request_id"] == str(request.pk)
    world.decide(request, people["ada"], as_of=MONDAY)
    assert commands(request) == [("start", ""), ("signal", SIGNAL_CHANGED)]


# --- events --------------------------------------------------------------------------------------
def test_nothing_happens_before_its_time(people: dict[str, User]) -> None:
    request = opened(people)
    answer = tick(request, hours=7.99)
    assert (answer.status, answer.next_at) == ("open", MONDAY + timedelta(hours=8))
    assert world.fresh(request).version == request.version
    assert told("reminder") == []


def test_a_reminder_goes_once_to_those_who_can_sign(people: dict[str, User]) -> None:
    request = opened(people)
    for _ in range(3):
        answer = tick(request, hours=8)
    assert answer.next_at == MONDAY + timedelta(days=1, hours=8)
    # Not to who asked for it, who is in the group as well, and not to who left.
    assert told("reminder") == ["ada", "senior"]
    assert [e.body["number"] for e in entries(request, "reminded")] == [1]
    assert world.fresh(request).version == request.version + 1
    tick(request, days=1, hours=8)
    assert told("reminder") == ["ada", "ada", "senior", "senior"]


def test_who_has_signed_in_this_tier_is_not_reminded(people: dict[str, User]) -> None:
    request = opened(people, band={"tiers": [{"group": "first", "quorum": 2}]})
    world.decide(request, people["ada"], as_of=MONDAY)
    tick(request, hours=8)
    assert told("reminder") == ["senior"]


def test_who_holds_it_is_reminded_alone_while_the_lease_runs(people: dict[str, User]) -> None:
    request = opened(people)
    held(request, people["ada"], until=MONDAY + timedelta(hours=9))
    tick(request, hours=8)
    assert told("reminder") == ["ada"]
    tick(request, days=1, hours=8)
    assert told("reminder") == ["ada", "ada", "senior"]


def held(request: ApprovalRequest, by: User, *, until: datetime) -> None:
    ApprovalRequest.objects.filter(pk=request.pk).update(claimed_by=by, claimed_until=until)


ESCALATION = {"days": 2, "hours": 8}


def test_it_escalates_to_the_senior_of_who_holds_it_and_the_claim_ends(
    people: dict[str, User],
) -> None:
    request = opened(people)
    held(request, people["ada"], until=MONDAY + timedelta(days=9))
    tick(request, **ESCALATION)
    row = world.fresh(request)
    assert (row.escalated_to, row.escalated_group) == (people["senior"], "")
    assert (row.claimed_by, row.escalated_at) == (None, MONDAY + timedelta(**ESCALATION))
    assert told("escalated") == ["ada", "senior"]
    [entry] = entries(request, "escalated")
    assert (entry.outcome, entry.body["to"]) == ("done", people["senior"].audit_id)


def test_without_a_holder_it_escalates_to_the_group_which_may_sign_then(
    people: dict[str, User],
) -> None:
    request = opened(people)
    assert world.refusal(request, people["chief"], as_of=MONDAY).code == "not_in_group"
    tick(request, **ESCALATION)
    assert told("escalated") == ["chief"]
    decided = world.decide(world.fresh(request), people["chief"], as_of=MONDAY)
    assert decided.status == "approved"


def test_the_inbox_of_a_group_finds_what_was_escalated_to_it(people: dict[str, User]) -> None:
    request = opened(people, band={"expires_hours": None})

    def found(by: str, **query: str) -> list[ApprovalRequest]:
        form = InboxFilter({"group": "second", **query})
        bar = form.apply_bar(ApprovalRequest.objects.all(), as_of=MONDAY)
        return list(form.narrow(bar, user=people[by], as_of=MONDAY, mine="mine" in query))

    assert found("chief") == found("chief", mine="on") == []
    tick(request, **ESCALATION)
    assert found("chief") == found("chief", mine="on") == [request]
    assert found("outsider", mine="on") == []


def test_a_senior_who_may_not_sign_gives_way_to_the_group(people: dict[str, User]) -> None:
    request = opened(people)
    User.objects.filter(pk=people["ada"].pk).update(senior=people["requester"])
    held(request, people["ada"], until=MONDAY + timedelta(days=9))
    tick(request, **ESCALATION)
    row = world.fresh(request)
    assert (row.escalated_to, row.escalated_group) == (None, "second")
    assert told("escalated") == ["ada", "chief"]


def test_nobody_to_escalate_to_is_audited_and_leaves_it_as_it_was(people: dict[str, User]) -> None:
    User.objects.update(senior=None)
    request = opened(people, band={"escalation": {"hours": 24, "senior": True}})
    tick(request, **ESCALATION)
    tick(request, **ESCALATION)
    row = world.fresh(request)
    assert (row.escalated_to, row.escalated_group, row.escalated_at) == (None, "", None)
    assert told("escalated") == []
    [entry] = entries(request, "escalated")
    assert (entry.outcome, entry.code) == ("refused", "nobody_to_escalate_to")


def test_it_escalates_to_the_senior_of_the_last_holder_whose_lease_has_lapsed(
    people: dict[str, User],
) -> None:
    """A lease is half an hour, an escalation counts working days: no lease lasts that long."""
    request = opened(people, band={"escalation": {"hours": 24, "senior": True}})
    services.claim_take(request_id=request.pk, by=people["ada"], via="api", as_of=MONDAY)
    tick(request, **ESCALATION)
    row = world.fresh(request)
    assert (row.escalated_to, row.claimed_by) == (people["senior"], None)
    assert told("escalated") == ["ada", "senior"]
    # The one who sat on it may sign, and not keep the others out again.
    error = world.refused(
        lambda: services.claim_take(
            request_id=request.pk, by=people["ada"], via="api", as_of=MONDAY + timedelta(days=3)
        ),
        action="approval.claim",
        by=people["ada"],
    )
    assert error.code == "claim_used_up"


def test_what_nobody_ever_held_escalates_to_the_senior_of_those_who_could_have(
    people: dict[str, User],
) -> None:
    boss = world.person("boss", "second")
    User.objects.filter(username__in=["ada", "senior"]).update(senior=boss)
    User.objects.filter(username="requester").update(senior=people["outsider"])
    request = opened(people, band={"escalation": {"hours": 24, "senior": True}})
    tick(request, **ESCALATION)
    assert world.fresh(request).escalated_to == boss
    assert told("escalated") == ["boss"]
    assert world.decide(world.fresh(request), boss, as_of=MONDAY).status == "approved"


def test_an_escalation_that_found_nobody_is_tried_again_without_haste(
    people: dict[str, User],
) -> None:
    User.objects.update(senior=None)
    request = opened(
        people,
        band={
            "reminder_hours": [],
            "due_hours": None,
            "expires_hours": None,
            "escalation": {"hours": 24, "senior": True},
        },
    )
    answer = tick(request, **ESCALATION)
    assert answer.next_at == MONDAY + timedelta(**ESCALATION) + timedelta(days=1)
    assert world.fresh(request).clock[0]["done_at"] is None
    User.objects.filter(username="ada").update(senior=people["senior"])
    assert tick(request, days=4).next_at is None
    assert world.fresh(request).escalated_to == people["senior"]
    assert [e.outcome for e in entries(request, "escalated")] == ["refused", "done"]


TWO_TIERS = {"tiers": [{"group": "first", "quorum": 1}, {"group": "second", "quorum": 1}]}


def test_a_later_tier_reminds_and_escalates_by_its_own_time(people: dict[str, User]) -> None:
    escalation = {"hours": 24, "group": "third"}
    world.person("third", "third")
    request = opened(people, band={**TWO_TIERS, "escalation": escalation, "expires_hours": 900})
    tick(request, **ESCALATION)
    assert [told("reminder"), told("escalated")] == [["ada", "senior"], ["third"]]
    world.decide(world.fresh(request), people["ada"], as_of=MONDAY + timedelta(days=3))
    assert commands(request) == [("start", ""), ("signal", SIGNAL_CHANGED)]
    ours = [f"approval:{request.pk}:clock:tier:1:2"]
    assert services.signals_judge(request_id=request.pk, commands=ours) == 0
    row = world.fresh(request)
    assert (row.due_at, row.escalated_group) == (request.due_at, "")
    assert tick(request, days=3).next_at == MONDAY + timedelta(days=3, hours=8)
    tick(request, days=3, hours=8)
    assert told("reminder") == ["ada", "chief", "senior"]
    # Wednesday at nine, and three working days.
    tick(request, days=7, hours=8)
    assert told("escalated") == ["third", "third"]
    assert world.fresh(request).escalated_group == "third"


def test_the_workflow_of_a_kind_with_its_own_clock_is_woken_for_the_next_tier(
    people: dict[str, User],
) -> None:
    world.group("second")
    band = BAND | TWO_TIERS
    services.rule_put(kind=CLOCKED, scope="", currency="NGN", bands=[band], by=None)
    request = world.opened(people["requester"], kind=CLOCKED, as_of=MONDAY)
    world.decide(request, people["ada"], as_of=MONDAY)
    [signal] = EngineCommand.objects.filter(workflow_id=request.workflow_id)
    assert signal.key == f"approval:{request.pk}:tier:1:2"


def test_who_acts_for_an_absent_signer_is_reminded_and_told_that_it_waits(
    people: dict[str, User],
) -> None:
    for name, changes in {
        "deputy": {},
        "limited": {"most": 5, "currency": "NGN"},
        "elsewhere": {"kinds": ["another"]},
        "over": {"ends_at": MONDAY - timedelta(days=1)},
    }.items():
        between = {"starts_at": MONDAY - timedelta(days=9), "ends_at": MONDAY + timedelta(days=9)}
        world.delegated(people["ada"], world.person(name, "second"), **{**between, **changes})
    world.delegated(people["requester"], people["outsider"], starts_at=MONDAY)
    request = opened(people)
    tick(request, hours=8)
    assert told("reminder") == ["ada", "deputy", "senior"]
    found = signers(request, as_of=MONDAY)
    assert [p.username for p in found] == ["ada", "deputy", "senior"]
    Delegation.objects.filter(delegate__username="deputy").update(revoked_at=timezone.now())
    assert "deputy" not in [p.username for p in signers(request, as_of=MONDAY)]


def test_overdue_is_said_once(people: dict[str, User]) -> None:
    request = opened(people)
    for _ in range(2):
        tick(request, days=3, hours=8)
    assert len(entries(request, "overdue")) == 1
    assert told("overdue") == ["ada", "chief", "senior"]


def test_the_workflows_absence_makes_up_for_everything_at_once(people: dict[str, User]) -> None:
    request = opened(people)
    answer = tick(request, days=4)
    assert answer.next_at == MONDAY + timedelta(days=5)
    assert [len(entries(request, a)) for a in ("reminded", "escalated", "overdue")] == [1, 1, 1]
    # Of two reminders at once the later one says it.
    assert told("reminder") == ["ada", "senior"]
    assert entries(request, "reminded")[0].body["number"] == 2
    assert world.fresh(request).version == request.version + 1


# --- the end -------------------------------------------------------------------------------------
def test_it_expires_and_the_domain_and_its_workflow_hear_of_it(people: dict[str, User]) -> None:
    request = opened(people)
    for _ in range(2):
        answer = tick(request, days=5)
    assert (answer.status, answer.next_at) == ("expired", None)
    row = world.fresh(request)
    assert (row.settled_by, row.settled_at) == (None, MONDAY + timedelta(days=5))
    assert world.domain.settled == [(str(request.pk), "expired")]
    signal = EngineCommand.objects.get(workflow_id=request.workflow_id, kind="signal")
    assert signal.key == f"approval:{request.pk}:settled"
    # The clock's own workflow is the one that found it: nobody has to wake it.
    assert commands(request) == [("start", "")]
    # Nobody is reminded of what nobody can sign any more.
    assert told("reminder") == []
    assert len(entries(request, "expired")) == 1


def test_a_domain_that_refuses_the_expiry_undoes_it(people: dict[str, User]) -> None:
    request = opened(people)
    world.domain.fails_with = Invalid("not now", code="not_now")
    with pytest.raises(Invalid):
        tick(request, days=5)
    assert world.fresh(request).status == "open"
    assert entries(request, "tick")[0].code == "not_now"
    assert entries(request, "expired") == []


def test_a_settled_request_is_left_alone(people: dict[str, User]) -> None:
    request = opened(people)
    world.decide(request, people["ada"], as_of=MONDAY)
    version = world.fresh(request).version
    for days in (1, 3, 9):
        answer = tick(request, days=days)
        assert (answer.status, answer.next_at) == ("approved", None)
    assert world.fresh(request).version == version
    assert told("reminder") == told("escalated") == []


@pytest.mark.parametrize("request_id", ["", "x", "\x00", "00000000-0000-0000-0000-000000000000"])
def test_a_request_that_is_none_is_not_found(db: None, request_id: str) -> None:
    with pytest.raises(NotFound):
        services.request_tick(request_id=request_id, as_of=MONDAY)


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_do_each_event_once() -> None:
    people = make_people()
    request = opened(people)

    def one(days: float) -> str:
        try:
            return str(tick(request, days=days).status)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, [4] * 4)) == ["open"] * 4
        assert list(threads.map(one, [5] * 4)) == ["expired"] * 4
    assert [len(entries(request, a)) for a in ("reminded", "escalated", "overdue", "expired")] == [
        *(1, 1, 1, 1)
    ]
    assert told("reminder") == ["ada", "senior"]
    assert told("escalated") == ["chief"]
    assert world.domain.settled == [(str(request.pk), "expired")]


# --- the page ------------------------------------------------------------------------------------
def test_the_page_shows_what_was_done_and_what_comes_next(
    people: dict[str, User], client: Any
) -> None:
    request = opened(people, band={"expires_hours": 24 * 366})
    tick(request, hours=8)
    tick(request, days=1, hours=8)
    client.force_login(people["ada"])
    panel = clock_panel(client, request)
    assert "Reminder 2" in panel
    assert panel.count("sent") == 2
    assert "</time>: to the senior of who holds it, else second" in panel
    # Its time is over by the clock on the wall; the worker will say so when it comes to it.
    assert "overdue" in panel
    tick(request, days=30)
    assert "to second" in clock_panel(client, request)


def test_the_page_of_a_request_without_a_clock_says_nothing_of_one(
    people: dict[str, User], client: Any
) -> None:
    nothing = {"reminder_hours": [], "escalation": None, "due_hours": None, "expires_hours": None}
    request = opened(people, band=nothing)
    client.force_login(people["ada"])
    assert "Clock" not in clock_panel(client, request)


def clock_panel(client: Any, request: ApprovalRequest) -> str:
    page = " ".join(client.get(f"/requests/{request.pk}/").content.decode().split())
    return page[page.index('id="request-clock"') :].partition("</section>")[0]


# --- edits ---------------------------------------------------------------------------------------
def test_the_clock_of_an_edited_request_begins_again_and_reminds_again(
    people: dict[str, User],
) -> None:
    request = opened(people, band={"expires_hours": 24 * 30})
    tick(request, days=2, hours=8)
    assert [len(told("reminder")), told("escalated")] == [2, ["chief"]]
    edited = world.edit(world.fresh(request), people["requester"], as_of=MONDAY + timedelta(days=7))
    assert edited.due_at == MONDAY + timedelta(days=10, hours=8)
    assert {event["done_at"] for event in edited.clock} == {None}
    assert edited.escalated_group == ""
    assert commands(request) == [("start", ""), ("signal", SIGNAL_CHANGED)]
    ours = [f"approval:{request.pk}:clock:edited:2"]
    assert services.signals_judge(request_id=request.pk, commands=ours) == 0
    assert tick(request, days=7, hours=8).next_at == MONDAY + timedelta(days=8, hours=8)
    assert len(told("reminder")) == 4


def test_an_old_timer_does_not_end_what_no_longer_expires(people: dict[str, User]) -> None:
    request = opened(people)
    world.rule([BAND | {"expires_hours": None}])
    world.edit(request, people["requester"], as_of=MONDAY)
    with transaction.atomic(), pytest.raises(Conflict) as error:
        services.request_expire(request_id=request.pk, as_of=MONDAY + timedelta(days=5))
    assert error.value.code == "not_due"
    assert tick(request, days=30).status == "open"


def test_a_tick_says_when_it_expires_now(people: dict[str, User]) -> None:
    request = opened(people)
    assert tick(request, hours=1).expires_at == MONDAY + timedelta(days=5)
    world.rule([BAND | {"expires_hours": 48}])
    world.edit(request, people["requester"], as_of=MONDAY)
    assert tick(request, hours=1).expires_at == MONDAY + timedelta(days=2)


def test_an_edit_into_a_band_with_a_clock_starts_its_workflow(people: dict[str, User]) -> None:
    request = opened(
        people,
        band={"reminder_hours": [], "escalation": None, "due_hours": None, "expires_hours": None},
    )
    world.rule([BAND])
    world.edit(request, people["requester"], as_of=MONDAY)
    assert commands(request) == [("start", "")]


# --- signals that nobody sent --------------------------------------------------------------------
def test_a_forged_signal_is_audited_once_and_changes_nothing(people: dict[str, User]) -> None:
    request = opened(people)
    forged = ["by-hand", f"approval:{request.pk}:settled", "by-hand"]
    assert services.signals_judge(request_id=request.pk, commands=forged) == 2
    assert services.signals_judge(request_id=request.pk, commands=forged) == 0
    noted = entries(request, "signal")
    assert {(e.outcome, e.code) for e in noted} == {("refused", "not_decided")}
    assert [e.body["command"] for e in noted] == forged[:2]
    row = world.fresh(request)
    assert (row.status, row.version) == ("open", request.version)


def test_our_own_signals_and_those_about_the_decided_are_not_judged(
    people: dict[str, User],
) -> None:
    request = opened(people)
    with transaction.atomic():
        services.clock.clock_keep(request, event="edited:2")
    ours = [f"approval:{request.pk}:clock:edited:2"]
    assert services.signals_judge(request_id=request.pk, commands=ours) == 0
    other = opened(people, subject_id="other")
    assert services.signals_judge(request_id=other.pk, commands=ours) == 1
    world.decide(request, people["ada"], as_of=MONDAY)
    assert services.signals_judge(request_id=request.pk, commands=["too late"]) == 0
    assert entries(request, "signal") == []


def test_a_flood_of_forged_signals_is_bounded_and_harmless_text(people: dict[str, User]) -> None:
    request = opened(people)
    flood = ["\x00\ud800", "x" * 10_000, *(f"forged-{n}" for n in range(500))]
    assert services.signals_judge(request_id=request.pk, commands=flood) == 20


# --- the engine's subject ------------------------------------------------------------------------
def sent(request: ApprovalRequest) -> None:
    EngineCommand.objects.filter(subject_id=str(request.pk)).update(state="sent")


def ran(request: ApprovalRequest, status: str, run_id: str = "run-1") -> WorkflowRun:
    """The workflow of the newest start."""
    return WorkflowRun.objects.create(
        workflow_id=clock_started(request.pk),
        run_id=run_id,
        workflow_type="ApprovalClockWorkflow",
        status=status,
        confirmed=True,
        subject_type="approval",
        subject_id=str(request.pk),
        started_at=timezone.now(),
    )


def subject() -> subjects.EngineSubject:
    found = subjects.get("approval")
    assert found is not None
    return found


def test_an_open_request_whose_clock_nobody_keeps_is_stranded_and_restarted_once(
    people: dict[str, User],
) -> None:
    request = opened(people, band={"expires_hours": 24 * 300})
    ApprovalRequest.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert list(subject().stranded()) == []
    sent(request)
    assert list(subject().stranded()) == [str(request.pk)]
    for _ in range(2):
        subject().restart(str(request.pk))
    assert commands(request) == [("start", ""), ("start", "")]
    assert list(subject().stranded()) == []
    sent(request)
    run = ran(request, "running")
    assert list(subject().stranded()) == []
    WorkflowRun.objects.filter(pk=run.pk).update(status="lost")
    assert list(subject().stranded()) == [str(request.pk)]


def test_what_has_no_clock_left_to_keep_is_not_stranded(people: dict[str, User]) -> None:
    for request in (
        opened(people, subject_id="settled"),
        opened(people, subject_id="done", band={"expires_hours": None}),
    ):
        sent(request)
    ApprovalRequest.objects.update(created_at=timezone.now() - timedelta(hours=1))
    settled, done = ApprovalRequest.objects.order_by("-subject_id")
    world.decide(world.fresh(settled), people["ada"], as_of=MONDAY)
    tick(done, days=30)
    assert list(subject().stranded()) == []


def test_a_clock_that_somebody_terminates_goes_on_but_not_for_ever(
    people: dict[str, User],
) -> None:
    request = opened(people)
    for number in range(MOST_STARTS + 5):
        sent(request)
        run = ran(request, "terminated", f"run-{number}")
        for _ in range(2):
            with transaction.atomic():
                subject().on_closed(str(request.pk), run)
    assert commands(request) == [("start", "")] * MOST_STARTS
    (stopped,) = entries(request, "clock_stopped")
    assert stopped.body is not None
    assert f"{MOST_STARTS} times" in stopped.body["reason"]


def test_a_clock_whose_runs_the_engine_loses_is_started_again_however_often(
    people: dict[str, User],
) -> None:
    request = opened(people, band={"expires_hours": 24 * 300})
    ApprovalRequest.objects.update(created_at=timezone.now() - timedelta(hours=1))
    for number in range(MOST_STARTS + 2):
        sent(request)
        ran(request, "lost", f"run-{number}")
        assert list(subject().stranded()) == [str(request.pk)]
        subject().restart(str(request.pk))
    assert commands(request) == [("start", "")] * (MOST_STARTS + 3)
    assert entries(request, "clock_stopped") == []


def test_a_clock_that_has_ended_with_its_request_is_left(people: dict[str, User]) -> None:
    request = opened(people)
    world.decide(request, people["ada"], as_of=MONDAY)
    sent(request)
    with transaction.atomic():
        subject().on_closed(str(request.pk), ran(request, "completed"))
    assert commands(request) == [("start", ""), ("signal", SIGNAL_CHANGED)]


def test_after_a_backup_a_clock_that_completed_begins_again_under_its_own_id(
    people: dict[str, User],
) -> None:
    request = opened(people, band={"expires_hours": 24 * 300})
    ApprovalRequest.objects.update(created_at=timezone.now() - timedelta(hours=1))
    sent(request)
    completed = ran(request, "completed")
    assert list(subject().stranded()) == [str(request.pk)]
    subject().restart(str(request.pk))
    second = clock_workflow_id(request.pk, 2)
    assert clock_started(request.pk) == second
    sent(request)
    ran(request, "running", "run-2")
    assert list(subject().stranded()) == []
    # The old one is told once more: it carries nothing any longer.
    with transaction.atomic():
        subject().on_closed(str(request.pk), completed)
    assert commands(request) == [("start", ""), ("start", "")]
    world.decide(request, people["ada"], as_of=MONDAY)
    assert EngineCommand.objects.get(workflow_id=second, kind="signal").name == SIGNAL_CHANGED


def test_clocks_with_nothing_to_do_do_not_keep_the_stranded_from_being_found(
    people: dict[str, User],
) -> None:
    for number in range(3):
        idle = opened(people, subject_id=f"idle-{number}", band={"expires_hours": None})
        sent(idle)
        tick(idle, days=30)
    request = opened(people, subject_id="waits", band={"expires_hours": 24 * 300})
    sent(request)
    ApprovalRequest.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert process.stranded(services.clock.CLOCK, limit=2) == [str(request.pk)]


def test_a_start_that_never_arrives_is_written_down(people: dict[str, User]) -> None:
    request = opened(people)
    command = EngineCommand.objects.get(kind="start", subject_id=str(request.pk))
    command.error = "no such namespace"
    with transaction.atomic():
        subject().on_undeliverable(command)
    assert [e.body["reason"] for e in entries(request, "clock_stopped")] == ["no such namespace"]


@pytest.mark.parametrize(
    ("workflow_id", "found"),
    [
        ("approval-0192f0c4-0000-7000-8000-000000000000-clock", True),
        ("approval-0192f0c4-0000-7000-8000-000000000000-clock-2", True),
        ("approval-0192f0c4-0000-7000-8000-000000000000-clock-x", False),
        ("approval-0192f0c4-0000-7000-8000-000000000000", False),
        ("approval-x-clock", False),
        ("intervention-0192f0c4-0000-7000-8000-000000000000-clock", False),
        ("approval-clock", False),
    ],
)
def test_the_request_is_found_by_its_clocks_workflow_id(workflow_id: str, found: bool) -> None:
    subjects_of = subject().subjects_of
    assert subjects_of is not None
    assert (workflow_id in subjects_of([workflow_id])) is found
