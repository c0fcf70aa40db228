"""Pages of workers, runs, commands and schedules: who may, what they say, and what they survive."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.common.identifiers import new_id
from apps.console import home
from apps.engine import liveness, reads, schedule_reads, watching
from apps.engine.models import EngineCommand, WorkflowRun, WorkflowSchedule
from apps.engine.reads import Description, PendingActivity, Poller, QueueState, QueueStates
from apps.engine.relay import state as relay_state
from apps.engine.schedule_reads import ScheduledRun, ScheduleState, ScheduleStates
from apps.engine.selectors import failed_runs, run_figures, troubled_commands, untold_runs
from apps.engine.views import runs as run_views
from apps.engine.views import schedules as schedule_views
from apps.engine.views import workers as worker_views
from tests.console.conftest import AsPerson
from tests.interventions.conftest import World
from tests.plans import plan_by_index

LONG = "9" * 5000
QUERIES = [
    "cursor=%00&state=%00&type=%00&workflow=%00&kind=%00",
    f"cursor={LONG}&state={LONG}&type={LONG}&workflow={LONG}&kind={LONG}",
    "state=nothing&kind=nothing&type=%F0%9F%92%A9&workflow=-",
]


class Engine:
    """Stands in for Temporal: answers, or does not, and counts how often it was asked."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []
        self.pending: tuple[PendingActivity, ...] = ()
        self.queue: dict[str, Any] = {}
        self.schedule: dict[str, Any] = {}

    def queue_states(self, names: list[str]) -> QueueStates:
        self.asked.append("queues")
        if self.away:
            return QueueStates(available=False, error="gone")
        return QueueStates(queues=tuple(QueueState(name=name, **self.queue) for name in names))

    def schedule_states(self, names: list[str]) -> ScheduleStates:
        self.asked.append("schedules")
        if self.away:
            return ScheduleStates(available=False, error="gone")
        return ScheduleStates(
            schedules=tuple(ScheduleState(name, found=True, **self.schedule) for name in names)
        )

    def describe(self, workflow_id: str, run_id: str) -> Description:
        self.asked.append("run")
        if self.away:
            return Description(available=False, error="gone")
        return Description(found=True, pending_activities=self.pending, history_length=12)


WATCHES = (home.QUEUES, worker_views.QUEUES, run_views.DESCRIPTIONS, schedule_views.STATES)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Engine]:
    one = Engine()
    # Keys of this test's own in Redis.
    settings.INSTALLATION = f"countersign-{new_id().hex[-10:]}"
    monkeypatch.setattr(reads, "queue_states", one.queue_states)
    monkeypatch.setattr(reads, "describe", one.describe)
    monkeypatch.setattr(schedule_views, "schedule_states", one.schedule_states)
    yield one
    for watch in WATCHES:
        watch.forget()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(60)` lets seconds pass for the watches; by itself their time stands still."""
    time = [timezone.now()]
    monkeypatch.setattr(watching.timezone, "now", lambda: time[0])

    def move(seconds: float) -> None:
        time[0] += timedelta(seconds=seconds)

    return move


def run_of(status: str = "running", **values: Any) -> WorkflowRun:
    return WorkflowRun.objects.create(
        **{
            "workflow_id": f"w-{new_id().hex[-10:]}",
            "run_id": str(new_id()),
            "workflow_type": "ExecuteInterventionWorkflow",
            "task_queue": "intervention-critical",
            "status": status,
            "closed_at": None if status == "running" else timezone.now(),
            "confirmed": True,
            **values,
        }
    )


def command_of(state: str = "parked", **values: Any) -> EngineCommand:
    return EngineCommand.objects.create(
        **{
            "key": str(new_id()),
            "kind": "signal",
            "name": "decided",
            "workflow_id": "w-1",
            "task_queue": "intervention-critical",
            "state": state,
            "error": "It cannot be read.",
            **values,
        }
    )


def html_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return " ".join(answer.content.decode().split())


def words_in(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture
def addresses(db: None) -> list[str]:
    """Every page of these, with a row of each kind."""
    run, command = run_of(), command_of()
    return [
        *("/workers/", "/workers/runs/", "/workers/commands/", "/schedules/"),
        f"/workers/runs/{run.pk}/",
        f"/workers/commands/{command.pk}/",
        "/schedules/reconcile-interventions/",
    ]


def fragment_of(address: str) -> str:
    return "/schedules-live/" if address == "/schedules/" else f"{address}live/"


# --- who -----------------------------------------------------------------------------------------
def test_only_who_may_see_the_engine_sees_its_pages(
    addresses: list[str], world: World, as_person: AsPerson, engine: Engine
) -> None:
    stranger = as_person("requester")
    for address in addresses:
        assert stranger.get(address).status_code == 403, address
        assert stranger.get(fragment_of(address)).status_code == 404, address
    denied = AuditEntry.objects.filter(code="permission_denied", subject_id="/workers/")
    assert denied.count() == 1
    for name in ("operator", "auditor"):
        client = as_person(name)
        for address in addresses:
            assert client.get(address).status_code == 200, (name, address)
            assert client.get(fragment_of(address)).status_code == 200, (name, address)


def test_an_auditor_sees_no_verb_and_sends_none(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    run, command = run_of(), command_of()
    auditor = as_person("auditor")
    pages = {
        f"/workers/runs/{run.pk}/": ("cancel", "engine.run_cancel"),
        f"/workers/commands/{command.pk}/": ("retry", "engine.command_retry"),
        "/schedules/reconcile-interventions/": ("pause", "engine.schedule_pause"),
    }
    for address, (verb, action) in pages.items():
        assert "<textarea" not in html_of(auditor, address)
        answer = auditor.post(f"{address}{verb}/", {"reason": "I may not"})
        assert answer.status_code == 403
        entry = AuditEntry.objects.get(action=action)
        assert (entry.outcome, entry.code) == ("refused", "permission_denied")
    assert EngineCommand.objects.get().state == "parked"


def test_nobody_signed_in_is_led_to_the_door(db: None) -> None:
    assert Client().get("/workers/").status_code == 302
    assert Client().post("/workers/runs/1/cancel/").status_code == 302
    assert Client().get("/workers/live/").status_code == 401


# --- what they say -------------------------------------------------------------------------------
def test_the_workers_page_says_what_works_and_what_is_stuck(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    engine.queue = {
        "pollers": (Poller("one@host", timezone.now(), ("workflows", "activities"), "v7"),),
        "workflow_backlog": 4,
        "oldest_seconds": 61.0,
    }
    liveness.beat("worker", "host:1:a", ["approvals-queue"], False, {"version": "v7"})
    liveness.beat("relay", "host:2:b", [], True)
    run_of()
    run_of("failed")
    run_of("failed", closed_at=timezone.now() - timedelta(days=2))
    parked = command_of()
    late = timezone.now() - timedelta(minutes=5)
    stuck = command_of("pending", created_at=late, error="Nobody answers.", attempts=7)
    command_of("pending", behind_run="r-1", created_at=late, error="waits for a run")
    html = html_of(as_person("operator"), "/workers/")
    text = words_in(html)
    assert "About 4 workflow tasks and 0 activities wait, the oldest for 61 s." in text
    assert "one@host" in text
    assert "version v7" in text
    assert "host:1:a" in text
    assert "leads" in text
    assert "ExecuteInterventionWorkflow 1 1 2" in text
    assert f"/workers/commands/{parked.pk}/" in html
    assert f"/workers/commands/{stuck.pk}/" in html
    assert "waits for a run" not in text
    assert "does not answer" not in text
    assert 'data-live="engine"' in html


def test_a_queue_that_nobody_polls_is_told(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    run_of(task_queue="left-alone")
    engine.queue = {"workflow_backlog": 2, "oldest_seconds": 9.0}
    text = words_in(html_of(as_person("operator"), "/workers/"))
    assert "left-alone About 2 workflow tasks and 0 activities wait, the oldest for 9 s. " in text
    assert "nobody polls" in text


def test_a_silent_process_is_told(world: World, as_person: AsPerson, engine: Engine) -> None:
    from apps.engine.models import ProcessHeartbeat

    liveness.beat("worker", "host:1:a", ["q"])
    ProcessHeartbeat.objects.update(beat_at=timezone.now() - timedelta(minutes=3))
    text = words_in(html_of(as_person("operator"), "/workers/"))
    assert "silent" in text
    assert "last beat" in text


def test_a_run_says_what_it_does_and_what_was_sent_to_it(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    run = run_of(subject_type="intervention", subject_id=str(world.ask().pk))
    engine.pending = (PendingActivity("pay", "scheduled", 4, "The bank is closed.", 9, "worker-1"),)
    command_of("sent", workflow_id=run.workflow_id, error="")
    text = words_in(html_of(as_person("operator"), f"/workers/runs/{run.pk}/"))
    assert "pay attempt 4 of 9 at worker-1" in text
    assert "Last failure: The bank is closed." in text
    assert "signal decided" in text
    assert "Intervention" in text
    assert [verb for verb in ("Terminate", "Restart") if verb in text] == ["Terminate"]
    # The row of the first one is carried by it still; that of the second one by nobody.
    for row, offered in ((run.subject_id, []), (str(world.ask().pk), ["Restart"])):
        ended = run_of("failed", subject_type="intervention", subject_id=row)
        text = words_in(html_of(as_person("operator"), f"/workers/runs/{ended.pk}/"))
        assert [verb for verb in ("Terminate", "Restart") if verb in text] == offered


def test_schedules_say_when_in_words_and_how_the_last_run_ended(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    now = timezone.now()
    engine.schedule = {
        "next_at": (now + timedelta(minutes=3),),
        "last": (ScheduledRun("reconcile-1", "r", now, now, "failed"),),
        "runs": 12,
    }
    operator = as_person("operator")
    text = words_in(html_of(operator, "/schedules/"))
    assert "reconcile-interventions Every 5 minutes" in text
    assert ": failed" in text
    assert "Settles reservations whose workflow is closed." in text
    text = words_in(html_of(operator, "/schedules/reconcile-interventions/"))
    assert "reconcile-1" in text
    assert "Runs so far 12" in text
    assert "Catches up runs missed by at most 1 hour" in text
    assert "The engine ends a run" not in text
    WorkflowSchedule.objects.update(catch_up_seconds=79_200, execution_timeout_seconds=5_400)
    text = words_in(html_of(operator, "/schedules/reconcile-interventions/"))
    assert "Catches up runs missed by at most 22 hours" in text
    assert "The engine ends a run after 1 hour and 30 minutes" in text


# --- without the engine --------------------------------------------------------------------------
def test_all_viewers_together_ask_the_engine_once(
    world: World, as_person: AsPerson, engine: Engine, clock: Callable[[float], None]
) -> None:
    for name in ("operator", "auditor", "operator"):
        html_of(as_person(name), "/workers/")
    assert engine.asked == ["queues"]
    clock(4)
    html_of(as_person("operator"), "/workers/live/")
    assert engine.asked == ["queues", "queues"]


def test_the_home_page_asks_the_engine_no_oftener(
    world: World, as_person: AsPerson, engine: Engine, clock: Callable[[float], None]
) -> None:
    def said() -> str:
        part = home.machinery(as_of=timezone.now())[0]
        return f"{part.name} {part.state}"

    engine.queue = {"workflow_backlog": 2, "oldest_seconds": 61.0}
    for name in ("operator", "auditor"):
        assert "waiting" in words_in(html_of(as_person(name), "/"))
    assert engine.asked == ["queues"]
    engine.away = True
    clock(4)
    assert [said(), said()] == ["Engine no answer"] * 2
    assert engine.asked == ["queues", "queues"]


def test_the_pages_say_since_when_the_engine_does_not_answer(
    addresses: list[str],
    world: World,
    as_person: AsPerson,
    engine: Engine,
    clock: Callable[[float], None],
) -> None:
    operator = as_person("operator")
    engine.queue = {"workflow_backlog": 3, "oldest_seconds": 1.0}
    html_of(operator, "/workers/")
    engine.away = True
    for address in addresses:
        clock(4)
        text = words_in(html_of(operator, address))
        if "commands" in address or address == "/workers/runs/":
            continue
        assert "does not answer since" in text, address
        assert "Figures from our own tables are current." in text
        assert "carried out when the engine answers again" in text
    text = words_in(html_of(operator, "/workers/"))
    assert "Pollers and backlogs are from" in text
    assert "About 3 workflow tasks" in text
    assert "as it was" in text
    assert "Next and last runs are not known." in words_in(html_of(operator, "/schedules/"))
    engine.away = False
    clock(4)
    assert "does not answer" not in words_in(html_of(operator, "/workers/"))


def test_without_redis_each_process_keeps_the_answer_itself(
    world: World, as_person: AsPerson, engine: Engine, clock: Callable[[float], None], settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    operator = as_person("operator")
    html_of(operator, "/workers/")
    html_of(operator, "/workers/")
    assert engine.asked == ["queues"]
    engine.away = True
    clock(4)
    assert "Pollers and backlogs are from" in words_in(html_of(operator, "/workers/"))
    watching._redis.breaker.reset()


# --- what can be done ----------------------------------------------------------------------------
def test_an_operator_asks_from_the_page_and_the_page_shows_what_came_of_it(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    run = run_of()
    operator = as_person("operator")
    page = f"/workers/runs/{run.pk}/"
    answer = operator.post(f"{page}terminate/", {"reason": "It hangs."}, follow=True)
    text = words_in(answer.content.decode())
    assert "It will be terminated." in text
    assert "terminate" in text
    assert EngineCommand.objects.get().options == {"reason": "It hangs."}
    answer = operator.post(f"{page}terminate/", {"reason": "Again"}, follow=True)
    assert "Nothing was changed. This was asked for already: It hangs." in words_in(
        answer.content.decode()
    )
    answer = operator.post(f"{page}cancel/", {"reason": " "}, follow=True)
    assert "Give a reason" in words_in(answer.content.decode())
    assert EngineCommand.objects.count() == 1


def test_a_parked_command_is_sent_again_or_discarded_from_its_page(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    operator = as_person("operator")
    parked, other = command_of(), command_of()
    operator.post(f"/workers/commands/{parked.pk}/retry/", {"reason": "Mended"})
    operator.post(f"/workers/commands/{other.pk}/discard/", {"reason": "Not wanted"})
    states = EngineCommand.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == ["pending", "discarded"]
    answer = operator.post(
        f"/workers/commands/{parked.pk}/retry/", {"reason": "Mended"}, follow=True
    )
    assert "Nothing was changed." in words_in(answer.content.decode())


def test_a_schedule_is_run_and_paused_from_its_page(
    world: World, as_person: AsPerson, engine: Engine
) -> None:
    operator = as_person("operator")
    page = "/schedules/reconcile-interventions/"
    seen = re.search(r'name="seen" value="(\d+)"', html_of(operator, page))
    assert seen is not None
    form = {"reason": "Needed now", "seen": seen[1]}
    for _ in range(2):
        operator.post(f"{page}run_now/", form)
    assert EngineCommand.objects.filter(options__has_key="run_now").count() == 1
    operator.post(f"{page}pause/", {"reason": "Maintenance"})
    assert WorkflowSchedule.objects.get(name="reconcile-interventions").paused
    text = words_in(html_of(operator, page))
    assert "Paused the schedule" in text
    assert "The engine does not have this state yet." in text
    assert "Resume the schedule" in text


# --- what they survive ---------------------------------------------------------------------------
@pytest.mark.parametrize("query", QUERIES)
def test_no_address_breaks_these_pages(
    query: str, addresses: list[str], world: World, as_person: AsPerson, engine: Engine
) -> None:
    operator = as_person("operator")
    for address in addresses:
        for place in (address, fragment_of(address)):
            assert operator.get(f"{place}?{query}").status_code == 200, place


def test_what_is_not_there_is_not_found(world: World, as_person: AsPerson, engine: Engine) -> None:
    operator = as_person("operator")
    for address in (
        *("/workers/runs/1/", f"/workers/runs/{10**30}/", "/workers/commands/1/"),
        *(f"/workers/commands/{10**30}/", "/schedules/none/", "/workers/runs/x/"),
    ):
        assert operator.get(address).status_code == 404, address
        for verb in ("cancel", "retry", "pause", "nothing"):
            assert operator.post(f"{address}{verb}/", {"reason": "a"}).status_code == 404
    run = run_of()
    assert operator.get(f"/workers/runs/{run.pk}/cancel/").status_code == 405
    for reason in ("\x00", "\u202e", "x" * 5000):
        answer = operator.post(f"/workers/runs/{run.pk}/cancel/", {"reason": reason})
        assert answer.status_code == 302
    page = "/schedules/reconcile-interventions/run_now/"
    for seen in ("", "-1", "x", "9" * 5000, "\x00"):
        assert operator.post(page, {"reason": "a", "seen": seen}).status_code == 302
    assert not EngineCommand.objects.exists()


def test_lists_are_in_pages_and_filtered(world: World, as_person: AsPerson, engine: Engine) -> None:
    for _ in range(51):
        run_of()
    failed = run_of("timed_out", workflow_type="Other")
    untold = run_of("completed", subject_type="intervention", subject_id="1")
    operator = as_person("operator")
    first = operator.get("/workers/runs/?state=running").content.decode()
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = html_of(operator, following[1].replace("&amp;", "&"))
    assert second.count("data-key=") == 1
    for query, run in (
        ("state=failed_any", failed),
        ("type=Other", failed),
        (f"workflow={failed.workflow_id}", failed),
        ("state=completed", untold),
    ):
        html = html_of(operator, f"/workers/runs/?{query}")
        assert re.findall(r'data-key="(\d+)"', html) == [str(run.pk)]
    assert html_of(operator, "/workers/runs/?state=untold").count("data-key=") == 2
    command_of("sent")
    kept = [command_of(state) for state in ("parked", "undeliverable", "discarded", "leased")]
    html = html_of(operator, "/workers/commands/")
    assert set(re.findall(r'data-key="(\d+)"', html)) == {str(one.pk) for one in kept}
    html = html_of(operator, "/workers/commands/?state=waiting")
    assert re.findall(r'data-key="(\d+)"', html) == [str(kept[-1].pk)]


@pytest.mark.django_db
def test_figures_and_lists_are_served_by_small_indexes() -> None:
    now = timezone.now()
    plan_by_index(failed_runs(since=now).order_by("-closed_at"), "run_failed_at", ordered=True)
    running = WorkflowRun.objects.filter(status="running").order_by("seen_at")
    plan_by_index(running, "run_open", ordered=True)
    bad = WorkflowRun.objects.filter(status__in=WorkflowRun.FAILED).order_by("-started_at")
    plan_by_index(bad, "run_not_completed", ordered=True)
    for status in ("cancelled", "lost", "continued_as_new"):
        rows = WorkflowRun.objects.filter(status=status).order_by("-started_at")
        plan_by_index(rows, "run_not_completed", ordered=True)
    plan_by_index(untold_runs(), "run_not_told")
    plan_by_index(troubled_commands().filter(state="undeliverable"), "command_given_up")
    for rows in (
        troubled_commands(),
        troubled_commands().filter(state__in=("pending", "leased")),
        troubled_commands().filter(kind="signal"),
    ):
        newest = rows.order_by("-created_at", "-id")[:51]
        plan_by_index(newest, "command_not_sent", ordered=True)
    oldest = EngineCommand.objects.filter(state__in=("pending", "leased"), behind_run="")
    plan_by_index(oldest.order_by("created_at", "id")[:1], "command_not_sent", ordered=True)


@pytest.mark.django_db
def test_no_more_commands_are_counted_than_can_be_told(
    world: World, as_person: AsPerson, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    EngineCommand.objects.all().delete()
    for _ in range(3):
        command_of("pending")
        command_of("parked")
    monkeypatch.setattr(relay_state, "MOST_COUNTED", 3)
    monkeypatch.setattr(home, "MOST_PARKED", 3)

    def said() -> tuple[bool, bool]:
        now = timezone.now()
        text = words_in(html_of(as_person("operator"), "/workers/"))
        return "3+ commands are parked" in text, home._outbox(now).state == "more than 3 parked"

    figures = relay_state.lag()
    assert (figures.waiting, figures.waiting_more) == (3, False)
    assert (figures.parked, figures.parked_more) == (3, False)
    assert said() == (False, False)
    for state in ("leased", "parked"):
        command_of(state)
    figures = relay_state.lag()
    assert (figures.waiting, figures.waiting_more) == (3, True)
    assert (figures.parked, figures.parked_more) == (3, True)
    assert said() == (True, True)


@pytest.mark.django_db
def test_counts_say_when_they_are_only_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.engine.selectors.MOST_COUNTED", 3)
    for _ in range(4):
        run_of()
        run_of("failed")
    figures = run_figures(timezone.now())
    assert (figures.open, figures.open_more, figures.failed_day, figures.failed_more) == (
        *(3, True),
        *(3, True),
    )


def test_home_leads_to_the_workers_page(world: World, as_person: AsPerson) -> None:
    assert 'href="/workers/"' in html_of(as_person("operator"), "/")
    home = as_person("requester").get("/").content.decode()
    assert 'href="/workers/"' not in home
    assert reverse("workers") == "/workers/"
    assert schedule_reads.SHOWN == 5
