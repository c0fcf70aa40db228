"""Two people change a rulebook: one writes the next version, another signs it."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_decide
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.pix.models import ClaimRulebook
from apps.pix.rulebooks.documents import DICT, SOURCE
from apps.pix.services.rulebooks import rulebook_active, rulebook_change, rulebook_withdraw
from tests.pix.claims.stage import waiting_claim

pytestmark = pytest.mark.django_db(transaction=True)

DAYS_10 = 864_000


def longer(seconds: int = DAYS_10) -> dict[str, Any]:
    """The product's own rulebook with another period for the donor."""
    document = deepcopy(SOURCE)
    document["types"]["PORTABILITY"]["seconds"]["resolution"] = seconds
    return document


def written(people: dict[str, User], **changes: Any) -> ClaimRulebook:
    body: dict[str, Any] = {
        "code": "source",
        "document": longer(),
        "reason": "The other side needs ten days.",
        "by": people["officer"],
        "via": "page",
        "as_of": timezone.now(),
    }
    return rulebook_change(**body | changes)[0]


def request_of(row: ClaimRulebook) -> ApprovalRequest:
    return ApprovalRequest.objects.get(subject_id=str(row.pk))


def sign(row: ClaimRulebook, by: User, verdict: str = "approve") -> None:
    request = request_of(row)
    request_decide(
        request_id=request.pk,
        by=by,
        verdict=verdict,
        reason="Read and agreed.",
        payload_hash=current_payload(request).hash,
        via="page",
        as_of=timezone.now(),
    )
    row.refresh_from_db()


def test_one_writes_and_another_signs_and_open_claims_keep_their_version(
    people: dict[str, User],
) -> None:
    before = waiting_claim(people)
    row = written(people)
    assert (row.number, row.status) == (2, "awaiting_approval")
    assert rulebook_active("source").number == 1
    with pytest.raises(NotAllowed) as refused:
        sign(row, people["officer"])
    assert refused.value.code == "requester_cannot_sign"
    sign(row, people["officer2"])
    assert row.status == "active"
    first = ClaimRulebook.objects.get(code="source", number=1)
    assert (first.status, bool(first.settled_at)) == ("replaced", True)
    after = waiting_claim(people, key="+5561988881111")
    before.refresh_from_db()
    assert (before.rulebook.number, after.rulebook.number) == (1, 2)
    assert after.opened_at and after.resolution_ends_at
    assert (after.resolution_ends_at - after.opened_at).total_seconds() == DAYS_10
    # The third replaces the second.
    third = written(people, document=longer(DAYS_10 * 2))
    sign(third, people["officer2"])
    row.refresh_from_db()
    assert (third.number, third.status, row.status) == (3, "active", "replaced")
    assert ClaimRulebook.objects.filter(code="source", status="active").count() == 1


@pytest.mark.parametrize("how", ["rejected", "withdrawn"])
def test_what_nobody_signs_changes_nothing_and_the_next_may_be_written(
    people: dict[str, User], how: str
) -> None:
    row = written(people)
    # Nothing waits for a rulebook, so its request has no end: it is signed, rejected or withdrawn.
    assert request_of(row).expires_at is None
    with pytest.raises(Conflict) as waits:
        written(people, by=people["officer2"])
    assert waits.value.code == "rulebook_waits"
    if how == "rejected":
        sign(row, people["officer2"], "reject")
    else:
        with pytest.raises(NotFound):
            rulebook_withdraw(
                rulebook_id=row.pk, by=people["officer2"], via="page", as_of=timezone.now()
            )
        rulebook_withdraw(
            rulebook_id=row.pk, by=people["officer"], via="page", as_of=timezone.now()
        )
    row.refresh_from_db()
    assert row.status == "rejected"
    assert not ApprovalRequest.objects.open().exists()
    assert rulebook_active("source").number == 1
    assert written(people).number == 3
    with pytest.raises(Conflict):
        rulebook_withdraw(
            rulebook_id=row.pk, by=people["officer"], via="page", as_of=timezone.now()
        )


def _broken(path: str, value: Any) -> dict[str, Any]:
    document: Any = longer()
    at, *names = path.split(".")
    inner = document
    for name in [at, *names][:-1]:
        inner = inner[int(name) if name.isdecimal() else name]
    inner[path.rpartition(".")[2]] = value
    return dict(document)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (None, ""),
        ([], ""),
        ("{}", ""),
        ({}, None),
        (DICT, "code"),
        ({**SOURCE, "more": 1}, None),
        (_broken("types.PORTABILITY.seconds.resolution", -1), "types"),
        (_broken("types.PORTABILITY.seconds.resolution", "\0"), "types"),
        (_broken("rows.0.event", "explode"), "rows"),
        (_broken("rows.1.actors", ["NOBODY"]), "rows"),
        (_broken("rows.1.to", 7), "rows"),
    ],
    ids=range(11),
)
def test_an_invalid_document_is_refused_at_its_place(
    people: dict[str, User], document: Any, path: str | None
) -> None:
    with pytest.raises(Invalid) as refused:
        written(people, document=document)
    assert refused.value.code == "rulebook_invalid"
    said = str(refused.value.extra["path"])
    assert path is None or (said.startswith(path) and bool(said) == bool(path))
    assert not ClaimRulebook.objects.filter(number=2).exists()


@pytest.mark.parametrize(
    ("by", "changes", "code"),
    [
        ("auditor", {}, "permission_denied"),
        ("requester", {}, "permission_denied"),
        ("officer", {"code": "none"}, "rulebook_unknown"),
        ("officer", {"code": "\0"}, "rulebook_unknown"),
        ("officer", {"code": 7}, "rulebook_unknown"),
        ("officer", {"code": "x" * 1_000_000}, "rulebook_unknown"),
        ("officer", {"reason": "\0"}, "reason_invalid"),
        ("officer", {"reason": "x" * 1_000_000}, "reason_invalid"),
        ("officer", {"document": deepcopy(SOURCE)}, "rulebook_same"),
    ],
    ids=range(9),
)
def test_a_change_is_refused_with_a_code_and_told_in_the_trail(
    people: dict[str, User], by: str, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(DomainError) as refused:
        written(people, by=people[by], **changes)
    assert refused.value.code == code
    trail = AuditEntry.objects.get(action="claim_rulebook.change")
    assert (trail.outcome, trail.code) == ("refused", code)


def test_of_two_who_write_at_once_one_waits_for_its_signature(
    people: dict[str, User], side_by_side: Callable[..., list[Any]]
) -> None:
    rulebook_active("source")

    def write(number: int) -> ClaimRulebook:
        who = people["officer" if number % 2 else "officer2"]
        return written(people, by=who, document=longer(DAYS_10 + number))

    done = side_by_side(write, 6)
    assert sum(isinstance(one, ClaimRulebook) for one in done) == 1
    codes = {one.code for one in done if isinstance(one, DomainError)}
    assert codes == {"rulebook_waits"}
    assert ApprovalRequest.objects.open().count() == 1


def test_the_same_form_sent_twice_writes_one_version(people: dict[str, User]) -> None:
    first = written(people, idempotency_key="k")
    assert written(people, idempotency_key="k") == first
    with pytest.raises(Conflict) as reused:
        written(people, idempotency_key="k", document=longer(1))
    assert reused.value.code == "idempotency_key_reused"


# --- pages ----------------------------------------------------------------------------------------
def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_version_is_written_read_and_taken_back_on_pages(people: dict[str, User]) -> None:
    client = browser(people["officer"])
    assert "source v1" in client.get(reverse("rulebooks")).content.decode()
    form = client.get(f"{reverse('rulebook_new')}?code=dict").content.decode()
    assert '<option value="dict" selected>' in form and "WAITING_RESOLUTION" in form
    assert client.get(f"{reverse('rulebook_new')}?code=none").status_code == 404
    sent = {"code": "source", "document": "{", "reason": "Why not.", "idempotency_key": "k"}
    wrong = client.post(reverse("rulebook_new"), sent)
    assert (wrong.status_code, "It is not JSON" in wrong.content.decode()) == (422, True)
    assert "Why not." in wrong.content.decode()
    made: Any = client.post(reverse("rulebook_new"), {**sent, "document": json.dumps(longer())})
    row = ClaimRulebook.objects.get(number=2)
    assert made.url == reverse("rulebook", args=[row.pk])
    page = client.get(made.url).content.decode()
    for said in ("What is different from source v1", "10 days", "Take it back", "Portability"):
        assert said in page, said
    assert "Take it back" not in browser(people["officer2"]).get(made.url).content.decode()
    assert client.get(reverse("rulebook_live", args=[row.pk])).status_code == 200
    client.post(made.url, {"reason": ""})
    row.refresh_from_db()
    assert row.status == "rejected"
    active = rulebook_active("source")
    page = client.get(reverse("rulebook", args=[active.pk])).content.decode()
    assert "Write the next version" in page
