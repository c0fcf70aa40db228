"""Infractions and the simulated directory: told once, heard once, whatever is lost."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from apps.pix.bridge.problems import DirectoryUnavailable
from apps.pix.contracts.infractions import ATTENTION_KIND, Analysis
from apps.pix.models import DirectoryCursor, Infraction
from apps.pix.services import polling
from apps.pix.services.infraction_attention import ATTENTION
from apps.pix.services.infraction_directory import directory_tell
from apps.pix.services.infraction_signing import SIGNED
from apps.pix.services.infraction_working import infraction_cancel
from tests.directory import AGREES, OTHER, OURS, REFUSES, SILENT, SimulatedDirectory
from tests.pix.infraction_stage import World, decide_item, items, nobody_decides, payment
from tests.pix.participants import participants

pytestmark = pytest.mark.django_db(transaction=True)

#: Strangers acknowledge at the next call.
UNDECIDED = ("OPEN", "ACKNOWLEDGED")


def told(infraction: Infraction) -> Infraction:
    """Tell the directory until nothing is owed, as the workflow does."""
    for _turn in range(6):
        try:
            facts = directory_tell(row_id=infraction.pk, as_of=timezone.now())
        except DirectoryUnavailable:
            continue
        if not facts.owed:
            break
    infraction.refresh_from_db()
    return infraction


def heard() -> Infraction:
    """Poll; the only infraction."""
    polling.poll_all()
    infraction = Infraction.objects.get()
    SIGNED.open(infraction.pk, workflow_id=infraction.workflow_id, as_of=timezone.now())
    return infraction


def there(directory: SimulatedDirectory, infraction: Infraction) -> Any:
    asks = infraction.counterparty_ispb if infraction.counterparty_ours else OURS
    return directory.client.infraction_get(participant=asks, infraction_id=infraction.directory_id)


# --- we report ------------------------------------------------------------------------------------
@pytest.mark.parametrize("lost", [False, True])
def test_a_report_is_made_once_though_its_answer_is_lost(
    pix: World, directory: SimulatedDirectory, lost: bool
) -> None:
    nobody_decides(directory)
    if lost:
        directory.faults("Infractions.Create", lose_answer=True, next=1)
    infraction = told(pix.report()[0])
    assert infraction.directory_status in UNDECIDED
    assert (infraction.owed, directory.calls("Infractions.Create")) == ("", 1)
    assert infraction.counterparty_ispb
    assert len(directory.show().infractions) == 1


def test_a_report_that_the_lists_do_not_have_yet_is_waited_for(
    pix: World, directory: SimulatedDirectory
) -> None:
    directory.reset(lag_seconds=5)
    nobody_decides(directory)
    directory.faults("Infractions.Create", lose_answer=True, next=1)
    infraction, _ = pix.report()
    for _again in range(2):
        with pytest.raises(DirectoryUnavailable):
            directory_tell(row_id=infraction.pk, as_of=timezone.now())
    directory.advance(seconds=6)
    assert told(infraction).directory_status in UNDECIDED
    assert len(directory.show().infractions) == 1


def test_the_poller_may_hear_of_our_report_before_its_answer(
    pix: World, directory: SimulatedDirectory
) -> None:
    directory.faults("Infractions.Create", lose_answer=True, next=1)
    infraction, _ = pix.report()
    with pytest.raises(DirectoryUnavailable):
        directory_tell(row_id=infraction.pk, as_of=timezone.now())
    polling.poll_all()
    infraction.refresh_from_db()
    assert (Infraction.objects.count(), infraction.owed) == (1, "")
    assert infraction.directory_id


def test_a_refused_report_asks_a_person_who_ends_it_or_has_it_tried_again(
    pix: World, directory: SimulatedDirectory
) -> None:
    infraction = told(pix.report(transaction_id="E-no-payment")[0])
    assert (infraction.refused, infraction.owed) == ("infraction_transaction_not_found", "")
    item = items(ATTENTION_KIND).get()
    # The one who reported it does not judge it.
    pix.people["officer"] = pix.people["admin"]
    pix.people["admin"].groups.add(Group.objects.get(name="key officer"))
    decide_item(pix.officer, item, "approve")
    infraction.refresh_from_db()
    assert (infraction.refused, infraction.owed) == ("", "create")
    told(infraction)
    decide_item(pix.officer, items(ATTENTION_KIND).get(), "reject")
    infraction.refresh_from_db()
    assert (infraction.status, infraction.error_code) == ("cancelled", "given_up")
    assert not ATTENTION.is_open(infraction)


@pytest.mark.parametrize("lost", [False, True])
def test_a_report_is_taken_back_also_when_its_answer_was_lost(
    pix: World, directory: SimulatedDirectory, lost: bool
) -> None:
    infraction, _ = pix.report()
    if lost:
        directory.faults("Infractions.Create", lose_answer=True, next=1)
        with pytest.raises(DirectoryUnavailable):
            directory_tell(row_id=infraction.pk, as_of=timezone.now())
    else:
        told(infraction)
    infraction_cancel(
        infraction_id=infraction.pk,
        reason="A mistake.",
        by=pix.officer,
        via="api",
        as_of=timezone.now(),
    )
    infraction.refresh_from_db()
    assert (infraction.status, infraction.owed) == ("cancelled", "cancel")
    told(infraction)
    assert (infraction.directory_status, infraction.owed) == ("CANCELLED", "")


def test_our_report_ends_with_the_answer_of_the_other_side(
    pix: World, directory: SimulatedDirectory
) -> None:
    for participant in (AGREES, REFUSES, SILENT):
        directory.behave(participant, "agrees")
    infraction = told(pix.report()[0])
    for _turn in range(4):
        polling.poll_all()
    infraction.refresh_from_db()
    assert (infraction.status, infraction.result) == ("closed", Analysis.AGREED)
    assert infraction.fraud_type and infraction.decided_via == "directory"


# --- we are reported ------------------------------------------------------------------------------
def test_what_is_reported_is_heard_once_and_acknowledged(
    pix: World, directory: SimulatedDirectory
) -> None:
    directory.open_infraction(amount="120.50", details="Never sent.")
    polling.poll_all()
    polling.poll_all()
    infraction = heard()
    assert (infraction.owed, infraction.status) == ("acknowledge", "open")
    assert infraction.amount == Decimal("120.50")
    told(infraction)
    assert (infraction.status, infraction.directory_status) == ("acknowledged", "ACKNOWLEDGED")
    assert infraction.acknowledged_at


@pytest.mark.parametrize("operation", ["Acknowledge", "Close"])
@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_decision_reaches_the_directory_once_though_an_answer_is_lost(
    pix: World, directory: SimulatedDirectory, operation: str, verdict: str
) -> None:
    directory.open_infraction()
    infraction = heard()
    directory.faults(f"Infractions.{operation}", lose_answer=True, next=1)
    told(infraction)
    agreed = verdict == "approve"
    pix.sign(infraction, verdict, "SCAMMER_ACCOUNT" if agreed else "")
    infraction.refresh_from_db()
    assert infraction.owed == "close"
    told(infraction)
    assert (infraction.directory_status, infraction.owed) == ("CLOSED", "")
    found = there(directory, infraction)
    assert found.analysis_result == infraction.result
    assert found.fraud_type == ("SCAMMER_ACCOUNT" if agreed else "")
    assert directory.calls("Infractions.Close") == 1
    assert not items(ATTENTION_KIND).exists()


def test_what_is_decided_before_it_was_acknowledged_is_told_in_order(
    pix: World, directory: SimulatedDirectory
) -> None:
    directory.open_infraction()
    infraction = heard()
    pix.sign(infraction, "reject")
    told(infraction)
    assert there(directory, infraction).status == "CLOSED"


def test_a_report_that_was_taken_back_ends_here_too(
    pix: World, directory: SimulatedDirectory
) -> None:
    opened = directory.open_infraction(reporter_participant=SILENT)
    infraction = told(heard())
    directory.client.infraction_cancel(participant=SILENT, infraction_id=opened.id)
    polling.poll_all()
    infraction.refresh_from_db()
    assert (infraction.status, infraction.error_code) == ("cancelled", "cancelled_by_reporter")
    assert infraction.owed == ""
    assert pix.request_of(infraction).status == "cancelled"


def test_one_participant_on_both_sides_hears_of_one_infraction(
    pix: World, directory: SimulatedDirectory
) -> None:
    participants(OTHER)
    directory.open_infraction(reporter_participant=OTHER)
    polling.poll_all()
    polling.poll_all()
    infraction = Infraction.objects.get()
    assert infraction.reporter_ours and infraction.counterparty_ours
    assert told(infraction).directory_status == "ACKNOWLEDGED"


def test_one_that_others_started_is_the_one_that_the_directory_lists(
    pix: World, directory: SimulatedDirectory
) -> None:
    opened = directory.open_infraction()
    mine = pix.received("X-1", transaction_id=opened.transaction_id)
    polling.poll_all()
    mine.refresh_from_db()
    assert (Infraction.objects.count(), mine.directory_id) == (1, opened.id)
    assert mine.owed == "acknowledge"


# --- the poller -----------------------------------------------------------------------------------
class Row:
    """A row of a list."""

    def __init__(self, id: str, seconds: float) -> None:
        self.id, self.modified_at = id, START + timedelta(seconds=seconds)


START = timezone.now() - timedelta(hours=1)


class Lists:
    """A list of the directory, of at most two rows a page."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.taken: list[str] = []

    def call(self, *, participant: str, modified_from: Any, limit: int) -> tuple[list[Row], bool]:
        found = sorted(self.rows, key=lambda row: (row.modified_at, row.id))
        found = [row for row in found if row.modified_at >= modified_from]
        return found[:2], len(found) > 2

    def take(self, row: Row, *, as_of: Any) -> None:
        self.taken.append(row.id)
        if row.id == "broken":
            raise ValueError(row.id)

    def poll(self) -> tuple[int, bool]:
        return polling.poll(OURS, "rows", self.call, self.take)


def test_a_change_inside_a_window_that_was_read_is_seen_once(pix: World) -> None:
    lists = Lists()
    lists.rows = [Row("a", 0), Row("b", 20)]
    assert lists.poll() == (2, True)
    # Stamped before the newest that was seen: the lists lag by seconds.
    lists.rows += [Row("late", 15), Row("a", 21)]
    for _again in range(3):
        lists.poll()
    assert lists.taken == ["a", "b", "late", "a"]
    kept = DirectoryCursor.objects.get()
    assert len(kept.seen) == 3


def test_more_than_a_page_is_read_in_one_turn_in_order(pix: World) -> None:
    lists = Lists()
    lists.rows = [Row(str(number), number) for number in range(9)]
    assert lists.poll() == (9, True)
    assert lists.taken == [str(number) for number in range(9)]
    # More of one moment than a page has cannot be listed; what follows is not held up by it.
    lists.rows = [*(Row(f"same{n}", 30) for n in range(5)), Row("after", 31)]
    for _again in range(3):
        lists.poll()
    assert lists.taken[9:] == ["same0", "same1", "after"]


def test_a_row_that_cannot_be_written_holds_up_no_other(pix: World) -> None:
    lists = Lists()
    lists.rows = [Row("broken", 0), Row("next", 1)]
    lists.poll()
    lists.poll()
    assert lists.taken == ["broken", "next"]


def test_while_the_directory_is_away_nothing_is_taken_for_read(
    pix: World, directory: SimulatedDirectory
) -> None:
    directory.open_infraction()
    directory.faults("Infractions.List", status=503, next=1)
    with pytest.raises(DirectoryUnavailable):
        polling.poll_all()
    polling.poll_all()
    assert Infraction.objects.count() == 1


def test_the_payment_of_a_test_is_one(pix: World) -> None:
    assert len(payment()) == 32
