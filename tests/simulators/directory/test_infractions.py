"""Section 3 of the directory's rules: who reports, sees, answers and takes back, and when."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.pix.bridge.shapes import DirectoryInfraction
from tests.directory import AGREES, OTHER, OURS, REFUSES, SILENT, SimulatedDirectory
from tests.simulators.directory.acting import refusal

STATES = ("OPEN", "ACKNOWLEDGED", "CLOSED", "CANCELLED")


def transaction(
    directory: SimulatedDirectory, by: str = OURS, *, letter: str = "E", number: int = 0, **ago: int
) -> str:
    """A payment of that participant, a minute ago or `days=80` ago."""
    at: datetime = directory.now() - timedelta(**(ago or {"minutes": 1}))
    return f"{letter}{by}{at:%Y%m%d%H%M}{number:011}"


def report(directory: SimulatedDirectory, by: str = OURS, **other: Any) -> DirectoryInfraction:
    words = {"reason": "REFUND_REQUEST", "situation_type": "SCAM", **other}
    words.setdefault("transaction_id", transaction(directory, by))
    return directory.client.infraction_create(participant=by, **words)


def received_in(directory: SimulatedDirectory, state: str, **of: str) -> DirectoryInfraction:
    """A report of OTHER's against OURS, in that state."""
    client = directory.client
    made = directory.open_infraction(OURS, reporter_participant=OTHER, **of)
    if state in ("ACKNOWLEDGED", "CLOSED"):
        client.infraction_acknowledge(participant=OURS, infraction_id=made.id)
    if state == "CLOSED":
        close(directory, made.id)
    if state == "CANCELLED":
        client.infraction_cancel(participant=OTHER, infraction_id=made.id)
    return client.infraction_get(participant=OURS, infraction_id=made.id)


def close(directory: SimulatedDirectory, id: str, **other: str) -> DirectoryInfraction:
    words = {"analysis_result": "AGREED", "fraud_type": "MULE_ACCOUNT", **other}
    return directory.client.infraction_close(participant=OURS, infraction_id=id, **words)


@pytest.mark.parametrize("state", STATES)
def test_the_counterparty_acknowledges_what_is_open_and_closes_what_it_acknowledged(
    directory: SimulatedDirectory, state: str
) -> None:
    client = directory.client
    made = received_in(directory, state)
    assert (made.status, made.reporter_participant, made.counterparty_participant) == (
        *(state, OTHER, OURS),
    )
    for wrong in (OTHER, AGREES):
        assert (
            refusal(client.infraction_acknowledge, participant=wrong, infraction_id=made.id)
            == "Forbidden"
        )
    said = refusal(close, directory, made.id, analysis_details="New.")
    assert said == ("" if state == "ACKNOWLEDGED" else "InfractionReportOperationInvalid")
    directory.reset()
    made = received_in(directory, state)
    said = refusal(client.infraction_acknowledge, participant=OURS, infraction_id=made.id)
    good = state in ("OPEN", "ACKNOWLEDGED")
    assert said == ("" if good else "InfractionReportOperationInvalid")


@pytest.mark.parametrize("state", STATES)
def test_the_reporter_alone_takes_it_back_also_after_the_answer(
    directory: SimulatedDirectory, state: str
) -> None:
    client = directory.client
    made = received_in(directory, state)
    assert bool(made.fraud_marker_id) == (state == "CLOSED")
    said = refusal(client.infraction_cancel, participant=OURS, infraction_id=made.id)
    assert said == "Forbidden"
    cancelled = client.infraction_cancel(participant=OTHER, infraction_id=made.id)
    assert (cancelled.status, cancelled.fraud_marker_id) == ("CANCELLED", "")
    assert client.infraction_cancel(participant=OTHER, infraction_id=made.id) == cancelled


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ({}, True),
        ({"fraud_type": "OTHER", "analysis_details": "A new kind."}, True),
        ({"analysis_result": "DISAGREED", "fraud_type": ""}, True),
        ({"fraud_type": ""}, False),
        ({"fraud_type": "OTHER"}, False),
        ({"fraud_type": "MAGIC"}, False),
        ({"analysis_result": "DISAGREED"}, False),
        ({"analysis_result": "PERHAPS"}, False),
        ({"analysis_details": "x" * 2001}, False),
    ],
)
def test_an_answer_is_whole(
    directory: SimulatedDirectory, answer: dict[str, str], good: bool
) -> None:
    made = received_in(directory, "ACKNOWLEDGED")
    said = refusal(close, directory, made.id, **answer)
    assert said == ("" if good else "InfractionReportInvalid")
    if good:
        done = close(directory, made.id, **answer)
        assert done.status == "CLOSED"
        assert bool(done.fraud_marker_id) == (done.analysis_result == "AGREED")
        differently = refusal(close, directory, made.id, analysis_details="Something else.")
        assert differently == "InfractionReportOperationInvalid"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"reason": "REFUND_CANCELLED", "situation_type": "SCAM"}, "InfractionReportInvalid"),
        ({"reason": "REVENGE"}, "InfractionReportInvalid"),
        ({"situation_type": "UNKNOWN"}, "InfractionReportInvalid"),
        ({"situation_type": "OTHER"}, "InfractionReportInvalid"),
        ({"situation_type": "OTHER", "details": "By telephone."}, ""),
        ({"details": "x" * 2000}, ""),
        ({"details": "x" * 2001}, "InfractionReportInvalid"),
        ({"transaction_id": "E1"}, "InfractionReportTransactionNotFound"),
        (
            {"transaction_id": f"E{OURS}2026993011111234567890A"},
            "InfractionReportTransactionNotFound",
        ),
        ({"transaction_id": "²" * 32}, "InfractionReportTransactionNotFound"),
    ],
)
def test_a_report_is_whole(directory: SimulatedDirectory, words: dict[str, str], said: str) -> None:
    assert refusal(report, directory, **words) == said


def test_a_payment_is_its_reporters_settled_and_80_days_old_at_most(
    directory: SimulatedDirectory,
) -> None:
    def said(**words: Any) -> str:
        return refusal(report, directory, transaction_id=transaction(directory, **words))

    assert said(by=OTHER) == "InfractionReportTransactionNotFound"
    assert said(letter="D") == "InfractionReportTransactionNotFound"
    assert said(minutes=-2) == "InfractionReportTransactionNotSettled"
    assert said(days=81) == "InfractionReportPeriodExpired"
    assert said(days=79) == ""
    back = {"reason": "REFUND_CANCELLED", "situation_type": "OTHER", "details": "Paid twice."}
    made = report(directory, transaction_id=transaction(directory, letter="D"), **back)
    assert made.status == "OPEN"


def test_a_payment_is_reported_once_at_a_time(directory: SimulatedDirectory) -> None:
    client = directory.client
    made = received_in(directory, "OPEN")
    again = {"by": OTHER, "transaction_id": made.transaction_id}
    already = "InfractionReportAlreadyBeingProcessedForTransaction"
    assert refusal(report, directory, **again) == already
    client.infraction_acknowledge(participant=OURS, infraction_id=made.id)
    assert refusal(report, directory, **again) == already
    close(directory, made.id)
    done = "InfractionReportAlreadyProcessedForTransaction"
    assert refusal(report, directory, **again) == done
    client.infraction_cancel(participant=OTHER, infraction_id=made.id)
    assert report(directory, **again).id != made.id


def test_strangers_answer_our_reports(directory: SimulatedDirectory) -> None:
    ends = {}
    for number in range(40):
        made = report(directory, transaction_id=transaction(directory, number=number))
        now = directory.client.infraction_get(participant=OURS, infraction_id=made.id)
        ends[now.counterparty_participant] = (now.status, now.analysis_result)
    assert ends == {
        AGREES: ("CLOSED", "AGREED"),
        REFUSES: ("CLOSED", "DISAGREED"),
        SILENT: ("ACKNOWLEDGED", ""),
    }


def test_reports_are_listed_by_their_sides(directory: SimulatedDirectory) -> None:
    client = directory.client
    made = [received_in(directory, "OPEN", amount="12.30") for _ in range(3)]
    assert str(made[0].amount) == "12.30"
    since = made[1].modified_at
    page = client.infractions_list(participant=OURS, role="COUNTERPARTY", modified_from=since)
    assert [one.id for one in page.infractions] == [one.id for one in made[1:]]
    page = client.infractions_list(participant=OTHER, role="REPORTER", modified_from=since, limit=1)
    assert ([one.id for one in page.infractions], page.has_more) == ([made[1].id], True)
    client.infraction_acknowledge(participant=OURS, infraction_id=made[0].id)
    page = client.infractions_list(participant=OURS, modified_from=since, statuses=["ACKNOWLEDGED"])
    assert [one.id for one in page.infractions] == [made[0].id]
    said = refusal(client.infractions_list, participant=OURS, modified_from=since, role="DONOR")
    assert said == "BadRequest"
