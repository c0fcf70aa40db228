"""Rows of payments for tests of pages: made by the services, without an engine."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from apps.accounts.demo_users import demo_people_ensure
from apps.payments.contracts import PersistInput, QuarantineState
from apps.payments.models import Intake, QuarantinedEvent, ReplayRun
from apps.payments.services.carrying import RuleFailed, event_persist, event_validate
from apps.payments.services.intake import events_take
from apps.payments.services.replays import replay_make
from tests.payments.people import People
from tests.payments.samples import a_message, an_event


def people_of() -> People:
    known = demo_people_ensure()
    return People(*(known[name] for name in ("corrector", "releaser", "admin", "auditor")))


def taken(events: Sequence[dict[str, Any]]) -> list[str]:
    """Take the events in and admit them; return their ids."""
    ids = [event["event_id"] for event in events]
    events_take([a_message(event, offset=n) for n, event in enumerate(events)])
    Intake.objects.filter(event_id__in=ids).update(admitted_at=timezone.now())
    return ids


def fail(event_ids: Sequence[str]) -> None:
    """What the events' workflows do: find the failure of a rule."""
    for one in event_ids:
        try:
            event_validate(event_id=one)
        except RuleFailed:
            continue
        raise AssertionError(f"{one} fails no rule")


def keep(event_ids: Sequence[str]) -> None:
    """What the events' workflows do: keep them."""
    for one in event_ids:
        event_persist(PersistInput(one))


def quarantined(number: int, prefix: str = "stripe:r", **changes: Any) -> list[str]:
    """So many events in the quarantine for their currency."""
    events = [an_event(f"{prefix}-{n}", currency="SEK", **changes) for n in range(number)]
    ids = taken(events)
    fail(ids)
    return ids


def asked_replay(people: People, **given: Any) -> ReplayRun:
    """A replay of the open events."""
    about: dict[str, Any] = {
        "events": QuarantinedEvent.objects.filter(state=QuarantineState.OPEN),
        "said": {"q": "SEK"},
        "by": people.corrector,
        "via": "api",
        "as_of": timezone.now(),
    }
    run, _ = replay_make(**about | given)
    return run
