from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.approvals import selectors, services
from apps.approvals.action_forms import ReassignForm
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.notifications.models import Notification
from tests.approvals.test_api import Api
from tests.approvals.world import (
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
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 2}, {"group": "second"}]}])
    return person("requester")


@pytest.fixture
def reviewer(requester):
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


@pytest.fixture
def other(requester):
    return person("other", "first")


def claim(request, by, **changes):
    arguments = {"request_id": request.pk, "by": by, "via": "api", "as_of": timezone.now()}
    return services.claim_take(**arguments, **changes)


def release(request, by):
    return services.claim_release(request_id=request.pk, by=by, via="api", as_of=timezone.now())


def reassign(request, to, by, reason="away today"):
    return services.claim_reassign(
        request_id=request.pk, to=to, by=by, reason=reason, via="api", as_of=timezone.now()
    )


def lapse(request):
    ApprovalRequest.objects.filter(pk=request.pk).update(
        claimed_until=timezone.now() - timedelta(seconds=1)
    )
    return fresh(request)


def test_what_somebody_holds_nobody_else_signs_and_they_are_told_who(requester, reviewer, other):
    request = claim(opened(requester), reviewer)
    error = refusal(request, other)
    assert (error.status, error.code) == (409, "claimed")
    assert error.extra == {
        "claimed_by": "Ngozi Okafor",
        "claimed_until": request.claimed_until.isoformat(),
    }
    assert selectors.can_sign(fresh(request), other) == "claimed"
    assert not ApprovalRequest.objects.mine(other).exists()
    assert ApprovalRequest.objects.mine(reviewer).get() == request
    assert decide(request, reviewer).status == "open"


def test_a_lapsed_lease_is_nobodys(requester, reviewer, other, settings):
    settings.CLAIM_SECONDS = 60
    request = claim(opened(requester), reviewer)
    assert 55 < (request.claimed_until - timezone.now()).total_seconds() <= 60
    request = lapse(request)
    assert selectors.holder(request, as_of=timezone.now()) is None
    assert ApprovalRequest.objects.mine(other).get() == request
    assert claim(request, other).claimed_by == other
    assert refusal(request, reviewer).code == "claimed"


def test_taking_it_again_renews_the_lease_and_never_shortens_it(requester, reviewer, other):
    request = claim(opened(requester), reviewer)
    ApprovalRequest.objects.update(claimed_until=timezone.now() + timedelta(seconds=5))
    assert claim(request, reviewer).claimed_until > timezone.now() + timedelta(minutes=20)
    assigned = reassign(request, other, reviewer)
    assert claim(request, other).claimed_until == assigned.claimed_until


def test_only_who_could_sign_may_hold_it(requester, reviewer):
    request = opened(requester)
    signer, root = person("signer", "first"), person("root", is_superuser=True)
    decide(request, signer)
    for by, code in (
        (signer, "already_signed"),
        (person("later", "second"), "not_in_group"),
        (root, "not_in_group"),
        (person("stranger"), "not_found"),
        (permit(requester, "view_approvalrequest"), "requester_cannot_sign"),
    ):
        error = refused(lambda by=by: claim(request, by), action="approval.claim", by=by)
        assert error.code == code
    assert fresh(request).claimed_by is None


def test_a_delegate_may_hold_it(requester, reviewer):
    delegate = person("delegate", "second")
    delegated(reviewer, delegate)
    request = claim(opened(requester), delegate)
    # It is the person who is at it, not the authority.
    assert refusal(request, reviewer).code == "claimed"
    decide(request, delegate, on_behalf_of=reviewer)


@pytest.mark.parametrize("end", ["signature", "tier", "rejection", "edit"])
def test_it_ends_with_the_signature_the_tier_the_request_or_an_edit(
    requester, reviewer, other, end
):
    request = opened(requester)
    if end == "tier":
        decide(request, other)
    claim(request, reviewer)
    if end == "edit":
        edit(fresh(request), requester)
    else:
        decide(request, reviewer, "reject" if end == "rejection" else "approve")
    request = fresh(request)
    assert (request.claimed_by, request.claimed_until) == (None, None)


def test_it_is_given_back_by_its_holder_or_with_the_permission_only(requester, reviewer, other):
    request = claim(opened(requester), reviewer)
    error = refused(lambda: release(request, other), action="approval.release", by=other)
    assert error.code == "claimed"
    assert release(request, reviewer).claimed_by is None
    assert release(request, other).claimed_by is None  # nothing to do
    claim(request, reviewer)
    chief = permit(other, "reassign_approvalrequest")
    assert release(request, chief).claimed_by is None
    assert AuditEntry.objects.filter(action="approval.released").count() == 2


def test_the_holder_gives_it_to_somebody_who_is_told(requester, reviewer, other, settings):
    settings.ASSIGN_SECONDS = 7200
    request = claim(opened(requester), reviewer)
    given = reassign(request, "other", reviewer)
    assert given.claimed_by == other
    assert given.claimed_until > timezone.now() + timedelta(minutes=110)
    told = Notification.objects.get(recipient=other, kind="approval.assigned", channel="in_app")
    assert told.url == f"/requests/{request.pk}/"
    assert refusal(request, reviewer).code == "claimed"
    entry = AuditEntry.objects.get(action="approval.reassigned")
    assert (entry.body["to"], entry.body["reason"]) == (other.audit_id, "away today")


def test_with_the_permission_it_is_given_whoever_holds_it(requester, reviewer, other):
    chief = permit(person("chief", "second"), "reassign_approvalrequest")
    request = opened(requester)
    assert reassign(request, reviewer, chief).claimed_by == reviewer
    assert reassign(request, other, chief).claimed_by == other


def test_who_does_not_hold_it_gives_it_to_nobody(requester, reviewer, other):
    request = opened(requester)
    error = refused(
        lambda: reassign(request, reviewer, other), action="approval.reassign", by=other
    )
    assert error.code == "permission_denied"
    claim(request, reviewer)
    error = refused(lambda: reassign(request, other, other), action="approval.reassign", by=other)
    assert error.code == "claimed"


@pytest.mark.parametrize(
    ("to", "because"),
    [
        ("requester", "requester_cannot_sign"),
        ("signer", "already_signed"),
        ("later", "not_in_group"),
        ("stranger", "permission_denied"),
        ("nobody", None),
        ("\x00", None),
    ],
)
def test_it_is_given_only_to_who_could_sign(requester, reviewer, to, because):
    person("signer", "first"), person("later", "second"), person("stranger")
    request = opened(requester)
    decide(request, type(reviewer).objects.get(username="signer"))
    claim(request, reviewer)
    error = refused(
        lambda: reassign(request, to, reviewer), action="approval.reassign", by=reviewer
    )
    assert (error.status, error.code) == (422, "assignee_cannot_sign")
    assert error.extra.get("because") == because
    assert fresh(request).claimed_by == reviewer


def test_nobody_holds_it_longer_than_eight_leases_in_one_tier(requester, reviewer, other, settings):
    settings.CLAIM_SECONDS = 60
    start = timezone.now() - timedelta(days=1)
    request = opened(requester, as_of=start)

    def at(minutes, by=reviewer):
        services.claim_take(
            request_id=request.pk, by=by, via="api", as_of=start + timedelta(minutes=minutes)
        )

    for minutes in range(8):
        at(minutes)
    error = refused(lambda: at(8), action="approval.claim", by=reviewer)
    assert (error.status, error.code) == (409, "claim_used_up")
    # Nor by handing it to and fro.
    at(9, other)
    by = {"by": other, "reason": "", "via": "api", "as_of": start + timedelta(minutes=9)}
    error = refused(
        lambda: services.claim_reassign(request_id=request.pk, to=reviewer, **by),
        action="approval.reassign",
        by=other,
    )
    assert error.extra["because"] == "claim_used_up"
    release(request, other)
    decide(fresh(request), reviewer)
    # Somebody else's time is their own; that of the tier before is over for all.
    assert claim(request, other).claimed_by == other


def test_time_in_which_it_was_given_back_does_not_count(requester, reviewer, settings):
    settings.CLAIM_SECONDS = 60
    request = opened(requester)
    for _ in range(9):
        claim(request, reviewer)
        release(request, reviewer)
    assert claim(request, reviewer).claimed_by == reviewer


@pytest.mark.parametrize("why", ["left", "out of the group", "revoked", "not permitted"])
def test_who_could_not_sign_any_more_holds_nothing(requester, reviewer, other, why):
    request, late = opened(requester), person("late", "first")
    delegate = person("delegate", "second")
    given = delegated(late, delegate)
    holder = delegate if why == "revoked" else reviewer
    claim(request, holder)
    assert selectors.can_sign(fresh(request), other) == "claimed"
    assert not ApprovalRequest.objects.mine(other).exists()
    assert ApprovalRequest.objects.mine_counted(other, most=9) == 0
    if why == "left":
        type(reviewer).objects.filter(pk=reviewer.pk).update(is_active=False)
    elif why == "out of the group":
        reviewer.groups.clear()
    elif why == "revoked":
        given.revoked_at = timezone.now()
        given.save()
    else:
        reviewer.groups.get().permissions.clear()
        other = permit(other, "view_approvalrequest", "decide_approvalrequest")
    assert selectors.holder(fresh(request), as_of=timezone.now()) is None
    if why != "not permitted":
        assert ApprovalRequest.objects.mine(other).get() == request
        assert ApprovalRequest.objects.mine_counted(other, most=9) == 1
    assert claim(request, other).claimed_by == other


def test_nobody_chooses_who_judges_what_they_asked_for_or_edited(requester, reviewer, other):
    permissions = ("view_approvalrequest", "reassign_approvalrequest", "edit_approvalrequest")
    asks, editor = permit(requester, *permissions), permit(person("editor"), *permissions)
    request = opened(asks)
    edit(request, editor)
    for by, code in ((asks, "requester_cannot_sign"), (editor, "editor_cannot_sign")):
        error = refused(
            lambda by=by: reassign(request, other, by), action="approval.reassign", by=by
        )
        assert (error.status, error.code) == (403, code)
    page = Client()
    page.force_login(asks)
    assert "id_reassign_reason" not in page.get(f"/requests/{request.pk}/").content.decode()


def test_who_acts_for_an_absent_signer_can_be_chosen(requester, reviewer, other):
    delegate = person("delegate", "second")
    delegated(other, delegate)
    request = claim(opened(requester), reviewer)
    form = ReassignForm(approval=fresh(request), holder=reviewer)
    assert [name for name, _ in form.fields["to"].choices] == ["delegate", "other"]
    assert reassign(request, "delegate", reviewer).claimed_by == delegate


def test_a_request_that_has_ended_is_claimed_by_nobody(requester, reviewer, other):
    request = claim(opened(requester), reviewer)
    decide(request, reviewer, "reject")
    for call, action in (
        (lambda: claim(request, other), "approval.claim"),
        (lambda: reassign(request, reviewer, other), "approval.reassign"),
    ):
        assert refused(call, action=action, by=other).code == "already_decided"
    assert release(request, other).status == "rejected"


def test_the_candidates_of_a_reassignment_are_those_who_could_sign(requester, reviewer, other):
    request = opened(requester)
    person("later", "second"), person("gone", "first", is_active=False)
    assert set(selectors.signers(request)) == {reviewer, other}
    decide(request, reviewer)
    assert set(selectors.signers(fresh(request))) == {other}


def test_the_api_claims_gives_and_releases(requester, reviewer, other):
    request, api = opened(requester), Api(reviewer, "approvals:decide")
    claimed = api.post(f"/{request.pk}/claim", {})
    assert (claimed.status_code, claimed.json()["claimed_by"]["username"]) == (200, "reviewer")
    late = Api(other).post(f"/{request.pk}/claim", {})
    assert (late.status_code, late.json()["code"]) == (409, "claimed")
    assert late.json()["claimed_by"] == "Ngozi Okafor"
    given = api.post(f"/{request.pk}/reassign", {"username": "other", "reason": "away"})
    assert (given.status_code, given.json()["claimed_by"]["username"]) == (200, "other")
    released = Api(other).post(f"/{request.pk}/release", {})
    assert (released.status_code, released.json()["claimed_by"]) == (200, None)
    assert Api(other, "approvals:read").post(f"/{request.pk}/claim", {}).status_code == 403


def test_the_page_claims_goes_back_to_where_it_came_from_and_says_who_holds_it(
    requester, reviewer, other
):
    request = opened(requester)
    mine, theirs = Client(), Client()
    mine.force_login(reviewer)
    theirs.force_login(other)
    answer = mine.post(f"/requests/{request.pk}/claim/", {"next": "/inbox/?mine=on"})
    assert answer.headers["Location"] == "/inbox/?mine=on"
    away = mine.post(f"/requests/{request.pk}/claim/", {"next": "https://example.org/"})
    assert away.headers["Location"] == f"/requests/{request.pk}/"
    assert "You hold it" in mine.get(f"/requests/{request.pk}/").content.decode()
    page = theirs.post(f"/requests/{request.pk}/claim/", follow=True).content.decode()
    assert "Ngozi Okafor is at it until" in page
    assert "Ngozi Okafor holds it" in page
    assert "Sign the decision" not in page
    mine.post(f"/requests/{request.pk}/reassign/", {"to": "other", "reason": "away"})
    assert fresh(request).claimed_by == other
    theirs.post(f"/requests/{request.pk}/release/")
    assert fresh(request).claimed_by is None
    stranger = Client()
    stranger.force_login(person("stranger"))
    assert stranger.post(f"/requests/{request.pk}/claim/").status_code == 404
