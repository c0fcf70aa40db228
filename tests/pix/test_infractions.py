"""Services of infractions: once, in every order, and whatever comes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.approvals.models import Comment
from apps.approvals.services import rule_put
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, NotAllowed, NotFound
from apps.engine.models import EngineCommand
from apps.pix.contracts.infractions import (
    ATTENTION_KIND,
    INFRACTION_KIND,
    SIGNAL_KIND,
    Analysis,
    InfractionStatus,
)
from apps.pix.models import Infraction, InfractionSignal
from apps.pix.services import infraction_opening, infraction_signals, infraction_working
from apps.pix.services.infraction_attention import infraction_closed
from apps.pix.services.infraction_signing import SIGNED, infraction_sign
from tests.directory import OTHER
from tests.pix.infraction_stage import STRANGER, World, decide_item, items, payment
from tests.pix.participants import participants

pytestmark = pytest.mark.django_db(transaction=True)


def code_of(call: Callable[..., Any], *args: Any, **given: Any) -> str:
    with pytest.raises(DomainError) as refused:
        call(*args, **given)
    return refused.value.code


def taken(infraction: Infraction, key: str = "run:1", **body: Any) -> None:
    infraction_signals.decision_take(row_id=infraction.pk, key=key, body=body, as_of=timezone.now())
    infraction.refresh_from_db()


# --- where they come from -------------------------------------------------------------------------
def test_an_id_alone_makes_an_infraction_that_is_decided_here(pix: World) -> None:
    facts = infraction_opening.infraction_open(
        workflow_id="w", input={"infraction_id": "X-1"}, as_of=timezone.now()
    )
    infraction = Infraction.objects.get(pk=facts.row_id)
    assert (infraction.status, infraction.owed, infraction.situation) == ("open", "", "UNKNOWN")
    assert infraction.decides
    assert infraction.due_at - infraction.received_at == timedelta(days=7)
    assert facts.mine


@pytest.mark.parametrize(
    ("input", "code"),
    [
        ({}, "infraction_id_invalid"),
        ({"infraction_id": 7}, "infraction_id_invalid"),
        ({"infraction_id": "x" * 101}, "infraction_id_invalid"),
        ({"infraction_id": "a\x00b"}, "infraction_id_invalid"),
        ({"infraction_id": "a\u202eb"}, "invisible_characters"),
        ({"infraction_id": "x", "reason": ["REFUND_REQUEST"]}, "reason_invalid"),
        ({"infraction_id": "x", "reason": "OTHER"}, "reason_invalid"),
        ({"infraction_id": "x", "situation": {"a": 1}}, "situation_invalid"),
        ({"infraction_id": "x", "situation": "OTHER"}, "details_required"),
        ({"infraction_id": "x", "details": "y" * 2001}, "details_invalid"),
        ({"infraction_id": "x", "details": ["y"]}, "details_invalid"),
        ({"infraction_id": "x", "transaction_id": 12}, "transaction_id_invalid"),
        ({"infraction_id": "x", "reporter_ispb": 12345678}, "ispb_invalid"),
        ({"infraction_id": "x", "reporter_ispb": "1234567²"}, "ispb_invalid"),
        ({"infraction_id": "x", "key": "11122233396"}, "key_type_invalid"),
        ({"infraction_id": "x", "key_type": [], "key": "y"}, "key_type_invalid"),
        ({"infraction_id": "x", "key_type": "CPF", "key": "11122233300"}, "key_invalid"),
        ({"infraction_id": "x", "requested_by": {"a": 1}}, "requested_by_invalid"),
    ],
)
def test_an_input_from_outside_is_refused_with_a_code(
    pix: World, input: dict[str, Any], code: str
) -> None:
    assert code_of(infraction_opening.infraction_validate, input=input) == code
    assert not Infraction.objects.exists()


def test_an_infraction_id_is_one_infraction_whoever_starts_it(
    pix: World, side_by_side: Callable[..., list[Any]]
) -> None:
    found = side_by_side(
        lambda number: infraction_opening.infraction_open(
            workflow_id=f"w-{number}",
            input={"infraction_id": "X-1", "transaction_id": payment()},
            as_of=timezone.now(),
        ),
        6,
    )
    assert len({facts.row_id for facts in found}) == 1
    assert [facts.mine for facts in found].count(True) == 1
    infraction = Infraction.objects.get()
    assert len(infraction.joined) == 5
    assert AuditEntry.objects.filter(action="infraction.created").count() == 1


def test_a_payment_has_one_open_infraction_of_a_reason(pix: World) -> None:
    pix.received("X-1", "w-1", transaction_id=payment())
    refused = code_of(pix.received, "X-2", "w-2", transaction_id=payment())
    assert refused == "infraction_already_open"
    pix.received(
        "X-3", "w-3", transaction_id=payment(), reason="REFUND_CANCELLED", details="Sent back."
    )
    pix.sign(Infraction.objects.get(infraction_id="X-1"), "reject")
    assert pix.received("X-4", "w-4", transaction_id=payment()).status == "open"


def test_a_workflow_carries_one_infraction(pix: World) -> None:
    pix.received("X-1", "w-1")
    assert code_of(pix.received, "X-2", "w-1") == "workflow_id_taken"


def test_a_report_of_ours_is_owed_to_the_directory_once(
    pix: World, side_by_side: Callable[..., list[Any]]
) -> None:
    made = side_by_side(lambda number: pix.report(idempotency_key="a-key"), 4)
    assert sorted(new for _row, new in made) == [False, False, False, True]
    infraction = Infraction.objects.get()
    assert (infraction.owed, infraction.decides) == ("create", False)
    assert code_of(pix.report) == "infraction_already_open"
    assert code_of(pix.report, reporter_ispb=STRANGER) == "not_our_participant"
    assert code_of(pix.report, situation="OTHER") == "details_required"
    assert code_of(pix.report, situation="UNKNOWN") == "situation_invalid"
    assert code_of(pix.report, reason="REFUND_CANCELLED") == "situation_invalid"
    assert code_of(pix.report, by=pix.people["requester"]) == "permission_denied"


def test_two_reports_of_one_payment_at_once_make_one(
    pix: World, side_by_side: Callable[..., list[Any]]
) -> None:
    made = side_by_side(lambda number: pix.report(idempotency_key=f"key-{number}"), 4)
    refused = [one for one in made if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["infraction_already_open"] * 3
    assert Infraction.objects.count() == 1


# --- the decision ---------------------------------------------------------------------------------
def test_the_request_is_open_until_the_decision_and_due_in_seven_days(pix: World) -> None:
    infraction = pix.received()
    request = pix.request_of(infraction)
    assert (request.due_at, request.expires_at) == (infraction.due_at, None)
    assert [event["event"] for event in request.clock] == ["due"]


def test_no_rule_lets_the_request_expire_and_the_law_is_the_latest_due_time(pix: World) -> None:
    band: dict[str, Any] = {"tiers": [{"group": "key officer", "quorum": 1}], "expires_hours": 1}
    for hours, earlier in ((2, True), (24 * 90, False)):
        rule_put(
            kind=INFRACTION_KIND,
            scope="",
            currency="",
            bands=[{**band, "due_hours": hours}],
            by=pix.people["operator"],
        )
        infraction = pix.received(f"X-{hours}", f"w-{hours}")
        request = pix.request_of(infraction)
        assert request.due_at is not None
        assert (request.expires_at, request.due_at < infraction.due_at) == (None, earlier)
        assert request.due_at <= infraction.due_at
        assert [event["event"] for event in request.clock] == ["due"]


def test_an_approval_resolves_it_with_the_type_of_fraud(pix: World) -> None:
    infraction = pix.received()
    pix.sign(infraction, "approve", "MULE_ACCOUNT", why="Three such payments this week.")
    infraction.refresh_from_db()
    assert (infraction.status, infraction.result) == ("closed", "AGREED")
    assert (infraction.fraud_type, infraction.analysis) == (
        "MULE_ACCOUNT",
        "Three such payments this week.",
    )
    assert infraction.settled_at and infraction.decided_via == "page"


def test_a_rejection_dismisses_it(pix: World) -> None:
    infraction = pix.received()
    pix.sign(infraction, "reject", why="The payer has found his goods.")
    infraction.refresh_from_db()
    assert (infraction.status, infraction.result, infraction.fraud_type) == (
        "closed",
        "DISAGREED",
        "",
    )


@pytest.mark.parametrize(
    ("fraud_type", "reason", "code"),
    [
        ("", "Seen.", "reason_code_required"),
        ("ROBBERY", "Seen.", "reason_code_unknown"),
        ("OTHER", "", "reason_required"),
    ],
)
def test_fraud_without_its_type_is_not_signed(
    pix: World, fraud_type: str, reason: str, code: str
) -> None:
    infraction = pix.received()
    given = {"fraud_type": fraud_type, "reason": reason, "by": pix.officer, "via": "api"}
    refused = code_of(
        infraction_sign,
        infraction_id=infraction.pk,
        result=Analysis.AGREED,
        as_of=timezone.now(),
        **given,
    )
    assert refused == code
    assert pix.request_of(infraction).status == "open"


def test_of_two_decisions_at_once_the_first_counts(
    pix: World, side_by_side: Callable[..., list[Any]]
) -> None:
    infraction = pix.received()

    def decide(number: int) -> Any:
        if number % 2:
            return taken(Infraction.objects.get(), f"run:{number}", decision="RESOLVE")
        return infraction_sign(
            infraction_id=infraction.pk,
            result=Analysis.DISAGREED,
            reason="Seen.",
            by=pix.officer,
            via="api",
            as_of=timezone.now(),
        )

    side_by_side(decide, 6)
    infraction.refresh_from_db()
    assert infraction.status == "closed"
    assert AuditEntry.objects.filter(action="infraction.closed").count() == 1
    assert not items(INFRACTION_KIND).exists()


def test_only_those_who_may_decide(pix: World) -> None:
    infraction = pix.received()
    given: dict[str, Any] = {"result": Analysis.DISAGREED, "reason": "x", "via": "api"}
    for name, refusal in (("auditor", NotAllowed), ("requester", NotFound)):
        with pytest.raises(refusal):
            infraction_sign(
                infraction_id=infraction.pk,
                by=pix.people[name],
                as_of=timezone.now(),
                **given,
            )
    assert pix.request_of(infraction).status == "open"


def test_who_reported_it_does_not_decide_it(pix: World) -> None:
    participants(OTHER)
    infraction, _ = pix.report(counterparty_ispb=OTHER)
    assert infraction.decides and infraction.reporter_ours
    SIGNED.open(infraction.pk, workflow_id=infraction.workflow_id, as_of=timezone.now())
    refused = code_of(
        infraction_sign,
        infraction_id=infraction.pk,
        result=Analysis.DISAGREED,
        reason="No.",
        by=pix.officer,
        via="api",
        as_of=timezone.now(),
    )
    assert refused == "requester_cannot_sign"


# --- evidence, escalation, cancelling -------------------------------------------------------------
def test_evidence_is_a_comment_of_the_request_once(pix: World) -> None:
    infraction = pix.received()
    for _again in range(2):
        infraction_working.evidence_add(
            infraction_id=infraction.pk,
            description="The phone was stolen.",
            evidence_url="https://files.example/1?x=<script>",
            nonce="n-1",
            by=pix.officer,
            via="api",
            as_of=timezone.now(),
        )
    infraction.refresh_from_db()
    assert infraction.status == InfractionStatus.INVESTIGATING
    comment = Comment.objects.get()
    assert comment.text == "The phone was stolen.\nhttps://files.example/1?x=<script>"
    assert AuditEntry.objects.filter(action="infraction.evidence_added").count() == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "evidence_empty"),
        ({"description": " "}, "description_invalid"),
        ({"description": "x" * 2001}, "description_invalid"),
        ({"evidence_url": "https://x\ny"}, "evidence_url_invalid"),
        ({"evidence_url": "https://x/\u200b"}, "invisible_characters"),
    ],
)
def test_evidence_that_is_none_is_refused(pix: World, given: dict[str, str], code: str) -> None:
    infraction = pix.received()
    refused = code_of(
        infraction_working.evidence_add,
        infraction_id=infraction.pk,
        by=pix.officer,
        via="api",
        as_of=timezone.now(),
        **given,
    )
    assert refused == code


def test_it_is_escalated_once_by_a_person(pix: World) -> None:
    infraction = pix.received()
    given: dict[str, Any] = {"infraction_id": infraction.pk, "reason": "Too large for me."}
    given |= {"by": pix.officer, "via": "api", "as_of": timezone.now()}
    infraction_working.infraction_escalate(**given)
    infraction.refresh_from_db()
    assert infraction.status == "escalated"
    request = pix.request_of(infraction)
    assert (request.status, request.escalated_group) == ("open", "senior reviewer")
    assert code_of(infraction_working.infraction_escalate, **given) == (
        "infraction_operation_invalid"
    )


def test_the_clock_escalates_what_is_due_and_decides_nothing(pix: World) -> None:
    infraction = pix.received()
    early = infraction.due_at - timedelta(minutes=1)
    infraction_working.infraction_escalate_due(row_id=infraction.pk, as_of=early)
    infraction.refresh_from_db()
    assert infraction.status == "open"
    for _again in range(2):
        infraction_working.infraction_escalate_due(row_id=infraction.pk, as_of=infraction.due_at)
    infraction.refresh_from_db()
    assert (infraction.status, infraction.result) == ("escalated", "")
    assert pix.request_of(infraction).status == "open"
    assert AuditEntry.objects.filter(action="infraction.escalated").count() == 1


def test_only_the_reporter_takes_a_report_back(pix: World) -> None:
    theirs = pix.received()
    given: dict[str, Any] = {"by": pix.officer, "via": "api", "as_of": timezone.now()}
    refused = code_of(
        infraction_working.infraction_cancel, infraction_id=theirs.pk, reason="No.", **given
    )
    assert refused == "infraction_party_invalid"
    ours, _ = pix.report()
    for _again in range(2):
        infraction_working.infraction_cancel(infraction_id=ours.pk, reason="A mistake.", **given)
    ours.refresh_from_db()
    # Nothing was sent yet, so that the directory is owed nothing.
    assert (ours.status, ours.owed) == ("cancelled", "")


# --- signals --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "end"),
    [
        ({"decision": "RESOLVE", "notes": "It was."}, ("closed", "AGREED", "OTHER", "It was.")),
        (
            {"decision": "resolve", "fraud_type": "MULE_ACCOUNT"},
            ("closed", "AGREED", "MULE_ACCOUNT", "Decided by a signal to the engine."),
        ),
        ({"decision": "DISMISS", "notes": "Not."}, ("closed", "DISAGREED", "", "Not.")),
        ({"decision": "ESCALATE"}, ("escalated", "", "", "")),
    ],
)
def test_a_signal_decides_once_as_engine_signal(
    pix: World, body: dict[str, Any], end: tuple[str, ...]
) -> None:
    infraction = pix.received()
    for _again in range(2):
        taken(infraction, **body)
    found = (infraction.status, infraction.result, infraction.fraud_type, infraction.analysis)
    assert found == end
    assert InfractionSignal.objects.get().outcome == "acted_on"
    action = "infraction.escalated" if end[0] == "escalated" else "infraction.closed"
    assert AuditEntry.objects.get(action=action).actor_id == "system:engine signal"
    assert items(INFRACTION_KIND).exists() == (end[0] == "escalated")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": None},
        {"decision": 7},
        {"decision": "APPROVE"},
        {"decision": ["RESOLVE"]},
        {"notes": {"a": "b"}, "decision": "RE\x00SOLVE"},
    ],
)
def test_a_signal_that_decides_nothing_is_an_item(pix: World, body: dict[str, Any]) -> None:
    infraction = pix.received()
    taken(infraction, **body)
    assert infraction.status == "open"
    item = items(SIGNAL_KIND).get()
    assert InfractionSignal.objects.get().outcome == "handed_over"
    decide_item(pix.officer, item, "approve")
    infraction.refresh_from_db()
    assert infraction.status == "open"
    assert InfractionSignal.objects.get().outcome == "ignored"


@pytest.mark.parametrize(
    ("verdict", "status", "outcome"),
    [("approve", "closed", "acted_on"), ("reject", "open", "ignored")],
)
def test_in_review_a_signal_only_makes_an_item(
    pix: World, settings: Any, verdict: str, status: str, outcome: str
) -> None:
    settings.CLAIMS_BARE_SIGNALS = "review"
    infraction = pix.received()
    for _again in range(2):
        taken(infraction, decision="DISMISS", notes="Not.")
    assert infraction.status == "open"
    assert items(INFRACTION_KIND).exists()
    decide_item(pix.officer, items(SIGNAL_KIND).get(), verdict)
    infraction.refresh_from_db()
    assert (infraction.status, InfractionSignal.objects.get().outcome) == (status, outcome)
    assert items(INFRACTION_KIND).exists() == (status == "open")


def test_a_late_signal_is_refused_and_audited(pix: World) -> None:
    infraction = pix.received()
    pix.sign(infraction, "reject")
    taken(infraction, decision="RESOLVE")
    assert infraction.result == "DISAGREED"
    refused = AuditEntry.objects.get(action="infraction.signal")
    assert (refused.outcome, refused.code) == ("refused", "infraction_operation_invalid")
    assert InfractionSignal.objects.get().outcome == "refused"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (
            {"evidence_url": "http://169.254.169.254/latest", "description": "See."},
            ("http://169.254.169.254/latest", "See."),
        ),
        ({"evidence_url": "javascript:alert(1)"}, ("javascript:alert(1)", "")),
        ({"description": "a\x00b\u202ec"}, ("", "abc")),
        ({"evidence_url": "x" * 5000}, ("x" * 2000, "")),
    ],
)
def test_evidence_by_signal_is_kept_as_text(
    pix: World, body: dict[str, Any], kept: tuple[str, str]
) -> None:
    infraction = pix.received()
    for _again in range(2):
        infraction_signals.evidence_take(
            row_id=infraction.pk, key="run:1", body=body, as_of=timezone.now()
        )
    signal = InfractionSignal.objects.get()
    assert ((signal.url, signal.text), signal.outcome) == (kept, "taken")
    infraction.refresh_from_db()
    assert infraction.status == InfractionStatus.INVESTIGATING


@pytest.mark.parametrize("body", [{}, {"evidence_url": 7, "description": ["x"]}])
def test_a_signal_without_evidence_is_refused_and_audited(pix: World, body: dict[str, Any]) -> None:
    infraction = pix.received()
    infraction_signals.evidence_take(
        row_id=infraction.pk, key="run:1", body=body, as_of=timezone.now()
    )
    assert InfractionSignal.objects.get().outcome == "refused"
    assert AuditEntry.objects.get(action="infraction.signal").code == "evidence_empty"


# --- the end of its workflow ----------------------------------------------------------------------
def test_an_infraction_whose_workflow_has_ended_waits_on_and_can_be_decided(pix: World) -> None:
    infraction = pix.received()
    for _again in range(2):
        with transaction.atomic():
            infraction_closed(
                str(infraction.pk),
                workflow_id=infraction.workflow_id,
                why="Terminated.",
                as_of=timezone.now(),
            )
    assert items(ATTENTION_KIND).count() == 1
    assert pix.request_of(infraction).workflow_id == ""
    pix.sign(infraction, "reject")
    infraction.refresh_from_db()
    assert infraction.status == "closed"
    assert not items(ATTENTION_KIND).exists()


def test_one_that_never_got_a_workflow_is_carried_on_with_one(pix: World) -> None:
    infraction = pix.received()
    with transaction.atomic():
        infraction_closed(
            str(infraction.pk),
            workflow_id=infraction.workflow_id,
            why="Its workflow could not be started.",
            as_of=timezone.now(),
        )
    decide_item(pix.officer, items(ATTENTION_KIND).get(), "approve")
    before = infraction.workflow_id
    infraction.refresh_from_db()
    start = EngineCommand.objects.get(kind="start")
    assert infraction.workflow_id == start.workflow_id != before
    assert start.args == [{"infraction_id": "INF-1"}]
    assert pix.request_of(infraction).workflow_id == infraction.workflow_id


# --- what the database keeps ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "columns",
    [
        {"status": "closed"},
        {"result": "AGREED", "fraud_type": "OTHER"},
        {"status": "closed", "settled_at": timezone.now(), "result": "AGREED"},
        {
            "status": "closed",
            "settled_at": timezone.now(),
            "result": "DISAGREED",
            "fraud_type": "OTHER",
        },
        {"situation": "OTHER"},
        {"reporter_ispb": "1234"},
        {"key": "x"},
    ],
)
def test_the_database_refuses_what_cannot_be(pix: World, columns: dict[str, Any]) -> None:
    infraction = pix.received()
    with pytest.raises(IntegrityError), transaction.atomic():
        Infraction.objects.filter(pk=infraction.pk).update(**columns)


def test_an_end_stays_but_a_decided_one_can_be_taken_back(pix: World) -> None:
    infraction = pix.received()
    pix.sign(infraction, "reject")
    rows = Infraction.objects.filter(pk=infraction.pk)
    with pytest.raises(Exception, match=r"Cannot"), transaction.atomic():
        rows.update(status="open", settled_at=None, result="")
    rows.update(status="cancelled")
    with pytest.raises(Exception, match=r"Cannot"), transaction.atomic():
        rows.update(status="closed")


def test_an_unknown_infraction_is_not_found(pix: World) -> None:
    for identifier in ("nothing", "00000000-0000-0000-0000-000000000000"):
        refused = code_of(
            infraction_working.infraction_escalate,
            infraction_id=identifier,
            reason="x",
            by=pix.officer,
            via="api",
            as_of=timezone.now(),
        )
        assert refused == "not_found"
