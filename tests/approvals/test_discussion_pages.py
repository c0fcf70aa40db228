"""Files and comments on the page of a request, by forms that need no scripts."""

from html import unescape
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.accounts import throttle
from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest, Comment, Evidence, EvidenceContent
from apps.approvals.views import discussion
from tests.approvals.test_evidence import add
from tests.approvals.world import auditor, decide, opened, person, rule
from tests.common.test_uploads import PDF, scanner

pytestmark = pytest.mark.django_db
ATTACK = '<img src=x onerror="alert(1)">\n</textarea><script>alert(2)</script>'


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester", first_name="Amaka", last_name="Eze")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


@pytest.fixture
def request_(requester: User) -> ApprovalRequest:
    return opened(requester)


def browser(user: User, **options: object) -> Client:
    client = Client(**options)  # type: ignore[arg-type]
    client.force_login(user)
    return client


def text(response: object) -> str:
    return unescape(response.content.decode())  # type: ignore[attr-defined]


def file(body: bytes = PDF, name: str = "invoice.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, body, content_type="text/html")


def address(request: ApprovalRequest, *rest: object) -> str:
    return "/".join(["/requests", str(request.pk), *map(str, rest), ""])


def test_a_file_is_brought_shown_and_fetched_as_a_download(request_, reviewer):
    client = browser(reviewer)
    sent = {"file": file(name="../invoice.html"), "note": "What we paid"}
    answer = client.post(address(request_, "evidence"), sent, follow=True)
    kept = Evidence.objects.get()
    assert answer.redirect_chain == [(f"{address(request_)}#evidence-{kept.pk}", 302)]
    page = text(answer)
    assert "invoice_html.pdf is beside the request now." in page
    assert "What we paid" in page
    assert f'title="SHA-256: {kept.sha256}"' in page
    download = client.get(address(request_, "evidence", kept.pk))
    assert download.content == PDF
    assert download["Content-Type"] == "application/pdf"
    assert download["Content-Disposition"] == 'attachment; filename="invoice_html.pdf"'
    assert download["X-Content-Type-Options"] == "nosniff"
    assert download["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"", "empty_file", 422),
        (b"<html><script>alert(1)</script></html>", "type_not_allowed", 422),
        (PDF + bytes(11 * 1024 * 1024), "too_large", 413),
    ],
    ids=["empty", "html", "large"],
)
def test_a_refused_file_is_told_beside_the_form_and_the_note_is_kept(
    request_, reviewer, body, code, status
):
    sent = {"file": file(body), "note": "My note"}
    answer = browser(reviewer).post(address(request_, "evidence"), sent)
    assert answer.status_code == status
    assert f'data-code="{code}"' in text(answer)
    assert 'value="My note"' in text(answer)
    assert not Evidence.objects.exists()


def test_no_file_at_all_is_told_too(request_, reviewer):
    answer = browser(reviewer).post(address(request_, "evidence"), {"note": ""})
    assert answer.status_code == 422
    assert "No file was chosen." in text(answer)


def test_while_the_scanner_is_away_the_page_says_that_nothing_was_kept(request_, reviewer):
    with scanner("unreachable"):
        answer = browser(reviewer).post(address(request_, "evidence"), {"file": file()})
    assert answer.status_code == 503
    assert "Files cannot be checked for harm now" in text(answer)


def test_a_settled_request_shows_its_files_and_takes_no_more(request_, requester, reviewer):
    kept = add(request_, requester)
    decide(request_, reviewer)
    client = browser(requester)
    page = text(client.get(address(request_)))
    assert address(request_, "evidence", kept.pk) in page
    assert 'type="file"' not in page
    late = client.post(address(request_, "evidence"), {"file": file(b"late")})
    assert (late.status_code, Evidence.objects.count()) == (409, 1)
    assert 'data-code="request_closed"' in text(late)


def test_who_only_reads_has_no_forms_and_is_refused(request_, requester):
    add(request_, requester)
    client = browser(auditor())
    page = text(client.get(address(request_)))
    assert 'id="comment-text"' not in page
    assert 'type="file"' not in page
    for rest, sent in (("comments", {"text": "x"}), ("evidence", {"file": file(b"late")})):
        answer = client.post(address(request_, rest), sent)
        assert answer.status_code == 403
        assert 'data-code="permission_denied"' in text(answer)
    assert "Save this filter" not in text(client.get("/inbox/", {"least": "5"}))
    assert "Save this filter" in text(browser(requester).get("/inbox/", {"least": "5"}))


def test_too_many_comments_say_when_it_goes_on(request_, reviewer, monkeypatch):
    refused = throttle.Refused(throttle.Limit("comment", "1", 30, 300), 42, first=False)
    monkeypatch.setattr(throttle, "consume", lambda *limits: refused)
    answer = browser(reviewer).post(address(request_, "comments"), {"text": "Hello?"})
    assert (answer.status_code, answer["Retry-After"]) == (429, "42")
    assert 'data-code="too_many_comments"' in text(answer)
    assert "Hello?" in text(answer)


def test_another_persons_request_has_no_files_and_no_comments_for_them(request_, requester):
    kept, outsider = add(request_, requester), browser(person("outsider"))
    assert outsider.get(address(request_, "evidence", kept.pk)).status_code == 404
    assert outsider.post(address(request_, "evidence"), {"file": file()}).status_code == 404
    assert outsider.post(address(request_, "comments"), {"text": "hi"}).status_code == 404
    assert outsider.get(address(request_, "evidence", kept.pk, "erase")).status_code == 404
    # Nor does a request of one's own open the door to another one's file.
    own = opened(User.objects.get(username="outsider"))
    assert outsider.get(address(own, "evidence", kept.pk)).status_code == 404
    assert outsider.get(address(own, "evidence", uuid4())).status_code == 404


def test_without_a_session_or_a_token_nothing_happens(request_, requester):
    kept = add(request_, requester)
    nobody = Client()
    for rest in (("evidence",), ("comments",), ("evidence", kept.pk, "erase")):
        answer = nobody.post(address(request_, *rest), {"text": "hi", "file": file(b"other")})
        assert answer.status_code == 302, rest
        assert answer["Location"].startswith(reverse("login"))
    assert nobody.get(address(request_, "evidence", kept.pk)).status_code == 302
    careless = browser(requester, enforce_csrf_checks=True)
    for rest in (("evidence",), ("comments",), ("evidence", kept.pk, "erase")):
        answer = careless.post(address(request_, *rest), {"text": "hi", "file": file(b"other")})
        assert answer.status_code == 403, rest
    assert (Evidence.objects.count(), Comment.objects.count()) == (1, 0)


def test_who_signs_in_again_lands_on_the_request_and_not_on_an_error(request_, reviewer):
    client = browser(reviewer)
    for name in ("comments", "evidence"):
        assert client.get(address(request_, name))["Location"] == address(request_)


def test_erasing_asks_for_a_reason_and_says_what_stays(request_, requester, reviewer):
    kept = add(request_, requester)
    place = address(request_, "evidence", kept.pk, "erase")
    assert browser(reviewer).get(place).status_code == 404
    assert browser(reviewer).post(place, {"reason": "because"}).status_code == 403
    assert "Erase" not in text(browser(reviewer).get(address(request_)))
    boss = browser(person("boss", is_superuser=True))
    assert place in text(boss.get(address(request_)))
    assert "The record keeps the name" in text(boss.get(place))
    blank = boss.post(place, {"reason": " "})
    assert (blank.status_code, EvidenceContent.objects.count()) == (422, 1)
    page = text(boss.post(place, {"reason": "It names a patient."}, follow=True))
    assert "It names a patient." in page
    assert not EvidenceContent.objects.exists()
    assert boss.get(address(request_, "evidence", kept.pk)).status_code == 404
    assert kept.sha256 in page


def test_a_comment_is_shown_as_text_with_its_lines_and_mentions(request_, requester, reviewer):
    client = browser(reviewer)
    sent = {"text": f"@requester look:\n{ATTACK} @nobody", "nonce": "n1"}
    answer = client.post(address(request_, "comments"), sent, follow=True)
    comment = Comment.objects.get()
    assert answer.redirect_chain == [(f"{address(request_)}#comment-{comment.pk}", 302)]
    raw = answer.content.decode()
    assert "<img src=x" not in raw
    assert "<script>alert" not in raw
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\n&lt;/textarea&gt;" in raw
    assert '<strong class="mention" title="Amaka Eze">@requester</strong>' in raw
    assert "@nobody" in raw
    # The form sent again: one comment.
    client.post(address(request_, "comments"), sent)
    assert Comment.objects.count() == 1


@pytest.mark.parametrize(
    ("written", "code"),
    [("  ", "comment_empty"), ("a\x00b", "invalid_text"), ("y" * 5001, "comment_too_long")],
    ids=["blank", "nul", "long"],
)
def test_a_refused_comment_is_given_back_as_it_was_written(request_, reviewer, written, code):
    answer = browser(reviewer).post(address(request_, "comments"), {"text": written})
    assert answer.status_code == 422
    assert f'data-code="{code}"' in text(answer)
    assert f"{written}</textarea>" in text(answer)
    assert not Comment.objects.exists()


def test_a_megabyte_in_the_form_is_refused_without_a_failure(request_, reviewer):
    sent = {"text": ATTACK * 15_000, "nonce": "\x00" * 5000}
    answer = browser(reviewer).post(address(request_, "comments"), sent)
    assert answer.status_code == 422
    assert "<script>alert" not in answer.content.decode()


def test_another_text_from_the_same_form_is_given_back_with_a_form_of_its_own(request_, reviewer):
    client = browser(reviewer)
    client.post(address(request_, "comments"), {"text": "one", "nonce": "n1"})
    answer = client.post(address(request_, "comments"), {"text": "two", "nonce": "n1"})
    assert answer.status_code == 409
    assert "two</textarea>" in text(answer)
    assert 'value="n1"' not in text(answer)


def test_the_live_page_brings_what_others_added(request_, requester, reviewer):
    add(request_, requester, name="from the field.pdf")
    fragment = text(browser(reviewer).get(address(request_, "live")))
    assert "from the field.pdf" in fragment
    assert 'id="request-comments" data-merge="replace"' in fragment


def test_many_comments_show_the_newest(request_, reviewer, monkeypatch):
    monkeypatch.setattr(discussion, "MOST_COMMENTS", 3)
    for number in range(5):
        Comment.objects.create(
            request=request_, author=reviewer, nonce=str(number), text=f"remark {number}"
        )
    page = text(browser(reviewer).get(address(request_)))
    assert "Only the newest 3 are shown." in page
    assert [f"remark {n}" in page for n in range(5)] == [False, False, True, True, True]


def test_comments_and_files_cost_no_query_each(
    request_, requester, reviewer, django_assert_max_num_queries
):
    def fill(start: int) -> None:
        for number in range(start, start + 5):
            add(request_, requester, body=b"note %d" % number)
            one = Comment.objects.create(
                request=request_, author=reviewer, nonce=str(number), text="@reviewer"
            )
            one.mentions.add(reviewer)

    fill(0)
    client = browser(reviewer)
    with django_assert_max_num_queries(200) as few:
        client.get(address(request_))
    fill(5)
    with django_assert_max_num_queries(len(few)):
        client.get(address(request_))


def test_who_looks_is_told_to_the_others_in_words(request_, reviewer, monkeypatch):
    people = [person(f"p{n}", "first", first_name=f"Ada{n}", last_name="Obi") for n in range(5)]
    client, looking = browser(reviewer), [reviewer.pk]
    monkeypatch.setattr(discussion, "present", lambda topic: looking)
    assert "looking at this now" not in text(client.get(address(request_)))
    looking.append(people[0].pk)
    assert "Ada0 Obi is looking at this now." in text(client.get(address(request_)))
    looking.append(people[1].pk)
    assert "Ada0 Obi and Ada1 Obi are looking at this now." in text(client.get(address(request_)))
    looking += [one.pk for one in people[2:]] + [987654321]
    assert "Ada0 Obi, Ada1 Obi, Ada2 Obi and 2 others are looking" in text(
        client.get(address(request_, "live"))
    )
