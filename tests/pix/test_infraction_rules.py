"""Infraction reports: each row of the directory's rules, allowed and refused, by either side, and
the statuses that are ours alone."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.pix.contracts.infractions import InfractionStatus
from apps.pix.infraction_rules import (
    AnalysisResult,
    Closing,
    FraudType,
    InfractionEvent,
    InfractionFacts,
    InfractionParty,
    InfractionReason,
    Report,
    SituationType,
    clean_closing,
    clean_report,
    due,
    move_infraction,
    next_infraction_clock,
)

DAY_0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY_7 = DAY_0 + timedelta(days=7)
OPEN, ACKNOWLEDGED, INVESTIGATING, ESCALATED, CLOSED, CANCELLED = InfractionStatus
REPORTER, COUNTERPARTY, CLOCK, SIGNAL = InfractionParty
ANALYSED = [ACKNOWLEDGED, INVESTIGATING, ESCALATED]
UNDECIDED = [OPEN, *ANALYSED]
#: Event, statuses, sides, the status after it; None: it stays.
TABLE: list[tuple[str, list[InfractionStatus], list[InfractionParty], InfractionStatus | None]] = [
    ("acknowledge", [OPEN], [COUNTERPARTY], ACKNOWLEDGED),
    ("investigate", [ACKNOWLEDGED], [COUNTERPARTY], INVESTIGATING),
    ("add_evidence", UNDECIDED, [REPORTER, COUNTERPARTY, SIGNAL], None),
    ("escalate", [ACKNOWLEDGED, INVESTIGATING], [COUNTERPARTY, CLOCK, SIGNAL], ESCALATED),
    ("close", ANALYSED, [COUNTERPARTY, SIGNAL], CLOSED),
    ("edit", UNDECIDED, [REPORTER], None),
    ("cancel", [*UNDECIDED, CLOSED], [REPORTER], CANCELLED),
]


def facts(status: InfractionStatus, **more: Any) -> InfractionFacts:
    return InfractionFacts(status, DAY_0, **more)


@pytest.mark.parametrize("status", InfractionStatus)
def test_each_row_is_allowed_to_whom_it_names_and_to_nobody_else(status: InfractionStatus) -> None:
    for (name, states, parties, end), party in product(TABLE, InfractionParty):
        event = InfractionEvent(name)
        if status in states and party in parties:
            after = move_infraction(facts(status), event=event, party=party, as_of=DAY_7)
            assert after is (end or status)
            continue
        with pytest.raises(DomainError) as refused:
            move_infraction(facts(status), event=event, party=party, as_of=DAY_7)
        if status in states:
            assert isinstance(refused.value, NotAllowed)
            assert refused.value.code == "infraction_party_invalid"
            assert refused.value.extra["parties"] == sorted(parties)
        else:
            assert isinstance(refused.value, Conflict)
            assert refused.value.code == "infraction_operation_invalid"
            assert refused.value.extra["infraction_status"] is status


def test_a_report_of_a_funds_recovery_is_not_cancelled() -> None:
    for status in InfractionStatus:
        born = facts(status, from_funds_recovery=True)
        with pytest.raises(Conflict) as refused:
            move_infraction(born, event=InfractionEvent.CANCEL, party=REPORTER, as_of=DAY_0)
        assert refused.value.code == "infraction_operation_invalid"


def test_the_clock_escalates_after_seven_days_and_decides_nothing() -> None:
    for status in (ACKNOWLEDGED, INVESTIGATING):
        assert next_infraction_clock(facts(status)) == DAY_7
        with pytest.raises(Conflict) as early:
            move_infraction(
                facts(status),
                event=InfractionEvent.ESCALATE,
                party=CLOCK,
                as_of=DAY_7 - timedelta(microseconds=1),
            )
        assert early.value.code == "infraction_not_due"
    for status in (OPEN, ESCALATED, CLOSED, CANCELLED):
        assert next_infraction_clock(facts(status)) is None
    later = facts(ACKNOWLEDGED, due_at=DAY_7 + timedelta(days=1))
    assert next_infraction_clock(later) == due(later) == DAY_7 + timedelta(days=1)


def test_a_report_has_ended_once_it_is_closed_or_cancelled() -> None:
    assert {status for status in InfractionStatus if status.ended} == {CLOSED, CANCELLED}


# --- what a report says ---------------------------------------------------------------------------
def code(clean: Any, **given: Any) -> str:
    with pytest.raises(DomainError) as refused:
        clean(**given)
    return refused.value.code


def test_a_report_has_a_reason_and_a_situation() -> None:
    assert clean_report(reason="REFUND_REQUEST", situation="SCAM") == Report(
        InfractionReason.REFUND_REQUEST, SituationType.SCAM, ""
    )
    for reason in ("", "FRAUD", None, 1, []):
        assert code(clean_report, reason=reason, situation="SCAM") == "reason_invalid"
    for situation in ("", "scam", "UNKNOWN", None, {}):
        refused = code(clean_report, reason="REFUND_REQUEST", situation=situation)
        assert refused == "situation_invalid"


def test_a_cancelled_refund_has_no_situation_of_its_own() -> None:
    about = {"reason": "REFUND_CANCELLED", "details": "Paid back already."}
    assert clean_report(situation="OTHER", **about).situation is SituationType.OTHER
    assert code(clean_report, situation="SCAM", **about) == "situation_invalid"


def test_other_says_what() -> None:
    about = {"reason": "REFUND_REQUEST", "situation": "OTHER"}
    for details in ("", " \n ", None):
        assert code(clean_report, details=details, **about) == "details_required"
    assert clean_report(details=" A\nB ", **about).details == "A\nB"
    assert len(clean_report(details="x" * 2000, **about).details) == 2000
    for bad in ("x" * 2001, "a\x00b", 5, ["x"]):
        assert code(clean_report, details=bad, **about) == "details_invalid"


def test_a_transaction_is_reported_for_eighty_days() -> None:
    about: Any = {"reason": "REFUND_REQUEST", "situation": "SCAM", "transaction_at": DAY_0}
    last = DAY_0 + timedelta(days=80)
    clean_report(**about, as_of=last)
    late = code(clean_report, **about, as_of=last + timedelta(microseconds=1))
    assert late == "infraction_period_expired"


# --- what the answer says -------------------------------------------------------------------------
def test_who_agrees_names_the_fraud_and_who_does_not_names_none() -> None:
    for fraud in (FraudType.APPLICATION_FRAUD, FraudType.MULE_ACCOUNT, FraudType.SCAMMER_ACCOUNT):
        assert clean_closing(result="AGREED", fraud_type=str(fraud)) == Closing(
            AnalysisResult.AGREED, fraud, ""
        )
    assert clean_closing(result="DISAGREED").fraud_type is None
    for none in ("", None):
        assert code(clean_closing, result="AGREED", fraud_type=none) == "fraud_type_required"
    for bad in ("SCAM", 1, [], {}):
        assert code(clean_closing, result="AGREED", fraud_type=bad) == "fraud_type_invalid"
    refused = code(clean_closing, result="DISAGREED", fraud_type="MULE_ACCOUNT")
    assert refused == "fraud_type_invalid"
    for result in ("", "RESOLVE", None, 1):
        assert code(clean_closing, result=result) == "result_invalid"


def test_another_fraud_says_what() -> None:
    assert code(clean_closing, result="AGREED", fraud_type="OTHER") == "details_required"
    answer = clean_closing(result="AGREED", fraud_type="OTHER", details="A stolen phone.")
    assert answer.details == "A stolen phone."


ANYTHING = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2)


@given(
    st.sampled_from([*AnalysisResult, *InfractionReason]) | ANYTHING,
    st.sampled_from([*FraudType, *SituationType]) | ANYTHING,
    ANYTHING,
)
def test_anything_is_checked_or_refused(first: object, second: object, details: object) -> None:
    for clean, names in (
        (clean_report, ("reason", "situation")),
        (clean_closing, ("result", "fraud_type")),
    ):
        given_: Any = dict(zip(names, (first, second), strict=True))
        try:
            clean(**given_, details=details)
        except Invalid:
            continue
