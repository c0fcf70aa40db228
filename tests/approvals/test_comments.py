"""Comments: by who may see the request, once, with mentions that tell no secret."""

import threading
from contextlib import closing
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts import throttle
from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.models import ApprovalRequest, Comment
from apps.approvals.services import comments
from apps.audit.models import AuditEntry
from apps.common.errors import TooMany
from apps.notifications.models import Notification
from tests.approvals.test_evidence import add, refused
from tests.approvals.world import auditor, decide, opened, person, rule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments of other tests do not count: ids of people come again in every database."""
    throttle.reset()
    monkeypatch.setattr(throttle, "_redis", throttle._local)


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


@pytest.fixture
def request_(requester: User) -> ApprovalRequest:
    return opened(requester)


def say(request: ApprovalRequest, by: User, text: str = "Who signs it?", **changes: Any) -> Comment:
    arguments: dict[str, Any] = {
        "request_id": request.pk,
        "by": by,
        "text": text,
        "nonce": "",
        "via": "page",
        "as_of": timezone.now(),
        **changes,
    }
    return services.comment_add(**arguments)


def told(kind: str) -> set[str]:
    found = Notification.objects.filter(kind=kind)
    return set(found.values_list("recipient__username", flat=True))


def test_a_comment_is_kept_audited_and_told_to_who_took_part(request_, requester, reviewer):
    signer, bringer = person("signer", "first"), person("bringer", "first")
    add(request_, bringer)
    decide(request_, signer)
    Notification.objects.all().delete()
    comment = say(request_, reviewer, " First line\r\nsecond line \n")
    assert comment.text == "First line\nsecond line"
    entry = AuditEntry.objects.get(action="approval.commented")
    assert (entry.actor_id, entry.body["text"]) == (reviewer.audit_id, comment.text)
    assert told("approval.commented") == {"requester", "signer", "bringer"}
    message = Notification.objects.filter(recipient=requester).get()
    assert message.title == f"Ngozi Okafor commented: {request_.title}"
    assert message.url == f"/requests/{request_.pk}/#comment-{comment.pk}"


def test_the_same_nonce_is_one_comment_and_tells_once(request_, requester, reviewer):
    first = say(request_, reviewer, "@requester look", nonce="form-1")
    assert say(request_, reviewer, "@requester look", nonce="form-1").pk == first.pk
    assert AuditEntry.objects.filter(action="approval.commented").count() == 1
    assert Notification.objects.filter(kind="approval.mentioned").count() == 1
    # Somebody else's form may have the same one, and no nonce means no promise.
    assert say(request_, requester, "@requester look", nonce="form-1").pk != first.pk
    assert say(request_, reviewer, "a").pk != say(request_, reviewer, "a").pk


def test_another_text_under_a_used_nonce_is_not_lost_silently(request_, reviewer):
    say(request_, reviewer, "one", nonce="form-1")
    refused("nonce_reused", say, request_, reviewer, "two", nonce="form-1")


@pytest.mark.django_db(transaction=True)
def test_the_same_form_sent_six_times_at_once_is_one_comment(request_, reviewer):
    found: list[Any] = []

    def run() -> None:
        with closing(connection):
            found.append(say(request_, reviewer, "@requester look", nonce="form-1").pk)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(found) == {Comment.objects.get().pk}
    assert Notification.objects.filter(kind="approval.mentioned").count() == 1


def test_who_is_mentioned_is_told_once_and_as_mentioned_only(request_, requester, reviewer):
    person("ana", "first")
    person("ben", "first")
    comment = say(request_, reviewer, "@ana, @ben. and @requester: look (@ana) mail@ben @reviewer")
    mentioned = set(comment.mentions.values_list("username", flat=True))
    assert mentioned == {"ana", "ben", "requester", "reviewer"}
    assert told("approval.mentioned") == {"ana", "ben", "requester"}
    assert told("approval.commented") == set()


def test_a_mention_tells_nothing_to_who_may_not_see_the_request(request_, reviewer):
    person("outsider")
    person("gone", "first", is_active=False)
    comment = say(request_, reviewer, "@outsider @gone @nobody x@first @ @@ @" + "x" * 500)
    assert list(comment.mentions.all()) == []
    assert told("approval.mentioned") == set()


def test_names_with_dots_and_signs_are_found(request_, reviewer):
    person("ana.maria", "first")
    person("b+c@d.example", "first")
    comment = say(request_, reviewer, "ask @ana.maria. Or @b+c@d.example!")
    assert comment.mentions.count() == 2


def test_no_more_than_twenty_are_told(request_, reviewer):
    for number in range(25):
        person(f"p{number}", "first")
    comment = say(request_, reviewer, " ".join(f"@p{number}" for number in range(25)))
    assert comment.mentions.count() == 20


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "comment_empty"),
        (" \n\t ", "comment_empty"),
        ("a\x00b", "invalid_text"),
        ("\ud800", "invalid_text"),
        ("x" * 5001, "comment_too_long"),
        ("x" * 1024 * 1024, "comment_too_long"),
        (None, "invalid_text"),
    ],
    ids=["nothing", "blanks", "nul", "surrogate", "long", "megabyte", "none"],
)
def test_hostile_text_is_refused_audited_and_leaves_nothing(request_, reviewer, text, code):
    refused(code, say, request_, reviewer, text)
    assert not Comment.objects.exists()


@pytest.mark.parametrize("nonce", ["x" * 65, "\x00", None], ids=["long", "nul", "none"])
def test_a_nonce_that_cannot_be_kept_is_refused(request_, reviewer, nonce):
    refused("nonce_invalid", say, request_, reviewer, nonce=nonce)


def test_who_may_not_see_the_request_cannot_comment_on_it(request_):
    refused("not_found", say, request_, person("outsider"))
    refused("not_found", say, request_, person("other"), request_id="nonsense")


def test_who_only_reads_says_nothing_but_about_their_own(request_):
    reader = auditor()
    refused("permission_denied", say, request_, reader)
    assert say(opened(reader), reader).pk


def test_a_flood_is_stopped_and_stands_in_the_trail_once(request_, requester, reviewer):
    limit = throttle.Limit("comment", str(reviewer.pk), comments.MOST_AT_ONCE, 300)
    for _ in range(limit.amount - 1):
        throttle.consume(limit)
    last = say(request_, reviewer, nonce="last")
    for _ in range(3):
        with pytest.raises(TooMany) as caught:
            say(request_, reviewer, "one more")
        assert (caught.value.code, caught.value.status) == ("too_many_comments", 429)
        assert 0 < caught.value.retry_after <= 300
    assert Comment.objects.get() == last
    assert AuditEntry.objects.filter(code="too_many_comments").count() == 1
    assert say(request_, requester).pk


def test_a_form_that_is_sent_again_counts_once(request_, reviewer):
    limit = throttle.Limit("comment", str(reviewer.pk), comments.MOST_AT_ONCE, 300)
    for _ in range(limit.amount - 2):
        throttle.consume(limit)
    for _ in range(3):
        say(request_, reviewer, nonce="form-1")
    assert say(request_, reviewer).pk


def test_a_settled_request_can_be_commented_on(request_, requester, reviewer):
    decide(request_, reviewer)
    assert say(request_, requester, "Thank you.").pk


def test_comments_stay_as_they_were_written(request_, reviewer):
    comment = say(request_, reviewer)
    with pytest.raises(DatabaseError), transaction.atomic():
        Comment.objects.filter(pk=comment.pk).update(text="something else")
    with pytest.raises(DatabaseError), transaction.atomic():
        Comment.objects.filter(pk=comment.pk)._raw_delete("default")
