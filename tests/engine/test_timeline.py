"""The timeline in words: what people did, and what was refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.contracts import SUBJECT_TYPE
from apps.audit.models import AuditEntry
from apps.audit.services import body_erase, entry_record
from apps.common.errors import DomainError
from apps.engine import reads
from apps.engine import timeline as timelines
from apps.engine.timeline import Line, timeline
from tests.approvals.test_comments import say
from tests.approvals.test_evidence import add, erase
from tests.approvals.world import decide, fresh, opened, person, rule

pytestmark = pytest.mark.django_db


def lines(subject_id: object) -> list[Line]:
    """Oldest first, as people tell it; in the order of writing where the time is the same."""
    return timeline(subjects=[(SUBJECT_TYPE, str(subject_id))], workflow_ids=[]).lines[::-1]


def told(subject_id: object) -> list[str]:
    return [line.text for line in lines(subject_id)]


def entry(action: str, by: User | None, **body: Any) -> AuditEntry:
    return entry_record(
        action=action, subject_type=SUBJECT_TYPE, subject_id="one", by=by, via="page", body=body
    )


def test_what_people_do_beside_a_request_reads_well():
    rule()
    requester, reviewer = person("requester"), person("reviewer", "first")
    request = opened(requester)
    kept = add(request, requester, name="invoice.pdf", note="What we paid")
    say(request, reviewer, "Who is Ngozi?")
    erase(kept, person("boss", is_superuser=True), reason="It names a patient.")
    decide(fresh(request), reviewer, reason="In order.")
    found = {line.text: line.detail for line in lines(request.pk)}
    assert found == {
        "Asked for a signature": "",
        "Added the file invoice.pdf": "What we paid",
        "Commented": "Who is Ngozi?",
        "Erased the content of invoice.pdf": "It names a patient.",
        "Approved": "In order.",
    }


def test_a_delegated_signature_says_on_whose_behalf():
    rule()
    boss = person("boss", "first", first_name="Helena", last_name="Duarte")
    helper = person("helper", "second", first_name="Ngozi", last_name="Okafor")
    now = timezone.now()
    services.delegation_give(
        delegator=boss,
        delegate=helper,
        kinds=[],
        most=None,
        currency="",
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(days=1),
        reason="Leave",
        by=boss,
        via="page",
        as_of=timezone.now(),
    )
    request = opened(person("requester"))
    decide(request, helper)
    last = next(line for line in lines(request.pk) if line.text.startswith("Approved"))
    assert (last.text, last.who) == ("Approved on behalf of Helena Duarte", "Ngozi Okafor")


def test_claims_edits_and_the_clock_read_well():
    ada = person("ada", first_name="Ada", last_name="Obi")
    ben = person("ben", first_name="Ben", last_name="Eze")
    entry("approval.claimed", ada, until="2026-01-02T03:04:05")
    entry("approval.released", ada, held_by=ada.audit_id)
    entry("approval.released", ben, held_by=ada.audit_id)
    entry("approval.reassigned", ada, to=ben.audit_id, reason="I am away")
    entry(
        "approval.edited",
        ada,
        payload_number=2,
        difference=[{"field": "paid_to", "was": "Ana", "now": "Ben"}],
        reason="A typing error",
    )
    entry("approval.reminded", None, number=1, people=3)
    entry("approval.escalated", None, to="group:senior reviewer", reason="Not signed in time.")
    entry("approval.escalated", None, to=ben.audit_id)
    entry("approval.signed", ada, tier=1, verdict="approve", authority=ada.audit_id)
    found = lines("one")
    assert [line.text for line in found] == [
        "Took it on",
        "Gave it back",
        "Ended the claim of Ada Obi",
        "Gave it to Ben Eze",
        "Edited: version 2 is asked now, earlier signatures are void",
        "Reminder 1 sent to those who can sign",
        "Escalated to senior reviewer",
        "Escalated to Ben Eze",
        "Signed in tier 1",
    ]
    assert found[4].detail == "A typing error · paid to: Ana → Ben"


def test_a_refusal_says_what_was_tried_and_why_not():
    rule()
    requester = person("requester")
    request = opened(requester)
    with pytest.raises(DomainError):
        decide(request, requester)
    last = next(line for line in lines(request.pk) if line.refused)
    assert (last.text, last.detail) == ("Tried to sign", "Nobody signs what they asked for.")


def test_an_erased_body_leaves_gaps_and_no_failure():
    ada = person("ada")
    one = entry("approval.evidence_added", ada, name="invoice.pdf", note="secret")
    two = entry("approval.edited", ada, difference="not a list", payload_number=None)
    body_erase(entry_id=one.pk, reason="It names a patient.", by=ada)
    assert two.pk
    found = lines("one")
    assert [line.text for line in found][:1] == ["Added the file –"]
    assert "secret" not in " ".join(line.detail for line in found)


def test_an_action_without_words_of_its_own_reads_as_it_is_named():
    entry("payment.sent_back", person("ada"), name="{braces} {0}")
    entry("approval.evidence_added", person("ben"), name="{braces} {0}", note="x" * 5000)
    found = lines("one")
    assert [line.text for line in found] == [
        "Payment: sent back",
        "Added the file {braces} {0}",
    ]
    assert len(found[1].detail) == 400


def test_names_cost_one_query_however_many_there_are(django_assert_num_queries):
    people = [person(f"p{n}") for n in range(5)]
    for one in people:
        entry("approval.reassigned", people[0], to=one.audit_id)
    with django_assert_num_queries(2):
        told("one")


def test_older_entries_come_in_further_pages_each_once(monkeypatch):
    monkeypatch.setattr(timelines, "MOST_ENTRIES", 3)
    by = person("ada")
    for number in range(7):
        entry("approval.evidence_added", by, name=f"file {number}")

    def page(older: str | None) -> timelines.Timeline:
        return timeline(subjects=[(SUBJECT_TYPE, "one")], workflow_ids=[], older=older)

    first = page("")
    assert first.later is None
    second = page(str(first.older))
    third = page(str(second.older))
    names = [line.text.split()[-1] for part in (first, second, third) for line in part.lines]
    assert names == ["6", "5", "4", "3", "2", "1", "0"]
    assert (second.later, third.older) == (first.older, None)
    # What is no place gives the newest; a page without further ones says that it is cut.
    assert [page(bad).lines for bad in ("x", "-1", "9" * 30)] == [first.lines] * 3
    assert (page(None).older, page(None).cut, first.cut) == (None, True, False)


def test_the_engines_events_stand_in_the_page_of_their_time(monkeypatch):
    monkeypatch.setattr(timelines, "MOST_ENTRIES", 2)
    by = person("ada")
    times = [entry("approval.claimed", by, until="").at for _ in range(4)]
    before, after = times[0] - timedelta(hours=1), times[-1] + timedelta(hours=1)
    events = tuple(
        reads.Event(id=number, at=at, kind="timer_fired")
        for number, at in enumerate([before, *times, after])
    )
    monkeypatch.setattr(
        reads, "history_events", lambda workflow, limit: reads.History(found=True, events=events)
    )

    def page(older: str) -> timelines.Timeline:
        return timeline(subjects=[(SUBJECT_TYPE, "one")], workflow_ids=["w"], older=older)

    first = page("")
    second = page(str(first.older))
    shown = [
        [line.at for line in part.lines if line.source == "engine"] for part in (first, second)
    ]
    assert shown == [[after, times[3], times[2]], [times[1], times[0], before]]
    assert (first.events, second.events) == (3, 3)


def test_lines_are_grouped_by_day():
    at = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    made = [Line(at + timedelta(seconds=2), "b"), Line(at, "a", source="engine")]
    days = timelines.Timeline(lines=made, degraded=False, cut=False).days
    assert [[line.text for line in day.lines] for day in days] == [["b"], ["a"]]
    assert [day.only_events for day in days] == [False, True]
