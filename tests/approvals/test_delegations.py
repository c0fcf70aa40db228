from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest, Delegation, Signature
from apps.approvals.services.delegations import MOST_HELD
from apps.audit.models import AuditEntry
from apps.notifications.models import Notification
from tests.approvals.test_api import Api
from tests.approvals.world import (
    KIND,
    decide,
    delegated,
    edit,
    fresh,
    opened,
    permit,
    person,
    refusal,
    refused,
    rule,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def requester(db):
    rule()
    return person("requester")


@pytest.fixture
def absent(requester):
    """In the group that signs, and away."""
    return person("absent", "first", first_name="Ngozi", last_name="Okafor")


@pytest.fixture
def delegate(requester):
    """Signs requests, but not those of the group `first`."""
    return person("delegate", "second")


def give(delegator, delegate, /, **changes):
    arguments = {
        "delegator": delegator,
        "delegate": delegate,
        "kinds": [],
        "most": None,
        "currency": "",
        "starts_at": None,
        "ends_at": timezone.now() + timedelta(days=7),
        "reason": "on leave",
        "by": delegator,
        "via": "api",
        "as_of": timezone.now(),
        **changes,
    }
    return services.delegation_give(**arguments)


# --- signing ------------------------------------------------------------------------------------
def test_a_delegate_signs_and_both_names_are_kept(requester, absent, delegate):
    given = delegated(absent, delegate)
    request = opened(requester)
    assert selectors.authorities(request, delegate) == [absent]
    assert selectors.can_sign(request, delegate) == ""
    assert ApprovalRequest.objects.mine(delegate).get() == request
    assert decide(request, delegate, on_behalf_of=absent).status == "approved"
    signature = Signature.objects.get()
    assert (signature.actor, signature.authority, signature.delegation) == (delegate, absent, given)
    entry = AuditEntry.objects.get(action="approval.approved")
    assert entry.actor_id == delegate.audit_id
    assert (entry.body["authority"], entry.body["delegation"]) == (absent.audit_id, given.pk)


def test_without_a_word_the_only_authority_that_can_sign_is_taken(requester, absent, delegate):
    delegated(absent, delegate)
    decide(opened(requester), delegate)
    assert Signature.objects.get().authority == absent


def test_ones_own_authority_goes_first(requester, absent):
    both = person("both", "first")
    delegated(absent, both)
    request = opened(requester)
    assert selectors.authorities(request, both) == [both, absent]
    decide(request, both)
    assert Signature.objects.get().authority == both


def test_among_several_authorities_nobody_chooses_for_the_delegate(requester, absent, delegate):
    delegated(absent, delegate)
    delegated(person("absent2", "first"), delegate)
    request = opened(requester)
    assert len(selectors.authorities(request, delegate)) == 2
    assert refusal(request, delegate).code == "not_in_group"
    decide(request, delegate, on_behalf_of="absent2")
    assert Signature.objects.get().authority.username == "absent2"


def test_an_authority_counts_once_whoever_signs_for_it(requester):
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 3}]}])
    absent, delegate, other = (person(name, "first") for name in ("absent", "delegate", "other"))
    delegated(absent, delegate)
    delegated(absent, other)
    request = opened(requester)
    decide(request, delegate, on_behalf_of=absent)
    assert selectors.current_tier(fresh(request)).signed == 1
    # Not the delegator themselves, not another delegate of theirs, not the delegate once more.
    assert refusal(request, absent).code == "already_signed"
    assert refusal(request, other, on_behalf_of=absent).code == "already_signed"
    assert refusal(request, delegate).code == "already_signed"
    decide(request, other)
    assert selectors.current_tier(fresh(request)).signed == 2


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"kinds": [KIND]}, True),
        ({"kinds": ["intervention"]}, False),
        ({"most": Decimal("2000.00"), "currency": "NGN"}, True),
        ({"most": Decimal("1999.99"), "currency": "NGN"}, False),
        ({"most": Decimal("2000.00"), "currency": "BRL"}, False),
        ({"starts_at": timezone.now() + timedelta(days=1)}, False),
        ({"ends_at": timezone.now() - timedelta(seconds=1)}, False),
        ({"revoked_at": timezone.now()}, False),
    ],
)
def test_it_covers_what_it_was_given_for(requester, absent, delegate, changes, covered):
    delegated(absent, delegate, **changes)
    request = opened(requester)
    assert list(ApprovalRequest.objects.mine(delegate)) == ([request] if covered else [])
    assert ApprovalRequest.objects.mine_counted(delegate, most=9) == covered
    if covered:
        assert decide(request, delegate, on_behalf_of=absent).status == "approved"
    else:
        assert refusal(request, delegate, on_behalf_of=absent).code == "no_delegation"
        assert refusal(request, delegate).code == "not_in_group"


def test_with_a_limit_a_request_without_an_amount_is_outside(requester, absent, delegate):
    rule([{"above": None, "tiers": [{"group": "first"}]}])
    delegated(absent, delegate, most=Decimal("9999.00"), currency="NGN")
    request = opened(requester)
    ApprovalRequest.objects.filter(pk=request.pk).update(amount=None)
    assert refusal(request, delegate, on_behalf_of=absent).code == "no_delegation"
    assert not ApprovalRequest.objects.mine(delegate).exists()


def test_it_is_never_passed_on(requester, absent, delegate):
    third = person("third", "second")
    delegated(absent, delegate)
    delegated(delegate, third)
    request = opened(requester)
    assert refusal(request, third, on_behalf_of=absent).code == "no_delegation"
    assert refusal(request, third, on_behalf_of=delegate).code == "not_in_group"
    assert refusal(request, third).code == "not_in_group"


def test_whoever_is_out_is_out_through_others_as_well(requester, absent, delegate):
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 2}]}])
    asked = person("asked", "first")
    editor = permit(person("editor", "first"), "edit_approvalrequest")
    request = edit(opened(asked), editor)
    signer = person("signer", "first")
    decide(request, signer)
    for out, code in ((asked, "requester"), (editor, "editor"), (signer, "already")):
        delegated(out, delegate)
        delegated(absent, out)
        # For somebody who is out, and by somebody who is out.
        assert refusal(request, delegate, on_behalf_of=out).code.startswith(code)
        assert refusal(request, out, on_behalf_of=absent).code.startswith(code)
        assert request not in ApprovalRequest.objects.mine(out)
    assert refusal(request, delegate).code == "not_in_group"
    assert not ApprovalRequest.objects.mine(delegate).exists()


def test_a_delegate_of_the_requester_signs_under_their_own_authority(absent):
    asked = person("asked", "first")
    delegated(asked, absent)
    assert decide(opened(asked), absent).status == "approved"


@pytest.mark.parametrize("lost", ["group", "permission", "account"])
def test_what_the_delegator_lost_the_delegate_has_lost(requester, absent, delegate, lost):
    delegated(absent, delegate)
    request = opened(requester)
    if lost == "group":
        absent.groups.clear()
    elif lost == "permission":
        absent.groups.get().permissions.clear()
    else:
        absent.is_active = False
        absent.save()
    assert not ApprovalRequest.objects.mine(delegate).exists()
    assert selectors.authorities(request, delegate) == []
    assert refusal(request, delegate, on_behalf_of="absent").code == "authority_invalid"


def test_a_delegate_without_a_role_signs_nothing(requester, absent):
    visitor = permit(person("visitor"), "view_approvalrequest")
    delegated(absent, visitor)
    request = opened(requester)
    assert refusal(request, visitor, on_behalf_of=absent).code == "permission_denied"
    assert refusal(request, visitor).code == "permission_denied"


def test_on_behalf_of_oneself_is_ones_own_authority(requester, absent):
    decide(opened(requester), absent, on_behalf_of=absent)
    assert Signature.objects.get().delegation is None


@pytest.mark.parametrize("name", ["nobody", "a\x00b", "\ud800", "x" * 500])
def test_an_authority_that_nobody_is_is_refused_and_audited(requester, absent, name):
    error = refusal(opened(requester), absent, on_behalf_of=name)
    assert (error.status, error.code) == (422, "authority_invalid")


def test_the_database_refuses_a_signature_under_a_delegation_that_does_not_cover_it(
    requester, absent, delegate
):
    request = opened(requester)
    other = person("other", "second")
    wrong = [
        delegated(absent, delegate, revoked_at=timezone.now()),
        delegated(absent, delegate, starts_at=timezone.now() + timedelta(hours=1)),
        delegated(absent, other),
        delegated(other, delegate),
        None,
    ]
    for delegation in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            Signature.objects.create(
                request=request,
                payload=selectors.current_payload(request),
                tier=1,
                actor=delegate,
                authority=absent,
                delegation=delegation,
                verdict="approve",
                via="sql",
            )


# --- giving and ending --------------------------------------------------------------------------
def test_it_is_given_once_however_often_it_is_sent_and_the_delegate_is_told(absent, delegate):
    ends_at = timezone.now() + timedelta(days=3)
    first = give(absent, delegate, ends_at=ends_at)
    assert give(absent, delegate, ends_at=ends_at) == first
    assert give(absent, delegate, ends_at=ends_at, kinds=[KIND]) != first
    assert AuditEntry.objects.filter(action="delegation.given").count() == 2
    told = Notification.objects.filter(
        recipient=delegate, kind="delegation.given", channel="in_app"
    )
    assert told.count() == 2


def test_it_begins_now_at_the_earliest(absent, delegate):
    given = give(absent, delegate, starts_at=timezone.now() - timedelta(days=30))
    assert given.starts_at >= given.created_at - timedelta(seconds=5)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"delegate": "nobody"}, "delegate_invalid"),
        ({"delegate": "absent"}, "delegate_invalid"),
        ({"delegate": "visitor"}, "delegate_invalid"),
        ({"delegate": "\x00"}, "delegate_invalid"),
        ({"kinds": ["nonsense"]}, "unknown_kind"),
        ({"kinds": [None]}, "unknown_kind"),
        ({"most": Decimal("-1")}, "amount_invalid"),
        ({"most": Decimal("NaN"), "currency": "NGN"}, "amount_invalid"),
        ({"most": Decimal("0.001"), "currency": "NGN"}, "amount_invalid"),
        ({"most": Decimal("10")}, "currency_invalid"),
        ({"most": Decimal("10"), "currency": "ngn"}, "currency_invalid"),
        ({"ends_at": timezone.now() - timedelta(days=1)}, "period_invalid"),
        ({"ends_at": timezone.now() + timedelta(days=367)}, "period_invalid"),
        ({"ends_at": datetime.max.replace(tzinfo=UTC)}, "period_invalid"),
        ({"ends_at": datetime(2030, 1, 1)}, "period_invalid"),
        ({"reason": "x" * 2001}, "reason_too_long"),
        ({"reason": "\x00"}, "invalid_text"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_audited(absent, delegate, changes, code):
    person("visitor")
    error = refused(lambda: give(absent, delegate, **changes), action="delegation.give", by=absent)
    assert (error.status, error.code) == (422, code)
    assert not Delegation.objects.exists()


def test_nobody_gives_what_is_not_theirs(absent, delegate):
    root = person("root", is_superuser=True)
    for by, delegator in ((root, absent), (delegate, absent), (person("visitor"), None)):
        error = refused(
            lambda by=by, of=delegator or by: give(of, delegate, by=by),
            action="delegation.give",
            by=by,
        )
        assert error.code == "permission_denied"


def test_nobody_acts_for_a_crowd(absent, delegate):
    for n in range(MOST_HELD):
        delegated(person(f"p{n}", "first"), delegate)
    error = refused(lambda: give(absent, delegate), action="delegation.give", by=absent)
    assert error.code == "too_many_delegations"


def test_it_is_ended_by_either_side_and_ending_it_again_changes_nothing(absent, delegate):
    for by in (absent, delegate):
        given = delegated(absent, by if by != absent else delegate)
        ended = services.delegation_revoke(
            delegation_id=given.pk, by=by, via="api", as_of=timezone.now()
        )
        again = services.delegation_revoke(
            delegation_id=given.pk, by=absent, via="api", as_of=timezone.now()
        )
        assert (again.revoked_at, again.revoked_by) == (ended.revoked_at, by)
    assert AuditEntry.objects.filter(action="delegation.revoked").count() == 2


@pytest.mark.parametrize("which", ["theirs", 0, -1, 2**70, "nonsense", None])
def test_a_strangers_delegation_does_not_exist(absent, delegate, which):
    given, stranger = delegated(absent, delegate), person("stranger", "first")
    error = refused(
        lambda: services.delegation_revoke(
            delegation_id=given.pk if which == "theirs" else which,
            by=stranger,
            via="api",
            as_of=timezone.now(),
        ),
        action="delegation.revoke",
        by=stranger,
    )
    assert error.code == "not_found"
    assert Delegation.objects.get().revoked_at is None


# --- doors --------------------------------------------------------------------------------------
def test_the_api_gives_lists_and_ends(absent, delegate):
    api = Api(absent)
    body = {
        "username": "delegate",
        "most": "5000.00",
        "currency": "NGN",
        "ends_at": (timezone.now() + timedelta(days=2)).isoformat(),
    }
    made = api.post("/delegations", body)
    assert made.status_code == 201, made.content
    line = made.json()
    assert (line["delegate"]["username"], line["most"], line["valid"]) == (
        "delegate",
        "5000.00",
        True,
    )
    assert [item["id"] for item in Api(delegate).get("/delegations").json()["items"]] == [
        line["id"]
    ]
    assert Api(person("stranger", "first")).get("/delegations").json()["items"] == []
    ended = Api(delegate).post(f"/delegations/{line['id']}/revoke", {})
    assert (ended.status_code, ended.json()["valid"]) == (200, False)
    assert Api(absent, "approvals:decide").post("/delegations", body).status_code == 403


def test_the_page_gives_lists_and_ends(absent, delegate):
    client = Client()
    client.force_login(absent)
    assert "Nobody signs for you." in client.get("/delegations/").content.decode()
    ends_at = (timezone.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    form = {"delegate": "delegate", "ends_at": ends_at, "most": "5000", "currency": "NGN"}
    assert client.post("/delegations/", {**form, "currency": ""}).status_code == 422
    assert client.post("/delegations/", {**form, "delegate": "nobody"}).status_code == 422
    assert client.post("/delegations/", form).status_code == 302
    given = Delegation.objects.get()
    page = client.get("/delegations/").content.decode()
    assert "up to NGN\u00a05,000.00" in page
    stranger = Client()
    stranger.force_login(person("stranger", "first"))
    assert stranger.post(f"/delegations/{given.pk}/revoke/").status_code == 404
    assert client.post(f"/delegations/{given.pk}/revoke/").status_code == 302
    given.refresh_from_db()
    assert given.revoked_by == absent


def test_the_request_page_says_for_whom_one_signs_and_signs_so(requester, absent, delegate):
    delegated(absent, delegate)
    request = opened(requester)
    client = Client()
    client.force_login(delegate)
    page = client.get(f"/requests/{request.pk}/").content.decode()
    assert "on behalf of Ngozi Okafor" in page
    form = {
        "verdict": "approve",
        "reason": "in order",
        "payload_hash": selectors.current_payload(request).hash,
        "on_behalf_of": "absent",
    }
    assert client.post(f"/requests/{request.pk}/", form).status_code == 302
    assert Signature.objects.get().authority == absent
    assert (
        "on behalf of <strong>Ngozi Okafor"
        in client.get(f"/requests/{request.pk}/").content.decode()
    )


def test_the_request_page_asks_for_whom_where_there_is_a_choice(requester, absent):
    both = person("both", "first")
    delegated(absent, both)
    client = Client()
    client.force_login(both)
    page = client.get(f"/requests/{opened(requester).pk}/").content.decode()
    assert '<option value="both" >for yourself</option>' in page
    assert '<option value="absent" >on behalf of Ngozi Okafor</option>' in page


def test_times_without_a_zone_are_refused_whichever_it_is(db):
    rule()
    boss, helper = person("boss", "first"), person("helper", "first")
    naive = datetime(2099, 1, 1)
    for changes in ({"starts_at": naive}, {"ends_at": naive}):
        error = refused(
            lambda changes=changes: give(boss, helper, **changes), action="delegation.give", by=boss
        )
        assert (error.status, error.code) == (422, "period_invalid")


def test_it_begins_when_it_was_given_not_before_and_not_in_the_future(db):
    rule()
    boss, helper = person("boss", "first"), person("helper", "first")
    as_of = timezone.now() - timedelta(hours=2)
    given = give(boss, helper, starts_at=as_of - timedelta(days=1), as_of=as_of)
    assert given.starts_at == as_of
    later = timezone.now() + timedelta(hours=1)
    error = refused(lambda: give(boss, helper, as_of=later), action="delegation.give", by=boss)
    assert error.code == "as_of_in_future"
