"""Through every door a signature counts at the tier and under the authority that were shown."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest, BulkDecision, Signature
from apps.approvals.selectors.bulk import bulk_preview
from apps.approvals.services.bulk import BulkChoice
from apps.audit.models import AuditEntry
from tests.approvals.test_api import Api
from tests.approvals.test_bulk import begin, hash_of, outcomes, refused, work
from tests.approvals.test_bulk_doors import form_of, text
from tests.approvals.world import (
    decide,
    delegated,
    edit,
    fresh,
    group,
    opened,
    permit,
    person,
    rule,
)

pytestmark = pytest.mark.django_db

CHANGELIST = "/admin/approvals/approvalrequest/"
REASON = "the papers are in order"


@pytest.fixture
def requester(db: None) -> User:
    rule([{"above": None, "tiers": [{"group": "first"}, {"group": "second"}]}])
    return person("requester")


@pytest.fixture
def both(requester: User) -> User:
    """In the groups of both tiers."""
    return person("both", "first", "second", is_staff=True)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))


# --- each door: what it shows now, and then sends -------------------------------------------------
def by_page(user: User, request: ApprovalRequest, query: str = "") -> Callable[[], Any]:
    client = client_of(user)
    page = client.get(f"/requests/{request.pk}/{query}").content.decode()
    form = page[page.index('id="decide"') :]
    fields = hidden(form[: form.index("</section>")])
    # Where there is a choice, a browser sends the first.
    first = re.search(r'<option value="([^"]+)"', form)
    fields.setdefault("on_behalf_of", first[1] if first else "")
    return lambda: client.post(
        f"/requests/{request.pk}/", {**fields, "verdict": "approve", "reason": REASON}
    )


def by_link(user: User, request: ApprovalRequest) -> Callable[[], Any]:
    return by_page(user, request, "?verdict=approve&from=email")


def by_admin(user: User, request: ApprovalRequest) -> Callable[[], Any]:
    client = client_of(user)
    chosen = {"action": "approve", "_selected_action": [str(request.pk)]}
    fields = hidden(client.post(CHANGELIST, chosen).content.decode())
    return lambda: client.post(CHANGELIST, {**fields, "reason": REASON})


def by_api(user: User, request: ApprovalRequest) -> Callable[[], Any]:
    api = Api(user)
    seen = api.get(f"/{request.pk}").json()
    body = {"verdict": "approve", "reason": REASON, "on_behalf_of": user.username}
    return lambda: api.decide(request, **body, payload_hash=seen["payload_hash"], tier=seen["tier"])


def by_bulk(user: User, request: ApprovalRequest) -> Callable[[], Any]:
    client = client_of(user)
    form = form_of(text(client.post("/inbox/bulk/", {"ids": [request.pk]})))

    def send() -> None:
        client.post("/inbox/bulk/run/", form)
        work(BulkDecision.objects.get())

    return send


def by_bulk_api(user: User, request: ApprovalRequest) -> Callable[[], Any]:
    """The tier is that of the moment in which it was begun, where nobody names one."""
    body = {
        "verdict": "approve",
        "reason": REASON,
        "items": [
            {
                "id": str(request.pk),
                "payload_hash": hash_of(request),
                "on_behalf_of": user.username,
            }
        ],
    }
    answer = Api(user).post("/bulk-decide", body)
    return lambda: work(BulkDecision.objects.get(pk=answer.json()["id"]))


DOORS = {
    "page": by_page,
    "e-mail link": by_link,
    "admin": by_admin,
    "API": by_api,
    "bulk": by_bulk,
    "bulk API": by_bulk_api,
}
each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@each_door
def test_what_was_read_at_one_tier_is_not_signed_at_the_next(door, requester, both):
    request = opened(requester)
    send = door(both, request)
    decide(request, person("quicker", "first"))
    send()
    assert fresh(request).status == "open"
    entry = AuditEntry.objects.get(action="approval.decide", outcome="refused")
    assert (entry.code, entry.body["tier"]) == ("tier_changed", 2)
    BulkDecision.objects.all().delete()
    # Read again, it is signed.
    door(both, fresh(request))()
    assert fresh(request).status == "approved"


@each_door
def test_ones_own_authority_does_not_become_a_delegated_one(door, requester, both):
    boss = person("boss", "first", "second")
    delegated(boss, both)
    request = opened(requester)
    send = door(both, request)
    both.groups.set([group("second")])
    send()
    assert not Signature.objects.exists()
    refusals = AuditEntry.objects.filter(action="approval.decide", outcome="refused")
    assert refusals.get().code == "not_in_group"


def test_the_form_keeps_what_was_typed_and_then_signs_the_tier_that_it_shows(requester, both):
    request = opened(requester)
    send = by_page(both, request)
    decide(request, person("quicker", "first"))
    answer = send()
    page = answer.content.decode()
    assert answer.status_code == 409
    assert 'data-code="tier_changed"' in page and REASON in page
    assert '<input type="hidden" name="tier" value="2">' in page


@pytest.mark.parametrize("tier", [0, -1, 11, "x", 1.5, True])
def test_a_tier_that_is_none_is_refused(requester, both, tier):
    request = opened(requester)
    body = {"verdict": "approve", "reason": REASON, "payload_hash": hash_of(request)}
    assert Api(both).decide(request, **body, tier=tier).status_code == 422 or tier is True
    form = {**body, "tier": "\x00" if tier is True else tier}
    assert client_of(both).post(f"/requests/{request.pk}/", form).status_code == 422
    assert Signature.objects.filter(tier=1).count() == (tier is True)


# --- bulk -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("authority", ["²", "999999999", "", "x", "9" * 30, "-1", "\x00"])
def test_an_authority_that_nobody_has_begins_nothing(requester, both, authority):
    request = opened(requester)
    client = client_of(both)
    form = form_of(text(client.post("/inbox/bulk/", {"ids": [request.pk]})))
    item = f"{request.pk}:{hash_of(request)}:1:{authority}"
    answer = client.post("/inbox/bulk/run/", {**form, "item": [item]})
    assert answer.status_code == 422
    assert 'data-code="authority_invalid"' in unescape(answer.content.decode())
    # Nor one that is chosen among several.
    answer = client.post("/inbox/bulk/run/", {**form, f"authority-{request.pk}": authority or "²"})
    assert answer.status_code == 422
    assert not BulkDecision.objects.exists()


@pytest.mark.parametrize("tier", ["", "²", "0", "11", "x"])
def test_a_bulk_form_that_does_not_say_the_tier_begins_nothing(requester, both, tier):
    request = opened(requester)
    client = client_of(both)
    form = form_of(text(client.post("/inbox/bulk/", {"ids": [request.pk]})))
    item = f"{request.pk}:{hash_of(request)}:{tier}:{both.pk}"
    assert client.post("/inbox/bulk/run/", {**form, "item": [item]}).status_code == 422
    assert not BulkDecision.objects.exists()


def test_a_key_stands_for_the_authorities_that_were_asked_for(requester, both):
    boss = person("boss", "first")
    delegated(boss, both)
    one = opened(requester)
    own, theirs, any_ = ([BulkChoice(one.pk, hash_of(one), under)] for under in (both, boss, None))
    bulk = begin(both, [], items=own, key="k")
    assert begin(both, [], items=own, key="k").pk == bulk.pk
    for other in (theirs, any_):
        refused("key_reused", begin, both, [], items=other, key="k")
    second = begin(both, [], items=any_, key="any")
    work(second)
    # Under whom it was signed in the end does not change what was asked for.
    assert begin(both, [], items=any_, key="any").pk == second.pk
    refused("key_reused", begin, both, [], items=own, key="any")


def test_a_key_stands_for_the_tiers_that_were_named(requester, both):
    one = opened(requester)
    bulk = begin(both, [one], key="k")
    assert bulk.items.get().tier == 1
    decide(one, person("quicker", "first"))
    # The same body again, whatever tier it is at by now.
    assert begin(both, [one], key="k").pk == bulk.pk
    named = [BulkChoice(one.pk, hash_of(one), None, 2)]
    refused("key_reused", begin, both, [], items=named, key="k")
    refused("bad_tier", begin, both, [], items=[BulkChoice(one.pk, "x", None, 0)], key="z")
    work(bulk)
    assert outcomes(bulk) == ["tier_changed"]


# --- how much it asks the database ----------------------------------------------------------------
def queries(call: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


def twenty(delegate: User) -> None:
    for number in range(20):
        boss = person(f"boss{number}", "first" if number % 2 else "second")
        delegated(boss, delegate)


def test_a_preview_asks_the_same_of_a_few_and_of_many(requester):
    deputy = person("deputy", "third")
    twenty(deputy)
    holders = [person("holder1", "first"), person("holder2", "first")]

    def ask(number: int) -> list[ApprovalRequest]:
        made = [opened(requester) for _ in range(number)]
        for request, holder in zip(made, holders, strict=False):
            request.claimed_by = holder
            request.claimed_until = timezone.now() + timedelta(hours=1)
            request.save()
        return made

    few, many = ask(3), ask(12)
    for request in many[2:]:
        request.claimed_by, request.claimed_until = holders[0], many[0].claimed_until
        request.save()

    def preview(requests: list[ApprovalRequest]) -> int:
        user = User.objects.get(pk=deputy.pk)
        ids = [request.pk for request in requests]
        return queries(lambda: bulk_preview(user, ids, as_of=timezone.now()))

    seen = bulk_preview(deputy, [one.pk for one in few + many], as_of=timezone.now())
    assert (len(seen.signable), len(seen.barred)) == (1, 14)
    assert len(seen.signable[0].authorities) == 10
    assert {line.refusal.code for line in seen.barred if line.refusal} == {"not_in_group"}
    assert preview(few) == preview(many) <= 20


def test_twenty_delegations_cost_an_inbox_nothing(requester, both):
    opened(requester)

    def mine() -> int:
        user = User.objects.get(pk=both.pk)
        return queries(lambda: list(ApprovalRequest.objects.mine(user)))

    alone = mine()
    twenty(both)
    assert mine() == alone <= 7
    client = client_of(both)
    # All of it: tabs, counts, rows and the header.
    assert queries(lambda: client.get("/inbox/")) <= 60


def test_who_may_sign_for_whom_agrees_for_one_and_for_many(requester, both):
    """Delegators who have left, may not sign or are barred hand on nothing, however it is asked."""
    gone = person("gone", "first", is_active=False)
    powerless = User.objects.create(username="powerless")
    editor = permit(person("editor", "first"), "edit_approvalrequest")
    good = person("good", "first")
    deputy = person("deputy", "third")
    permit(deputy, "view_approvalrequest", "decide_approvalrequest")
    for boss in (gone, powerless, editor, good, requester):
        delegated(boss, deputy)
    request = edit(opened(requester), editor)
    now = timezone.now()
    assert selectors.authorities(request, deputy, as_of=now) == [good]
    (line,) = bulk_preview(deputy, [request.pk], as_of=now).signable
    assert line.authorities == [good]
    assert ApprovalRequest.objects.mine(deputy, as_of=now).get() == request


# --- the admin ------------------------------------------------------------------------------------
def test_the_admin_claims_and_releases_with_a_reason_and_lists_who_holds_what(requester, both):
    permit(both, "reassign_approvalrequest")
    request = opened(requester)
    client = client_of(both)

    def act(action: str, **more: str) -> str:
        chosen = {"action": action, "_selected_action": [str(request.pk)]}
        fields = hidden(client.post(CHANGELIST, chosen).content.decode())
        return client.post(CHANGELIST, {**fields, **more}).content.decode()

    assert "You hold it until" in act("claim")
    assert fresh(request).claimed_by == both
    page = client.get(CHANGELIST).content.decode()
    assert "field-due_at" in page
    assert re.search(r'field-holder">both<', page)
    act("release")  # a reason is asked for
    assert fresh(request).claimed_by == both
    assert "Nobody holds it now." in act("release", reason="They are away.")
    entry = AuditEntry.objects.get(action="approval.released")
    assert (entry.via, entry.body["reason"]) == ("admin", "They are away.")
    assert services.claim_release(
        request_id=request.pk, by=both, via="api", as_of=timezone.now(), reason="again"
    )
