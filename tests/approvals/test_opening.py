from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.approvals import selectors, services
from apps.approvals.kinds import ApprovalKind, TierRule, register
from apps.approvals.models import ApprovalRequest, PayloadVersion
from apps.audit.models import AuditEntry
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, DomainError
from tests.approvals.world import BANDS, KIND, fresh, opened, person, rule

pytestmark = pytest.mark.django_db


def test_a_request_keeps_the_tiers_of_the_band_and_says_who_signs_next():
    rule()
    at = timezone.now()
    request = opened(person("requester"), "60000.00", as_of=at)
    assert request.tiers == BANDS[1]["tiers"]
    assert request.expires_at == at + timedelta(hours=24)
    assert (request.tier_number, request.tier_group, request.version) == (1, "first", 1)
    assert selectors.who_signs_next(request) == "2 signatures by first (tier 1 of 2)"
    assert [(t.number, t.state) for t in selectors.tiers(request)] == [
        (1, "current"),
        (2, "waiting"),
    ]


def test_the_hash_covers_the_payload_and_the_rule_version_and_nothing_else():
    rule()
    request = opened(person("requester"), payload={"amount": Decimal("2.50"), "list": [1, None]})
    payload = selectors.current_payload(request)
    assert payload.payload == {"amount": "2.50", "list": [1, None]}
    assert payload.hash == digest(
        {
            "payload": {"amount": "2.50", "list": [1, None]},
            "rule": {"id": request.rule_id, "version": 1},
        }
    )
    rule([{**BANDS[0], "reason_required": False}])
    other = opened(person("other"), payload={"amount": Decimal("2.50"), "list": [1, None]})
    assert selectors.current_payload(other).hash != payload.hash


def test_a_later_rule_does_not_reach_an_open_request():
    rule()
    request = opened(person("requester"))
    rule([{"above": None, "tiers": [{"group": "second", "quorum": 5}]}])
    assert fresh(request).tiers == BANDS[0]["tiers"]


def test_the_same_key_again_gives_the_same_request():
    rule()
    requester = person("requester")
    first = opened(requester, subject_id="one")
    rule([])
    assert opened(requester, subject_id="one").pk == first.pk
    assert PayloadVersion.objects.count() == 1
    assert AuditEntry.objects.filter(action="approval.opened").count() == 1


def test_a_key_that_belongs_to_something_else_is_refused():
    rule()
    opened(person("requester"), key="k", subject_id="one")
    with pytest.raises(Conflict) as refused:
        opened(person("other"), key="k", subject_id="two")
    assert refused.value.code == "key_reused"


def test_below_every_band_nothing_is_opened_and_the_trail_says_so():
    rule()
    none = services.request_open(
        key="k",
        kind=KIND,
        scope="",
        title="small",
        subject_type="payment",
        subject_id="1",
        workflow_id="w",
        requested_by=person("requester"),
        amount=Decimal("1000.00"),
        currency="NGN",
        payload={},
        as_of=timezone.now(),
    )
    assert none is None
    assert not ApprovalRequest.objects.exists()
    entry = AuditEntry.objects.get(action="approval.not_needed")
    assert (entry.subject_type, entry.subject_id) == ("payment", "1")


def test_a_kind_with_default_tiers_opens_without_a_rule():
    register(
        ApprovalKind(
            name="test.attention",
            title="Look at this",
            on_settled=lambda **_: None,
            facts=lambda request: [],
            subject_url=str,
            default_tiers=(TierRule("second"),),
        )
    )
    request = opened(None, kind="test.attention", amount="1.00", workflow_id="")
    assert (request.rule, request.tiers) == (None, [{"group": "second", "quorum": 1}])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "test.unknown"}, "unknown_kind"),
        ({"payload": {"a": 0.1}}, "payload_invalid"),
        ({"payload": {"a": ["x\x00y"]}}, "payload_invalid"),
        ({"payload": {"a\x00": 1}}, "payload_invalid"),
        ({"payload": {"a": "\ud800"}}, "payload_invalid"),
        ({"payload": {1: 1}}, "payload_invalid"),
        ({"payload": {"a": object()}}, "payload_invalid"),
        ({"payload": []}, "payload_invalid"),
        ({"payload": {"a": "x" * 300_000}}, "payload_too_large"),
        ({"title": "a\x00b"}, "title_invalid"),
        ({"amount": "2000.001"}, "amount_invalid"),
        ({"amount": "-1"}, "amount_invalid"),
        ({"amount": "NaN"}, "amount_invalid"),
        ({"amount": "1e30"}, "amount_invalid"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_code(changes, code):
    rule()
    with pytest.raises(DomainError) as refused:
        opened(person("requester"), **{"payload": {}, **changes})
    assert refused.value.code == code


def test_a_long_title_is_cut_not_refused():
    rule()
    assert len(opened(person("requester"), title="x" * 500).title) == 200


def test_times_are_those_of_the_caller():
    rule()
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert opened(person("requester"), as_of=at).created_at == at


@pytest.mark.django_db(transaction=True)
def test_ten_callers_with_one_key_open_one_request():
    rule()
    requester = person("requester")
    subject, start = uuid4().hex, Barrier(10)

    def attempt(_: int) -> str:
        start.wait()
        try:
            with transaction.atomic():
                return str(opened(requester, subject_id=subject).pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = set(pool.map(attempt, range(10)))
    assert len(answers) == 1
    assert ApprovalRequest.objects.count() == PayloadVersion.objects.count() == 1
