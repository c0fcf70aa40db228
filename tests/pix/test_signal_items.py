"""Signals from outside that a person is asked about: once each, and never without end."""

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.pix.contracts.claims import CLAIM_SIGNAL_KIND, OutsideSignal
from apps.pix.contracts.infractions import SIGNAL_KIND
from apps.pix.models import InfractionSignal
from apps.pix.services.claim_rows import claim_lock
from apps.pix.services.claim_signals import claim_outside
from apps.pix.services.infraction_signals import decision_take
from apps.pix.services.signal_items import MOST_OPEN
from tests.pix.claims.stage import waiting_claim
from tests.pix.infraction_stage import World
from tests.pix.participants import participants

SENT = MOST_OPEN + 3


@pytest.fixture(autouse=True)
def _in_review(settings: Any) -> None:
    settings.CLAIMS_BARE_SIGNALS = "review"


def trail(subject: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=f"{subject}.signal_received").order_by("pk"))


def opened(kind: str) -> list[ApprovalRequest]:
    return list(ApprovalRequest.objects.open().filter(kind=kind).order_by("pk"))


def test_so_many_items_of_a_claim_are_open_at_a_time(pix: World) -> None:
    participants()
    claim = waiting_claim(pix.people)
    for number in [*range(SENT), 0]:
        signal = OutsideSignal("confirm", "run", number, {"reason": "FRAUD", "more": 1})
        with transaction.atomic():
            claim_outside(claim_lock(claim.pk), signal, as_of=timezone.now())
    items, told = opened(CLAIM_SIGNAL_KIND), trail("claim")
    assert (len(items), len(told)) == (MOST_OPEN, SENT)
    assert [entry.body["asked"] for entry in told].count(False) == SENT - MOST_OPEN
    assert {(entry.actor_id, entry.via) for entry in told} == {("system:engine signal", "signal")}
    assert told[0].body == {"asked": True, "claim_id": claim.claim_id, "signal": "confirm"}
    assert items[0].payloads.get().payload["argument"] == {"reason": "FRAUD"}


def test_so_many_items_of_an_infraction_are_open_at_a_time(pix: World) -> None:
    infraction = pix.received()
    for number in [*range(SENT), 0]:
        decision_take(
            row_id=infraction.pk,
            key=f"run:{number}",
            body={"decision": "DISMISS", "notes": "Not."},
            as_of=timezone.now(),
        )
    items, told = opened(SIGNAL_KIND), trail("infraction")
    assert (len(items), len(told)) == (MOST_OPEN, SENT)
    assert [entry.body["asked"] for entry in told].count(False) == SENT - MOST_OPEN
    assert {(entry.actor_id, entry.via) for entry in told} == {("system:engine signal", "signal")}
    assert told[0].body == {"asked": True, "decision": "DISMISS", "notes": "Not."}
    became = list(InfractionSignal.objects.values_list("outcome", flat=True))
    assert became == ["handed_over"] * MOST_OPEN + ["ignored"] * (SENT - MOST_OPEN)
