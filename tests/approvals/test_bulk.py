"""Deciding many requests in one go: each on its own, with an outcome of its own."""

import itertools
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest, BulkDecision, BulkItem, Signature
from apps.approvals.selectors.bulk import bulk_preview
from apps.approvals.services import bulk_running
from apps.approvals.services.bulk import BulkChoice
from apps.approvals.services.bulk_rows import RUN
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.engine import process, subjects
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.runs import progress_of, working
from apps.engine.runs.working import HasItsOutcome, settle
from apps.notifications.models import Notification, WebhookDelivery
from apps.notifications.services import webhook_create
from tests.approvals import world
from tests.approvals.test_races import at_once
from tests.approvals.world import decide, fresh, opened, person, rule


def engine_side() -> Any:
    return subjects.get("bulk")


def hash_of(request: ApprovalRequest) -> str:
    return selectors.current_payload(fresh(request)).hash


def begin(by: User, requests: list[ApprovalRequest], **changes: Any) -> BulkDecision:
    arguments: dict[str, Any] = {
        "by": by,
        "verdict": "approve",
        "reason": "all of one shipment",
        "items": [BulkChoice(one.pk, hash_of(one)) for one in requests],
        "key": f"test:{len(requests)}",
        "via": "api",
        "as_of": timezone.now(),
        **changes,
    }
    return services.bulk_decide(**arguments)


def work(bulk: BulkDecision, **changes: Any) -> Any:
    bulk.refresh_from_db()
    arguments = {"workflow_id": bulk.workflow_id, "limit": 500, "seconds": 60.0, **changes}
    return services.bulk_run(bulk_id=bulk.pk, **arguments)


def outcomes(bulk: BulkDecision) -> list[str]:
    """Of each item in order: its status, or the code it was refused with."""
    return [item.error_code or item.status for item in bulk.items.order_by("number")]


def refused(code: str, fn: Any, *args: Any, **kwargs: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        fn(*args, **kwargs)
    assert caught.value.code == code
    return caught.value


@pytest.fixture
def people(db: None) -> tuple[User, User]:
    """Who asks, and who signs."""
    rule()
    return person("requester"), person("reviewer", "first")


class TestOutcomes:
    def test_each_is_signed_or_refused_with_a_reason_of_its_own(self, people):
        requester, reviewer = people
        good, own, gone, held = (
            opened(requester),
            opened(reviewer),
            opened(requester),
            opened(requester),
        )
        changed = opened(requester)
        other = person("other", "first")
        bulk = begin(
            reviewer,
            [good, own, gone, held, changed],
            items=[
                *(BulkChoice(one.pk, hash_of(one)) for one in (good, own, gone, held)),
                BulkChoice(changed.pk, "0" * 64),
            ],
        )
        decide(gone, other, "reject")
        services.claim_take(request_id=held.pk, by=other, via="api", as_of=timezone.now())

        progress = work(bulk)

        assert outcomes(bulk) == [
            "done",
            "requester_cannot_sign",
            "already_decided",
            "claimed",
            "payload_changed",
        ]
        assert (progress.ended, progress.done, progress.failed) == (True, 1, 4)
        bulk.refresh_from_db()
        assert (bulk.status, bulk.done, bulk.failed, bulk.left) == ("completed", 1, 4, 0)
        assert bulk.settled_at is not None
        assert all(item.error_detail for item in bulk.items.filter(status="failed"))
        signature = Signature.objects.get(request=good)
        assert (signature.via, signature.reason) == ("bulk", "all of one shipment")
        assert world.domain.settled[-1] == (str(good.pk), "approved")

    def test_refusals_are_audited_as_for_any_decision(self, people):
        _, reviewer = people
        own = opened(reviewer)
        work(begin(reviewer, [own]))
        entry = AuditEntry.objects.get(action="approval.decide", outcome="refused")
        assert (entry.code, entry.via, entry.actor_id, entry.subject_id) == (
            "requester_cannot_sign",
            "bulk",
            reviewer.audit_id,
            str(own.pk),
        )
        actions = AuditEntry.objects.filter(subject_type="bulk").order_by("id")
        assert [one.action for one in actions] == ["bulk.started", "bulk.completed"]

    def test_a_fault_in_one_item_never_fails_the_rest(self, people, caplog):
        requester, reviewer = people
        bad, good = opened(requester), opened(requester)
        bulk = begin(reviewer, [bad, good])
        world.domain.fails_with = ZeroDivisionError("a bug")
        services.bulk.item_decide(item_id=bulk.items.get(number=1).pk, as_of=timezone.now())
        world.domain.fails_with = None
        work(bulk)
        assert outcomes(bulk) == ["internal_error", "done"]
        assert fresh(bad).status == "open"
        assert not Signature.objects.filter(request=bad).exists()

    def test_an_item_that_the_database_cannot_do_now_has_its_turn_again(self, people, monkeypatch):
        requester, reviewer = people
        stuck, free = opened(requester), opened(requester)
        bulk = begin(reviewer, [stuck, free])
        sign = bulk_running.decision_sign

        def deadlock(**arguments: Any) -> ApprovalRequest:
            if arguments["request_id"] == stuck.pk:
                raise OperationalError("deadlock detected")
            return sign(**arguments)

        monkeypatch.setattr(bulk_running, "decision_sign", deadlock)
        assert not work(bulk).ended
        assert outcomes(bulk) == ["waiting", "done"]
        with pytest.raises(OperationalError):
            work(bulk)
        monkeypatch.undo()
        assert work(bulk).ended
        assert outcomes(bulk) == ["done", "done"]

    def test_a_second_tier_goes_on_and_a_delegate_signs_for_whom_was_chosen(self, people):
        requester, _ = people
        boss = person("boss", "second")
        deputy = person("deputy", "first")
        now = timezone.now()
        services.delegation_give(
            delegator=boss,
            delegate=deputy,
            kinds=[],
            most=None,
            currency="",
            starts_at=now - timedelta(minutes=1),
            ends_at=now + timedelta(days=1),
            reason="away",
            by=boss,
            via="api",
            as_of=timezone.now(),
        )
        large = opened(requester, "60000.00")
        first, third = person("first1", "first"), person("first2", "first")
        work(begin(first, [large], key="a"))
        work(begin(third, [large], key="b"))
        assert fresh(large).tier_number == 2
        (line,) = bulk_preview(deputy, [large.pk], as_of=timezone.now()).signable
        assert line.authorities == [boss]
        chosen = [BulkChoice(large.pk, line.payload_hash, boss)]
        bulk = begin(deputy, [large], items=chosen, key="c")
        work(bulk)
        assert outcomes(bulk) == ["done"]
        assert fresh(large).status == "approved"
        assert bulk.items.get().authority == boss

    def test_an_item_has_one_outcome_and_is_counted_once(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester), opened(requester)])
        first = bulk.items.get(number=1)
        settle(RUN, first, "failed", as_of=timezone.now(), code="x", detail="y")
        for status in ("done", "failed"):
            with pytest.raises(HasItsOutcome), transaction.atomic():
                settle(RUN, first, status, as_of=timezone.now())
        work(bulk)
        bulk.refresh_from_db()
        assert (outcomes(bulk), bulk.done, bulk.failed) == (["x", "done"], 1, 1)
        counted = progress_of(RUN, bulk)
        assert (counted.total, counted.done, counted.failed) == (2, bulk.done, bulk.failed)

    def test_who_lost_the_right_meanwhile_signs_nothing_more(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester), opened(requester)])
        work(bulk, limit=1)
        reviewer.is_active = False
        reviewer.save()
        work(bulk)
        assert outcomes(bulk) == ["done", "not_found"]


class TestBeginning:
    def test_the_workflow_is_started_in_the_transaction_that_makes_the_rows(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester)])
        command = EngineCommand.objects.get(subject_type="bulk")
        assert (command.workflow_id, command.task_queue) == (f"bulk-{bulk.pk}", "approvals")
        assert bulk.workflow_id == command.workflow_id
        assert command.args[0]["bulk_id"] == str(bulk.pk)
        assert Signature.objects.count() == 0

    def test_the_same_key_again_is_the_same_one_and_for_something_else_a_conflict(self, people):
        requester, reviewer = people
        one, two = opened(requester), opened(requester)
        bulk = begin(reviewer, [one], key="k")
        assert begin(reviewer, [one], key="k").pk == bulk.pk
        refused("key_reused", begin, reviewer, [one, two], key="k")
        refused("key_reused", begin, reviewer, [one], key="k", verdict="reject")
        assert BulkDecision.objects.count() == EngineCommand.objects.count() == 1
        # A key is the person's own.
        assert begin(person("second", "first"), [one], key="k").pk != bulk.pk

    @pytest.mark.parametrize(
        ("code", "changes"),
        [
            ("bad_verdict", {"verdict": "maybe"}),
            ("invalid_text", {"reason": "a\x00b"}),
            ("reason_too_long", {"reason": "x" * 2001}),
            ("no_items", {"items": []}),
            ("bad_key", {"key": ""}),
            ("bad_key", {"key": "k" * 151}),
            ("bad_key", {"key": "\x00"}),
            ("as_of_in_future", {"as_of": timezone.now() + timedelta(days=900)}),
        ],
    )
    def test_what_cannot_be_meant_is_refused_whole_and_audited(self, people, code, changes):
        requester, reviewer = people
        refused(code, begin, reviewer, [opened(requester)], **changes)
        assert BulkDecision.objects.count() == 0
        entry = AuditEntry.objects.get(action="bulk.decide", outcome="refused")
        assert (entry.code, entry.actor_id) == (code, reviewer.audit_id)

    def test_hostile_items_are_refused_whole(self, people):
        requester, reviewer = people
        one = opened(requester)
        good = BulkChoice(one.pk, hash_of(one))
        for code, items in (
            ("duplicate_items", [good, good]),
            ("bad_hash", [BulkChoice(one.pk, "")]),
            ("bad_hash", [BulkChoice(one.pk, "\x00")]),
            ("bad_hash", [BulkChoice(one.pk, "x" * 65)]),
            ("not_found", [BulkChoice("nonsense", "x")]),
            ("too_many_items", [good] * 501),
        ):
            refused(code, begin, reviewer, [], items=items)
        assert BulkItem.objects.count() == 0

    def test_what_the_person_may_not_see_does_not_exist_for_them(self, people):
        requester, _ = people
        one = opened(requester)
        error = refused("unknown_request", begin, person("outsider"), [one])
        assert error.extra["ids"] == [str(one.pk)]
        assert BulkDecision.objects.count() == 0


class TestStopping:
    def test_what_is_signed_stays_and_the_rest_is_resumed_later(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester) for _ in range(4)])
        work(bulk, limit=2)
        act = {"bulk_id": bulk.pk, "by": reviewer, "via": "page", "as_of": timezone.now()}
        refused("already_running", services.bulk_resume, **act)
        stopped = services.bulk_stop(**act)
        assert (stopped.status, stopped.left) == ("stopped", 2)
        assert outcomes(bulk) == ["done", "done", "stopped", "stopped"]
        assert services.bulk_stop(**act).version == stopped.version
        assert work(bulk).ended
        assert Signature.objects.count() == 2

        resumed = services.bulk_resume(**act)
        assert (resumed.status, resumed.workflow_id) == ("pending", f"bulk-{bulk.pk}-2")
        refused("already_running", services.bulk_resume, **act)
        # The first workflow, if it still lives, has nothing to do with it any more.
        refused("not_its_workflow", work, bulk, workflow_id=f"bulk-{bulk.pk}")
        assert work(bulk).ended
        assert outcomes(bulk) == ["done"] * 4
        for verb in (services.bulk_stop, services.bulk_resume):
            refused("already_completed", verb, **act)
        bulk.refresh_from_db()
        assert (bulk.done, bulk.failed) == (4, 0)

    def test_nobody_else_stops_or_resumes_it(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester)])
        boss = person("boss", is_superuser=True)
        for verb in (services.bulk_stop, services.bulk_resume):
            refused("not_found", verb, bulk_id=bulk.pk, by=boss, via="api", as_of=timezone.now())
        assert AuditEntry.objects.filter(subject_type="bulk", code="not_found").count() == 2

    def test_an_interrupted_run_begins_no_further_item(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester) for _ in range(3)])
        looks = iter([False, True])
        progress = work(bulk, interrupted=lambda: next(looks))
        assert (progress.ended, progress.done) == (False, 1)


class TestTheEngine:
    def test_a_workflow_that_was_ended_from_outside_stops_it(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester)])
        run = WorkflowRun(workflow_id=bulk.workflow_id, status="terminated")
        engine_side().on_closed(str(bulk.pk), run)
        bulk.refresh_from_db()
        assert (bulk.status, outcomes(bulk)) == ("stopped", ["stopped"])
        entry = AuditEntry.objects.get(action="bulk.stopped")
        assert entry.body["reason"] == "Its workflow was terminated in the engine."
        # An older workflow's end means nothing to a newer one.
        services.bulk_resume(bulk_id=bulk.pk, by=reviewer, via="api", as_of=timezone.now())
        engine_side().on_closed(str(bulk.pk), run)
        bulk.refresh_from_db()
        assert bulk.status == "pending"

    def test_its_person_is_told_of_every_end_that_is_not_theirs(self, people):
        requester, reviewer = people
        webhook_create(
            url="https://example.org/",
            events=["bulk.completed"],
            by=person("admin", is_superuser=True),
            via="api",
        )
        stopped = begin(reviewer, [opened(requester)], key="a")
        engine_side().on_closed(
            str(stopped.pk), WorkflowRun(workflow_id=stopped.workflow_id, status="terminated")
        )
        own = begin(reviewer, [opened(requester)], key="b")
        services.bulk_stop(bulk_id=own.pk, by=reviewer, via="api", as_of=timezone.now())
        work(begin(reviewer, [opened(requester)], key="c"))
        told = Notification.objects.filter(kind="approval.bulk_ended", recipient=reviewer)
        assert list(told.order_by("pk").values_list("title", flat=True)) == [
            "Your bulk decision was stopped before its end",
            "Your bulk decision was completed",
        ]
        [heard] = WebhookDelivery.objects.all()
        assert heard.event == "bulk.completed"
        assert "one shipment" not in heard.body

    def test_a_start_that_can_never_be_delivered_stops_it(self, people):
        requester, reviewer = people
        bulk = begin(reviewer, [opened(requester)])
        command = EngineCommand.objects.get()
        command.error = "no such type"
        engine_side().on_undeliverable(command)
        bulk.refresh_from_db()
        assert bulk.status == "stopped"
        assert "no such type" in AuditEntry.objects.get(action="bulk.stopped").body["reason"]

    def test_one_that_the_engine_forgot_is_found_and_started_again_once(self, people):
        requester, reviewer = people
        hour = timezone.now() - timedelta(hours=1)
        bulk = begin(reviewer, [opened(requester)], as_of=hour)
        assert engine_side().stranded() == []
        EngineCommand.objects.update(state="sent", settled_at=hour)
        seen = {"started_at": hour, "subject_type": "bulk", "subject_id": str(bulk.pk)}
        run = WorkflowRun.objects.create(workflow_id=bulk.workflow_id, run_id="r", **seen)
        assert engine_side().stranded() == []
        WorkflowRun.objects.filter(pk=run.pk).update(status="lost")
        assert engine_side().stranded() == [str(bulk.pk)]
        for _ in range(2):
            engine_side().restart(str(bulk.pk))
        newest = EngineCommand.objects.order_by("-id")
        assert [c.workflow_id for c in newest] == [f"bulk-{bulk.pk}-2", f"bulk-{bulk.pk}"]
        assert engine_side().stranded() == []
        work(bulk)
        EngineCommand.objects.update(state="sent", settled_at=hour)
        assert engine_side().stranded() == []
        assert outcomes(bulk) == ["done"]

    @pytest.mark.parametrize(
        ("workflow_id", "found"),
        [
            ("bulk-01234567-89ab-7def-8123-456789abcdef", "01234567-89ab-7def-8123-456789abcdef"),
            ("bulk-01234567-89ab-7def-8123-456789abcdef-3", "01234567-89ab-7def-8123-456789abcdef"),
            ("bulk-nonsense", ""),
            ("approval-01234567-89ab-7def-8123-456789abcdef", ""),
            ("", ""),
        ],
    )
    def test_a_workflows_id_says_whose_it_is(self, workflow_id, found):
        assert engine_side().subjects_of([workflow_id]).get(workflow_id, "") == found


class TestPreview:
    def test_it_says_for_each_what_would_happen_or_why_not(self, people):
        requester, reviewer = people
        small, large, own = opened(requester), opened(requester, "60000.00"), opened(reviewer)
        free = opened(requester, kind=world.KIND)
        services.claim_take(
            request_id=free.pk, by=person("other", "first"), via="api", as_of=timezone.now()
        )
        seen = bulk_preview(
            reviewer, [one.pk for one in (small, large, own, free)], as_of=timezone.now()
        )
        assert [(line.request.pk, line.after) for line in seen.signable] == [
            (large.pk, "one more signature by first"),
            (small.pk, ""),
        ]
        assert {line.request.pk: line.refusal.code for line in seen.barred} == {
            own.pk: "requester_cannot_sign",
            free.pk: "claimed",
        }
        assert [(one.currency, str(one.amount), one.count) for one in seen.sums] == [
            ("NGN", "62000.00", 2)
        ]
        assert seen.reason_required

    def test_what_one_may_not_see_is_left_out(self, people):
        requester, _ = people
        seen = bulk_preview(person("outsider"), [opened(requester).pk], as_of=timezone.now())
        assert seen.signable == seen.barred == []


# --- at once --------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_two_runs_of_one_bulk_sign_each_request_once(self):
        rule()
        requester, reviewer = person("requester"), person("reviewer", "first")
        bulk = begin(reviewer, [opened(requester) for _ in range(12)])
        at_once([lambda: work(bulk)] * 3)
        assert outcomes(bulk) == ["done"] * 12
        assert Signature.objects.count() == 12
        assert not AuditEntry.objects.filter(outcome="refused").exists()
        bulk.refresh_from_db()
        assert (bulk.status, bulk.done) == ("completed", 12)

    def test_two_bulks_over_the_same_requests_share_them_and_the_loser_is_told_who_won(self):
        rule()
        requester = person("requester")
        requests = [opened(requester) for _ in range(12)]
        one = begin(person("one", "first"), requests, key="one")
        # The other way round: what would deadlock if an item held more than its own.
        two = begin(person("two", "first"), requests[::-1], key="two", verdict="reject")
        at_once([lambda: work(one), lambda: work(two)])
        for decision in (one, two):
            decision.refresh_from_db()
            assert set(outcomes(decision)) <= {"done", "already_decided"}
            assert decision.status == "completed"
        assert one.done + two.done == Signature.objects.count() == 12
        assert one.failed + two.failed == 12
        told = BulkItem.objects.filter(error_code="already_decided").first()
        assert told is not None
        assert told.error_detail.startswith(("Already approved by one", "Already rejected by two"))

    def test_a_stop_in_the_middle_leaves_no_item_between(self):
        rule()
        requester, reviewer = person("requester"), person("reviewer", "first")
        bulk = begin(reviewer, [opened(requester) for _ in range(20)])

        def stop() -> BulkDecision:
            while Signature.objects.count() < 3:
                pass
            return services.bulk_stop(
                bulk_id=bulk.pk, by=reviewer, via="page", as_of=timezone.now()
            )

        at_once([lambda: work(bulk), stop])
        bulk.refresh_from_db()
        assert bulk.status == "stopped"
        found = outcomes(bulk)
        assert found == ["done"] * bulk.done + ["stopped"] * bulk.left
        assert Signature.objects.count() == bulk.done < 20

    def test_the_same_form_sent_by_many_tabs_begins_one(self):
        rule()
        reviewer, one = person("reviewer", "first"), opened(person("requester"))
        answers = at_once([lambda: begin(reviewer, [one], key="k")] * 6)
        assert len({answer.pk for answer in answers}) == 1
        assert EngineCommand.objects.count() == BulkItem.objects.count() == 1

    def test_a_death_between_signature_and_item_leaves_neither(self, monkeypatch):
        rule()
        requester, reviewer = person("requester"), person("reviewer", "first")
        bulk = begin(reviewer, [opened(requester)])

        class Killed(BaseException):
            pass

        def die(*_: Any, **__: Any) -> None:
            assert Signature.objects.exists()
            raise Killed

        monkeypatch.setattr(working, "settle", die)
        with pytest.raises(Killed):
            work(bulk)
        monkeypatch.undo()
        connection.close()
        assert Signature.objects.count() == 0
        assert outcomes(bulk) == ["waiting"]
        work(bulk)
        assert outcomes(bulk) == ["done"]

    def test_pages_are_told_at_most_five_times_a_second(self, monkeypatch):
        rule()
        requester, reviewer = person("requester"), person("reviewer", "first")
        bulk = begin(reviewer, [opened(requester) for _ in range(10)])
        told: list[int] = []
        monkeypatch.setattr(process, "announce", lambda _, bulk: told.append(bulk.version))
        looks = itertools.count()
        # Every look at the clock is 20 ms later; an item has two or three of them.
        clock = SimpleNamespace(monotonic=lambda: next(looks) * 0.02)
        monkeypatch.setattr(working, "time", clock)
        work(bulk)
        passed = next(looks) * 0.02
        assert 3 <= len(told) <= 2 + passed / 0.2
