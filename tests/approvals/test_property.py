"""Whatever the rule, the people, the order of signing: approved exactly when the rule says so."""

import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.approvals import selectors
from apps.approvals.models import Signature
from apps.errors import DomainError
from tests.approvals.world import decide, fresh, group, opened, person, rule

GROUPS = ("a", "b", "c")
PEOPLE = 6
_serial = itertools.count()

tiers_of_a_rule = st.lists(
    st.fixed_dictionaries({"group": st.sampled_from(GROUPS), "quorum": st.integers(1, 3)}),
    min_size=1,
    max_size=3,
)
memberships = st.lists(st.sets(st.sampled_from(GROUPS)), min_size=PEOPLE, max_size=PEOPLE)
orders = st.lists(
    st.tuples(st.integers(0, PEOPLE - 1), st.sampled_from(["approve"] * 9 + ["reject"])),
    max_size=20,
)


@pytest.mark.django_db
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tiers=tiers_of_a_rule, members=memberships, order=orders, requester=st.integers(0, 5))
def test_a_request_ends_as_the_rule_says_and_nobody_counts_twice(tiers, members, order, requester):
    serial = next(_serial)
    for name in GROUPS:
        group(name)
    rule([{"above": None, "tiers": tiers}], scope=f"s{serial}")
    people = [person(f"p{serial}-{n}", *groups) for n, groups in enumerate(members)]
    request = opened(people[requester], scope=f"s{serial}")

    # The rule by itself, written down a second time.
    tier, signed, status = 0, set(), "open"
    in_tier = 0
    for who, verdict in order:
        allowed = (
            status == "open"
            and who != requester
            and who not in signed
            and tiers[tier]["group"] in members[who]
        )
        if allowed:
            signed.add(who)
            in_tier += 1
            if verdict == "reject":
                status = "rejected"
            elif in_tier == tiers[tier]["quorum"]:
                tier, in_tier = tier + 1, 0
                status = "approved" if tier == len(tiers) else "open"
        assert (selectors.can_sign(fresh(request), people[who]) == "") == allowed
        try:
            decide(request, people[who], verdict)
            done = True
        except DomainError:
            done = False
        assert done == allowed
        assert fresh(request).status == status

    given_ = Signature.objects.filter(request=request)
    counted = Counter(given_.values_list("authority", flat=True))
    assert all(count == 1 for count in counted.values())
    assert set(counted) == {people[who].pk for who in signed}
