"""What the home page tells: what waits, what is late, what failed, how the engine is, today."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncHour

from apps.approvals.models import ApprovalRequest
from apps.engine import reads
from apps.engine.contracts import CommandState
from apps.engine.models import EngineCommand, ProcessBeat
from apps.engine.probes import ALIVE_SECONDS
from apps.interventions.contracts import TASK_QUEUE, InterventionStatus
from apps.interventions.models import Intervention
from apps.timeline import ask_engine

if TYPE_CHECKING:
    from apps.accounts.models import User

SHOWN = 8
#: A request that nobody signed for so long, or that expires within so long, is late.
LATE = timedelta(hours=24)
FAILED_WINDOW = timedelta(days=7)
#: A command that has waited for longer than this is worth a word.
LAG_WORTH_TELLING = timedelta(seconds=5)
HOURS = 24

CHART_WIDTH, CHART_HEIGHT = 480, 96


@dataclass(frozen=True)
class Part:
    """One part of the machinery and how it is."""

    name: str
    state: str
    tone: str
    detail: str = ""


@dataclass(frozen=True)
class Bar:
    """An hour of the chart, in the coordinates of its drawing."""

    x: int
    width: int
    y: int
    height: int
    bad_y: int
    bad_height: int
    title: str


@dataclass(frozen=True)
class Chart:
    """Interventions asked for per hour, those that failed marked."""

    bars: list[Bar]
    total: int
    failed: int
    most: int
    width: int = CHART_WIDTH
    height: int = CHART_HEIGHT


def waiting(user: "User") -> "QuerySet[ApprovalRequest]":
    """What this person could sign now, the oldest first: it has waited longest."""
    return ApprovalRequest.objects.mine(user).for_list().order_by("created_at", "id")


def late(user: "User", *, as_of: datetime) -> "QuerySet[ApprovalRequest]":
    """Open for a day or more, or about to expire."""
    return (
        ApprovalRequest.objects.visible_to(user)
        .open()
        .filter(Q(created_at__lte=as_of - LATE) | Q(expires_at__lte=as_of + LATE))
        .for_list()
        .order_by("created_at", "id")
    )


def failed(user: "User", *, as_of: datetime) -> "QuerySet[Intervention]":
    """Interventions of the last week that failed."""
    return (
        Intervention.objects.visible_to(user)
        .filter(status=InterventionStatus.FAILED, created_at__gte=as_of - FAILED_WINDOW)
        .for_list()
        .order_by("-created_at", "-id")
    )


def machinery(*, as_of: datetime) -> list[Part]:
    """Relay, workers and outbox as the database knows them, and the engine as it answers now."""
    beats = list(
        ProcessBeat.objects.filter(beat_at__gt=as_of - timedelta(seconds=ALIVE_SECONDS)).order_by(
            "role", "name"
        )[:200]
    )
    workers = [beat for beat in beats if beat.role == "worker"]
    relays = [beat for beat in beats if beat.role == "relay"]
    queues = sorted({queue for beat in workers for queue in beat.queues})
    return [
        _engine(),
        Part(
            "Workers",
            f"{len(workers)} running" if workers else "none",
            "good" if workers else "bad",
            ", ".join(queues)
            if workers
            else "Approved work waits and is not lost. Start one: manage.py runworker",
        ),
        _relay(relays),
        _outbox(as_of),
    ]


def _engine() -> Part:
    queue = ask_engine(partial(reads.queue_state, TASK_QUEUE))
    if queue is None:
        return Part(
            "Engine",
            "no answer",
            "bad",
            "Decisions are taken and kept; they are carried out when it is back.",
        )
    backlog = queue.workflow_backlog + queue.activity_backlog
    if backlog and queue.oldest_seconds > LAG_WORTH_TELLING.total_seconds():
        oldest = int(queue.oldest_seconds)
        return Part("Engine", f"{backlog} waiting", "warn", f"The oldest for {oldest} s.")
    return Part("Engine", "answers", "good", f"Nothing waits in {TASK_QUEUE}.")


def _relay(relays: list[ProcessBeat]) -> Part:
    leader = next((beat for beat in relays if beat.leading), None)
    if leader is not None:
        standbys = len(relays) - 1
        return Part("Relay", "leading", "good", f"{leader.name}, {standbys} standing by")
    if relays:
        return Part("Relay", "electing", "warn", "A standby takes over within seconds.")
    return Part(
        "Relay", "none", "bad", "Decisions are kept and sent when one runs: manage.py runrelay"
    )


def _outbox(as_of: datetime) -> Part:
    due = EngineCommand.objects.filter(state__in=(CommandState.PENDING, CommandState.LEASED))
    oldest = due.order_by("next_try_at", "id").values_list("created_at", flat=True).first()
    parked = EngineCommand.objects.filter(state=CommandState.PARKED).order_by()[:1001].count()
    if parked:
        return Part(
            "Outbox", f"{parked} parked", "bad", "An operator has to retry or discard them."
        )
    if oldest is None or as_of - oldest < LAG_WORTH_TELLING:
        return Part("Outbox", "up to date", "good", "Every decision has reached the engine.")
    seconds = int((as_of - oldest).total_seconds())
    return Part("Outbox", f"{seconds} s behind", "warn", "It catches up by itself.")


def volume(user: "User", *, as_of: datetime) -> Chart:
    """The last 24 hours, hour by hour."""
    end = as_of.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = end - timedelta(hours=HOURS)
    rows = (
        Intervention.objects.visible_to(user)
        .filter(created_at__gte=start)
        .order_by()
        .annotate(hour=TruncHour("created_at"))
        .values("hour")
        .annotate(all=Count("pk"), bad=Count("pk", filter=Q(status=InterventionStatus.FAILED)))
    )
    by_hour: dict[datetime, Any] = {row["hour"]: row for row in rows}
    most = max((row["all"] for row in by_hour.values()), default=0)
    step = CHART_WIDTH // HOURS
    bars: list[Bar] = []
    for place in range(HOURS):
        hour = start + timedelta(hours=place)
        row = by_hour.get(hour, {"all": 0, "bad": 0})
        height = _scaled(row["all"], most)
        bad = _scaled(row["bad"], most)
        bars.append(
            Bar(
                x=place * step + 2,
                width=step - 4,
                y=CHART_HEIGHT - height,
                height=height,
                bad_y=CHART_HEIGHT - bad,
                bad_height=bad,
                title=f"{hour:%H}:00 UTC: {row['all']} asked, {row['bad']} failed",
            )
        )
    return Chart(
        bars=bars,
        total=sum(row["all"] for row in by_hour.values()),
        failed=sum(row["bad"] for row in by_hour.values()),
        most=most,
    )


def _scaled(count: int, most: int) -> int:
    # Two units at least: an hour with one must not look like an hour with none.
    return max(2, round(count * (CHART_HEIGHT - 4) / most)) if count and most else 0
