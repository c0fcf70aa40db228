"""The home page's own card: the state of the system."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.engine import reads
from apps.engine.probes import ALIVE_SECONDS
from apps.engine.reads import QueueStates
from apps.engine.selectors import beating, next_command_at, parked_count
from apps.engine.watching import Watch
from apps.web import dashboard
from apps.web.pieces import Link, seen_by

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.engine.models import ProcessHeartbeat

#: The watched queues as Temporal has them: one call every few seconds for all viewers.
QUEUES = Watch("home", QueueStates)
#: The home page mentions a command that has waited for longer than this.
LAG_WORTH_TELLING = timedelta(seconds=5)
#: It counts no more parked commands than these.
MOST_PARKED = 1000
WORKERS = Link(_("Workers"), "workers", "engine.view_enginecommand")


@dataclass(frozen=True)
class Part:
    """A part of the system and its state."""

    name: str
    state: str
    tone: str
    detail: str = ""


def machinery(*, as_of: datetime) -> list[Part]:
    """Return relay, workers and outbox as the database has them, and Temporal as it
    answered a moment ago."""
    beats = beating(since=as_of - timedelta(seconds=ALIVE_SECONDS), most=200)
    workers = [beat for beat in beats if beat.role == "worker"]
    relays = [beat for beat in beats if beat.role == "relay"]
    queues = sorted({queue for beat in workers for queue in beat.queues})
    return [
        _engine(),
        Part(
            gettext("Workers"),
            gettext("{number} running").format(number=len(workers)) if workers else gettext("none"),
            "good" if workers else "bad",
            ", ".join(queues)
            if workers
            else gettext("Approved work waits and is not lost. Start one: manage.py runworker"),
        ),
        _relay(relays),
        _outbox(as_of),
    ]


def _engine() -> Part:
    names = dashboard.queues()
    seen = QUEUES.look(partial(reads.queue_states, names))
    if seen.answer is None or seen.away_since:
        return Part(
            gettext("Engine"),
            gettext("no answer"),
            "bad",
            gettext("Decisions are taken and kept; they are carried out when it is back."),
        )
    lag = LAG_WORTH_TELLING.total_seconds()
    late = [state for state in seen.answer.queues if state.oldest_seconds > lag]
    if backlog := sum(state.workflow_backlog + state.activity_backlog for state in late):
        oldest = int(max(state.oldest_seconds for state in late))
        return Part(
            gettext("Engine"),
            gettext("{number} waiting").format(number=backlog),
            "warn",
            gettext("The oldest for {oldest} s.").format(oldest=oldest),
        )
    return Part(
        gettext("Engine"),
        gettext("answers"),
        "good",
        gettext("Nothing waits in {names}.").format(names=", ".join(names)),
    )


def _relay(relays: "list[ProcessHeartbeat]") -> Part:
    leader = next((beat for beat in relays if beat.leading), None)
    if leader is not None:
        standbys = len(relays) - 1
        return Part(
            gettext("Relay"),
            gettext("leading"),
            "good",
            gettext("{name}, {standbys} standing by").format(name=leader.name, standbys=standbys),
        )
    if relays:
        return Part(
            gettext("Relay"),
            gettext("electing"),
            "warn",
            gettext("A standby takes over within seconds."),
        )
    return Part(
        gettext("Relay"),
        gettext("none"),
        "bad",
        gettext("Decisions are kept and sent when one runs: manage.py runrelay"),
    )


def _outbox(as_of: datetime) -> Part:
    oldest = next_command_at()
    if parked := parked_count(most=MOST_PARKED + 1):
        words = (
            gettext("more than {number:,} parked").format(number=MOST_PARKED)
            if parked > MOST_PARKED
            else gettext("{number} parked").format(number=parked)
        )
        return Part(
            gettext("Outbox"),
            words,
            "bad",
            gettext("An operator has to retry or discard them."),
        )
    if oldest is None or as_of - oldest < LAG_WORTH_TELLING:
        return Part(
            gettext("Outbox"),
            gettext("up to date"),
            "good",
            gettext("Every decision has reached the engine."),
        )
    seconds = int((as_of - oldest).total_seconds())
    return Part(
        gettext("Outbox"),
        gettext("{seconds} s behind").format(seconds=seconds),
        "warn",
        gettext("It catches up by itself."),
    )


def machinery_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the card of relay, workers, outbox and Temporal; with a link for who may see more."""
    link = next(iter(seen_by((WORKERS,), user)), None)
    return {"parts": machinery(as_of=as_of), "link": link}
