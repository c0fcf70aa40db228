"""Claims from the command line to their end, against the real engine."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from apps.audit.models import AuditEntry
from apps.pix.models import Claim, Entry
from apps.streams.models import OutEvent
from tests.directory import OURS
from tests.pix.claims.stage import ClaimStage
from tests.stage import failure, orm
from tests.support import eventually_async

pytestmark = pytest.mark.django_db(transaction=True)


async def timers(handle: Any) -> list[timedelta]:
    """The timers that the run has started."""
    history = await handle.fetch_history()
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]


async def test_the_contracts_command_line_waits_30_days_and_confirm_completes_it(
    stage: ClaimStage,
) -> None:
    handle = await stage.by_hand()
    await stage.asked()

    async def thirty_days() -> bool:
        return timedelta(seconds=2_592_000) in await timers(handle)

    # The history is written when the workflow task ends.
    await eventually_async(thirty_days)
    await handle.signal("confirm")
    result = await handle.result()
    assert (result["claim_id"], result["status"]) == ("TEST-001", "completed")
    entry = await orm(Entry.objects.get, entry_id="ENTRY-001")
    assert (entry.participant, entry.status) == (OURS, "active")
    claim = await stage.claim()
    assert (claim.decided_via, claim.workflow_id) == ("signal", stage.workflow_id())
    sent = await orm(lambda: list(OutEvent.objects.order_by("seq").values_list("type", flat=True)))
    assert sent[0] == "claim.created"
    assert sent[-1] == "claim.completed" and sent.count("claim.completed") == 1


@pytest.mark.parametrize(
    "argument",
    [(), ({"reason": "USER_REQUESTED", "cancelled_by": "CLAIMER"},), ("why not", 7), (None,)],
)
async def test_cancel_with_any_argument_cancels_it(stage: ClaimStage, argument: Any) -> None:
    handle = await stage.by_hand()
    await stage.asked()
    await handle.signal("cancel", args=list(argument))
    assert (await handle.result())["status"] == "cancelled"
    claim = await stage.claim()
    told = argument and isinstance(argument[0], dict)
    assert claim.cancelled_by == ("CLAIMER" if told else "")
    assert not await orm(Entry.objects.exists)


async def test_thirty_silent_days_expire_it(days: ClaimStage) -> None:
    handle = await days.by_hand()
    request = await days.asked()
    await days.pass_time(days=29, hours=23)
    assert (await days.claim()).status == "waiting"
    await days.pass_time(hours=2)
    assert (await handle.result())["status"] == "expired"
    await orm(request.refresh_from_db)
    assert request.status == "cancelled"


async def test_the_same_line_again_answers_with_the_same_claim(stage: ClaimStage) -> None:
    handle = await stage.by_hand()
    await stage.asked()
    await handle.signal("confirm")
    first = await handle.result()
    assert await (await stage.by_hand()).result() == first
    assert await (await stage.by_hand("another-id")).result() == first
    assert await orm(Claim.objects.count) == 1
    assert await orm(Entry.objects.count) == 1


async def test_another_workflow_for_the_claim_waits_for_its_result_and_may_be_signalled(
    stage: ClaimStage,
) -> None:
    handle = await stage.by_hand()
    await stage.asked()
    other = await stage.by_hand("somebody-elses")
    await eventually_async(lambda: orm(Claim.objects.exclude(joined=[]).exists))
    await other.signal("confirm")
    await stage.claim(status="decided")
    await stage.deliver()
    assert (await handle.result())["status"] == "completed"
    await stage.deliver()
    assert (await other.result())["status"] == "completed"


async def test_a_claim_id_is_one_claim(stage: ClaimStage) -> None:
    await stage.by_hand()
    await stage.asked()
    again = await stage.by_hand("other", claim_type="OWNERSHIP")
    assert await failure(again) == "claim_differs"
    second = await stage.by_hand("third", claim_id="TEST-002")
    assert await failure(second) == "claim_already_exists_for_key"
    assert await orm(Claim.objects.count) == 1


async def test_the_inbox_decides_and_a_signal_that_comes_later_changes_nothing(
    stage: ClaimStage,
) -> None:
    handle = await stage.by_hand()
    request = await stage.asked()
    await orm(stage.sign, request, "reject", code="FRAUD")
    await handle.signal("confirm")
    await stage.deliver()
    assert (await handle.result())["status"] == "cancelled"
    claim = await stage.claim()
    assert (claim.cancel_reason, claim.cancelled_by) == ("FRAUD", "DONOR")
    refused = AuditEntry.objects.filter(action="claim.signal_refused")
    assert await orm(refused.count) == 1


async def test_in_review_a_signal_only_makes_an_item(stage: ClaimStage, settings: Any) -> None:
    settings.CLAIMS_BARE_SIGNALS = "review"
    handle = await stage.by_hand()
    await stage.asked()
    await handle.signal("confirm", {"reason": "USER_REQUESTED"})
    from apps.approvals.models import ApprovalRequest

    items = ApprovalRequest.objects.open().filter(kind="pix.claim_signal")
    await eventually_async(lambda: orm(items.exists))
    assert (await stage.claim()).status == "waiting"
    await orm(stage.sign, await orm(items.get), "approve")
    await stage.deliver()
    assert (await handle.result())["status"] == "completed"


async def test_terminated_it_waits_on_and_a_decision_in_the_inbox_completes_it(
    stage: ClaimStage,
) -> None:
    handle = await stage.by_hand()
    request = await stage.asked()
    await handle.terminate("by mistake")
    await orm(stage.sign, request, "approve", code="USER_REQUESTED")
    await stage.deliver()
    await stage.deliver()
    again = stage.client.get_workflow_handle(stage.workflow_id())
    assert (await again.result())["status"] == "completed"
    assert await orm(Entry.objects.filter(entry_id="ENTRY-001", participant=OURS).exists)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"claim_type": "GIFT"}, "claim_type_invalid"),
        ({"claimer_ispb": "1234"}, "ispb_invalid"),
        ({"claim_id": "a b"}, "claim_id_invalid"),
        ({"claim_id": ""}, "input_invalid"),
        ({"claim_id": "x" * 101}, "input_invalid"),
        ({"rulebook": "none"}, "rulebook_unknown"),
        ({"key": "123", "key_type": "CPF"}, "key_invalid"),
        ({"claim_type": ""}, "not_found"),
        ({"claimer_account": {"x": 1}}, "account_invalid"),
        ({"claimer_account": 7}, "account_invalid"),
    ],
)
async def test_what_does_not_fit_fails_with_a_code_and_makes_no_row(
    stage: ClaimStage, changes: dict[str, Any], code: str
) -> None:
    assert await failure(await stage.by_hand(**changes)) == code
    assert not await orm(Claim.objects.exists)
