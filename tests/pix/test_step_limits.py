"""The limits of steps: every workflow of the queue of Pix keys has the queue's own."""

from typing import Any

import pytest
from django.utils import timezone

from apps.engine.contracts import Timings
from apps.pix.models import EntryChange
from apps.pix.services import infraction_rows
from apps.pix.services.claim_deciding import claim_facts
from apps.pix.services.entry_rows import CARRIERS
from apps.pix.services.sync_requesting import sync_open
from tests.directory import OURS
from tests.pix.claims.stage import waiting_claim
from tests.pix.infraction_stage import World
from tests.pix.participants import participants


@pytest.mark.parametrize("general", [5.0, 300.0])
def test_a_step_has_the_queues_limit_and_no_other(
    pix: World, settings: Any, general: float
) -> None:
    settings.ACTIVITY_TIMEOUT_SECONDS = general
    settings.PIX_ACTIVITY_TIMEOUT, settings.ACTIVITY_HEARTBEAT_SECONDS = 20.0, 25.0
    participants()
    now = timezone.now()
    inputs: list[Any] = [carrier.ref(EntryChange(), False) for carrier in CARRIERS.values()]
    limits: list[Timings] = [
        claim_facts(waiting_claim(pix.people), as_of=now).timings,
        infraction_rows.facts_now(pix.received()).timings,
        sync_open(workflow_id="sync-1", document={"participant_ispb": OURS}, as_of=now).timings,
        *(one.timings for one in inputs),
    ]
    assert {(one.activity, one.heartbeat) for one in limits} == {(20.0, 20.0)}
