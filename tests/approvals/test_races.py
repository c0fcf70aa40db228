"""Two at once, twenty at once, and a process that dies at the worst moment."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.approvals import kinds, selectors, services
from apps.approvals.kinds import ApprovalKind, TierRule
from apps.approvals.models import ApprovalRequest, Signature
from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.engine.models import EngineCommand
from apps.errors import DomainError
from tests.approvals.world import decide, domain, fresh, opened, person, rule
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call returned or the DomainError it raised; all start together."""
    start = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return call()
        except DomainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("people", [2, 20])
def test_of_people_deciding_at_once_one_wins_and_the_others_are_told_who(people):
    rule()
    reviewers = [person(f"reviewer{n}", "first") for n in range(people)]
    request = opened(person("requester"))
    answers = at_once(
        [
            lambda by=by, n=n: decide(request, by, "reject" if n % 2 else "approve")
            for n, by in enumerate(reviewers)
        ]
    )
    (winner,) = [a for a in answers if isinstance(a, ApprovalRequest)]
    losers = [a for a in answers if isinstance(a, DomainError)]
    assert len(losers) == people - 1
    for error in losers:
        assert error.code == "already_decided"
        assert error.extra == {
            "status": winner.status,
            "request_status": winner.status,
            "decided_by": str(winner.settled_by),
            "decided_at": winner.settled_at.isoformat(),
        }
    assert Signature.objects.count() == EngineCommand.objects.count() == 1
    assert domain.settled == [(str(request.pk), winner.status)]
    assert (
        AuditEntry.objects.filter(action="approval.decide", code="already_decided").count()
        == people - 1
    )


def test_a_quorum_filled_by_many_at_once_counts_exactly_as_many_as_it_needs():
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 3}]}])
    reviewers = [person(f"reviewer{n}", "first") for n in range(8)]
    request = opened(person("requester"))
    answers = at_once([lambda by=by: decide(request, by) for by in reviewers])
    codes = Counter(a.code if isinstance(a, DomainError) else a.status for a in answers)
    assert codes == {"open": 2, "approved": 1, "already_decided": 5}
    assert Signature.objects.count() == 3


def test_one_person_in_many_tabs_signs_once():
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 3}]}])
    request, reviewer = opened(person("requester")), person("reviewer", "first")
    answers = at_once([lambda: decide(request, reviewer)] * 8)
    codes = Counter(a.code if isinstance(a, DomainError) else a.status for a in answers)
    assert codes == {"open": 1, "already_signed": 7}
    assert Signature.objects.count() == 1


def test_a_decision_and_a_cancellation_at_once_leave_one_outcome():
    rule()
    reviewer = person("reviewer", "first")

    def cancel(request: ApprovalRequest) -> ApprovalRequest:
        with transaction.atomic():
            return services.request_cancel(
                request_id=request.pk, by=ENGINE, reason="late", as_of=timezone.now()
            )

    for _ in range(10):
        request = opened(person(f"requester{_}"))
        decided, ended = at_once(
            [lambda r=request: decide(r, reviewer), lambda r=request: cancel(r)]
        )
        status = fresh(request).status
        assert ended.status == status
        if status == "approved":
            assert decided.status == "approved"
        else:
            assert (status, decided.code) == ("cancelled", "already_decided")
        assert Signature.objects.filter(request=request).count() == (status == "approved")


def lock_account(subject_id: str) -> None:
    Group.objects.select_for_update().get(name=subject_id)


kinds.register(
    ApprovalKind(
        name="test.account",
        title="Test account",
        # A domain writes its own row here, after the request's row is locked.
        on_settled=lambda request, **_: lock_account(request.subject_id),
        facts=lambda request: [],
        subject_url=str,
        lock=lock_account,
        default_tiers=(TierRule("first"),),
    )
)


def test_a_domain_that_locks_its_row_and_then_cancels_never_deadlocks_with_a_decision():
    reviewer = person("reviewer", "first")
    Group.objects.create(name="account-1")
    request = opened(
        person("requester"), kind="test.account", subject_id="account-1", workflow_id=""
    )
    row_is_locked = Event()

    def cancel() -> ApprovalRequest:
        with transaction.atomic():
            lock_account("account-1")
            row_is_locked.set()
            eventually(somebody_waits_for_a_lock)
            return services.request_cancel(
                request_id=request.pk, by=ENGINE, reason="late", as_of=timezone.now()
            )

    def approve() -> ApprovalRequest:
        assert row_is_locked.wait(10)
        return decide(request, reviewer)

    cancelled, refused = at_once([cancel, approve])
    assert cancelled.status == "cancelled"
    assert refused.code == "already_decided"


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


DIES_AFTER_THE_COMMIT = """
import os, signal, django
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
from django.utils import timezone
from tests.approvals import world
from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.models import ApprovalRequest
from apps.live import broadcast
# The commit has happened when a message is handed over.
broadcast._publisher.publish = lambda message: os.kill(os.getpid(), signal.SIGKILL)
request = ApprovalRequest.objects.for_detail().get()
world.decide(request, User.objects.get(username="reviewer"))
"""


def test_a_kill_between_commit_and_broadcast_loses_nothing():
    rule()
    request = opened(person("requester"))
    person("reviewer", "first")
    child = subprocess.run(
        [sys.executable, "-c", DIES_AFTER_THE_COMMIT],
        env={**os.environ, "TEST_DATABASE": connections["default"].settings_dict["NAME"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert fresh(request).status == "approved"
    assert EngineCommand.objects.get().key == f"approval:{request.pk}:settled"
    assert AuditEntry.objects.filter(action="approval.approved").count() == 1
    assert selectors.can_sign(fresh(request), person("late", "first")) == "already_decided"
