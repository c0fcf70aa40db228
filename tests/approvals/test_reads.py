import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.approvals import selectors
from apps.approvals.models import ApprovalRequest, PayloadVersion
from tests.approvals.world import decide, fresh, opened, person, rule

pytestmark = pytest.mark.django_db


def mine(user):
    titles = set(ApprovalRequest.objects.mine(user).values_list("title", flat=True))
    # The figure beside the navigation is of the same rows.
    assert ApprovalRequest.objects.mine_counted(user, most=99) == len(titles)
    return titles


def test_mine_is_exactly_what_the_person_could_sign_now():
    rule()
    requester, one, two = (
        person("requester", "first"),
        person("one", "first"),
        person("two", "first"),
    )
    senior, root = person("senior", "second"), person("root", is_superuser=True)
    small = opened(requester, title="small")
    large = opened(requester, "60000.00", title="large")
    own = opened(one, title="of one")
    edited = opened(requester, title="edited by one")
    PayloadVersion.objects.create(request=edited, number=2, payload={}, hash="x", edited_by=one)
    opened(requester, title="settled")
    decide(ApprovalRequest.objects.for_detail().get(title="settled"), two)
    decide(large, one)
    everybody = [requester, one, two, senior, root, AnonymousUser()]
    expected = {
        requester: {"of one"},
        one: {"small"},
        two: {"small", "large", "of one", "edited by one"},
        senior: set(),
        root: set(),
    }
    for user, titles in expected.items():
        assert mine(user) == titles, user
    assert mine(AnonymousUser()) == set()

    decide(fresh(large), two)
    assert mine(senior) == {"large"}
    # The list and the question about one request always agree.
    for request in (small, large, own, edited):
        for user in everybody:
            may = selectors.can_sign(fresh(request), user) == ""
            assert may == (request.title in mine(user)), (request.title, user)


def test_people_without_the_permission_see_their_own_requests_only():
    rule()
    one, two, reviewer = person("one"), person("two"), person("reviewer", "first")
    opened(one, title="one")
    opened(two, title="two")

    def seen(user):
        return set(ApprovalRequest.objects.visible_to(user).values_list("title", flat=True))

    assert (seen(one), seen(two)) == ({"one"}, {"two"})
    assert seen(reviewer) == seen(person("root", is_superuser=True)) == {"one", "two"}
    assert seen(AnonymousUser()) == seen(person("left", "first", is_active=False)) == set()


def test_who_signs_next_is_empty_when_it_is_settled():
    rule()
    request = opened(person("requester"))
    assert selectors.who_signs_next(request) == "one signature by first"
    request = decide(request, person("reviewer", "first"))
    assert (selectors.who_signs_next(request), selectors.current_tier(request)) == ("", None)


def queries(call) -> int:
    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


def test_lists_and_details_cost_the_same_few_queries_however_long_they_are():
    """The baseline: more queries here are a decision, not an accident."""
    rule()
    requester = person("requester")
    reviewers = [person(f"reviewer{n}", "first") for n in range(4)]

    def listed():
        for row in ApprovalRequest.objects.for_list():
            assert f"{row.requested_by} {row.settled_by} {row.rule} {row.signed}"

    def detailed(request):
        found = fresh(request)
        assert [f"{s.actor} {s.authority} {s.payload_id}" for s in found.signatures.all()]
        assert selectors.tiers(found) and selectors.current_payload(found)
        assert selectors.who_signs_next(found)

    for reviewer in reviewers[:2]:
        request = opened(requester, "60000.00")
        decide(request, reviewer)
    assert queries(listed) == 1
    assert queries(lambda: detailed(request)) == 3
    for _ in range(5):
        request = opened(requester, "60000.00")
        decide(request, reviewers[2])
        decide(fresh(request), reviewers[3])
    assert queries(listed) == 1
    assert queries(lambda: detailed(request)) == 3
    # The list, the person's groups, what is delegated to them, and claims of who cannot sign.
    assert queries(lambda: list(ApprovalRequest.objects.mine(reviewers[0]))) <= 4
