"""Two at once, twenty at once, and a process that dies at the worst moment."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.approvals import kinds, selectors, services
from apps.approvals.kinds import ApprovalKind, TierRule
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature
from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.identifiers import new_id
from apps.engine.models import EngineCommand
from tests.approvals.world import decide, delegated, domain, edit, fresh, opened, person, rule
from tests.support import FULL_SIZE, eventually

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


# --- claims, edits, delegations -------------------------------------------------------------------
def code_of(answer: Any) -> str:
    return answer.code if isinstance(answer, DomainError) else answer.status


def claim(request: ApprovalRequest, by: Any) -> ApprovalRequest:
    return services.claim_take(request_id=request.pk, by=by, via="api", as_of=timezone.now())


def test_of_people_who_claim_at_once_one_holds_it_and_the_others_are_told_who():
    rule()
    reviewers = [person(f"reviewer{n}", "first") for n in range(8)]
    request = opened(person("requester"))
    answers = at_once([lambda by=by: claim(request, by) for by in reviewers])
    (winner,) = [a for a in answers if isinstance(a, ApprovalRequest)]
    losers = [a for a in answers if isinstance(a, DomainError)]
    assert {a.code for a in losers} == {"claimed"}
    assert {a.extra["claimed_by"] for a in losers} == {str(winner.claimed_by)}
    assert fresh(request).claimed_by == winner.claimed_by


def test_a_claim_and_a_decision_at_once_never_leave_a_signature_against_a_claim():
    rule()
    one, two = person("one", "first"), person("two", "first")
    for n in range(8):
        request = opened(person(f"requester{n}"))
        claimed, decided = at_once(
            [lambda r=request: claim(r, one), lambda r=request: decide(r, two)]
        )
        outcome = (code_of(claimed), code_of(decided))
        assert outcome in {("open", "claimed"), ("already_decided", "approved")}
        settled = fresh(request)
        assert (settled.claimed_by == one) == (outcome[0] == "open")


def test_an_edit_and_a_decision_at_once_never_sign_what_was_not_seen():
    rule()
    reviewer = person("reviewer", "first")
    for n in range(8):
        requester = person(f"requester{n}")
        request = opened(requester)
        seen = selectors.current_payload(request)
        edited, decided = at_once(
            [lambda r=request, by=requester: edit(r, by), lambda r=request: decide(r, reviewer)]
        )
        outcome = (code_of(edited), code_of(decided))
        assert outcome in {("open", "payload_changed"), ("already_decided", "approved")}
        signatures = list(Signature.objects.filter(request=request))
        assert [s.payload_id for s in signatures] == ([seen.pk] if outcome[1] == "approved" else [])
        if outcome[0] == "open":
            assert decided.extra["difference"][0]["now"] == "Amina Bello"


def test_of_two_edits_at_once_one_is_made_and_the_other_sees_the_difference():
    rule()
    requester = person("requester")
    request = opened(requester)
    answers = at_once(
        [
            lambda name=name: edit(request, requester, changes={"target": name})
            for name in ("Amina Bello", "Bola Ade", "Chidi Eze")
        ]
    )
    (winner,) = [a for a in answers if isinstance(a, ApprovalRequest)]
    now = selectors.current_payload(fresh(request)).payload["target"]
    assert selectors.current_payload(winner).payload["target"] == now
    for loser in (a for a in answers if isinstance(a, DomainError)):
        assert loser.code == "payload_changed"
        assert loser.extra["difference"] == [{"field": "target", "was": "Ngozi Okafor", "now": now}]
    assert fresh(request).payload_number == 2


def test_a_delegation_revoked_while_its_delegate_signs_comes_before_or_after_never_between():
    rule()
    absent, delegate = person("absent", "first"), person("delegate", "second")
    for n in range(8):
        given = delegated(absent, delegate)
        request = opened(person(f"requester{n}"))
        revoked, decided = at_once(
            [
                lambda d=given: services.delegation_revoke(
                    delegation_id=d.pk, by=absent, via="api", as_of=timezone.now()
                ),
                lambda r=request: decide(r, delegate, on_behalf_of=absent),
            ]
        )
        assert revoked.revoked_at is not None
        assert code_of(decided) in {"approved", "no_delegation"}
        assert Signature.objects.filter(request=request).count() == (code_of(decided) == "approved")


def test_a_delegation_given_by_many_at_once_is_given_once():
    rule()
    absent, delegate = person("absent", "first"), person("delegate", "second")
    ends_at = timezone.now() + timedelta(days=1)
    answers = at_once(
        [
            lambda: services.delegation_give(
                delegator=absent,
                delegate=delegate,
                kinds=[],
                most=None,
                currency="",
                starts_at=None,
                ends_at=ends_at,
                reason="",
                by=absent,
                via="api",
                as_of=timezone.now(),
            )
        ]
        * 6
    )
    assert len({given.pk for given in answers}) == 1


# --- many at once ---------------------------------------------------------------------------------
REQUESTS, REVIEWERS, TRIES = 500 if FULL_SIZE else 150, 50, 2


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def copies(request: ApprovalRequest, number: int) -> list[ApprovalRequest]:
    """The request and others like it: opening them one by one is not what is tested."""
    payload = selectors.current_payload(request)
    others = []
    for n in range(1, number):
        other = copy(request)
        other.pk, other.key, other.workflow_id = new_id(), f"payment:{n}", f"payment-{n}"
        others.append(other)
    ApprovalRequest.objects.bulk_create(others)
    PayloadVersion.objects.bulk_create(
        PayloadVersion(request=other, payload=payload.payload, hash=payload.hash)
        for other in others
    )
    return [request, *others]


def test_fifty_reviewers_decide_hundreds_of_requests_at_once_each_with_one_outcome():
    rule()
    reviewers = [person(f"reviewer{n}", "first") for n in range(REVIEWERS)]
    requester = person("requester")
    requests = copies(opened(requester), REQUESTS)
    seen = selectors.current_payload(requests[0]).hash
    before = deadlocks()
    # Two reviewers for each request, of different minds, who come to it at about the same time.
    work: list[list[tuple[ApprovalRequest, str]]] = [[] for _ in reviewers]
    for number, request in enumerate(requests):
        pair = number % (REVIEWERS // TRIES)
        for turn, verdict in enumerate(("approve", "reject")):
            work[pair * TRIES + turn].append((request, verdict))

    def decide_all(by: Any, mine: list[tuple[ApprovalRequest, str]]) -> list[Any]:
        answers = []
        for request, verdict in mine:
            try:
                answers.append(decide(request, by, verdict, payload_hash=seen))
            except DomainError as error:
                answers.append((request.pk, error))
            finally:
                # As a web request does: the pool is for all of them.
                connection.close()
        return answers

    with ThreadPoolExecutor(REVIEWERS) as pool:
        answers = [one for many in pool.map(decide_all, reviewers, work) for one in many]

    winners = {a.pk: a for a in answers if isinstance(a, ApprovalRequest)}
    losers = [a for a in answers if not isinstance(a, ApprovalRequest)]
    assert len(winners) == REQUESTS
    assert len(losers) == REQUESTS * (TRIES - 1)
    for pk, error in losers:
        assert error.code == "already_decided"
        assert error.extra["decided_by"] == str(winners[pk].settled_by)
        assert error.extra["status"] == winners[pk].status
    rows = dict(ApprovalRequest.objects.values_list("pk", "status"))
    assert rows == {pk: winner.status for pk, winner in winners.items()}
    assert Signature.objects.count() == REQUESTS
    assert EngineCommand.objects.filter(name="request_settled").count() == REQUESTS
    assert Counter(domain.settled) == Counter((str(pk), status) for pk, status in rows.items())
    # A deadlock would have come out of a thread as an error; the server has counted none either.
    assert deadlocks() == before
