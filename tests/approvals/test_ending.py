from datetime import timedelta

import pytest
from django.utils import timezone

from apps.approvals import services
from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError
from apps.engine.models import EngineCommand
from tests.approvals.world import decide, domain, fresh, opened, person, refusal, rule

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(db):
    rule()
    return opened(person("requester"), "60000.00")


def test_a_request_expires_when_its_time_is_over_and_once(request_):
    for _ in range(2):
        expired = services.request_expire(request_id=request_.pk, as_of=request_.expires_at)
        assert (expired.status, expired.version) == ("expired", 2)
        assert expired.settled_at == request_.expires_at
    assert AuditEntry.objects.filter(action="approval.expired").count() == 1
    assert not domain.settled
    assert not EngineCommand.objects.filter(workflow_id=request_.workflow_id).exists()
    error = refusal(request_, person("late", "first"))
    assert (error.code, error.extra["decided_by"]) == ("already_decided", "the engine")


def test_it_does_not_expire_before_its_time_but_a_timer_may_round(request_):
    with pytest.raises(Conflict) as refused:
        services.request_expire(
            request_id=request_.pk, as_of=request_.expires_at - timedelta(minutes=1)
        )
    assert refused.value.code == "not_due"
    rounded = request_.expires_at - timedelta(milliseconds=400)
    assert services.request_expire(request_id=request_.pk, as_of=rounded).status == "expired"


def test_a_cancelled_request_names_who_cancelled_and_why(request_):
    requester = request_.requested_by
    now = timezone.now()
    cancelled = services.request_cancel(
        request_id=request_.pk, by=requester, reason="not wanted", as_of=now
    )
    assert (cancelled.status, cancelled.settled_by, cancelled.settled_reason) == (
        "cancelled",
        requester,
        "not wanted",
    )
    assert AuditEntry.objects.get(action="approval.cancelled").actor_id == requester.audit_id
    assert not domain.settled
    assert not EngineCommand.objects.filter(workflow_id=request_.workflow_id).exists()


def test_what_is_settled_stays_as_it_is(request_):
    decided = decide(request_, person("reviewer", "first"), "reject")
    now = timezone.now()
    later = request_.expires_at + timedelta(days=1)
    services.request_cancel(request_id=request_.pk, by=ENGINE, reason="", as_of=now)
    services.request_expire(request_id=request_.pk, as_of=later)
    assert (fresh(request_).status, fresh(request_).version) == ("rejected", decided.version)


def test_ending_what_does_not_exist_is_refused():
    for verb in (
        lambda: services.request_expire(request_id="nonsense", as_of=timezone.now()),
        lambda: services.request_cancel(
            request_id="nonsense", by=ENGINE, reason="", as_of=timezone.now()
        ),
    ):
        with pytest.raises(DomainError) as refused:
            verb()
        assert refused.value.code == "not_found"
