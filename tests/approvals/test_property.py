"""Whatever the rule, the people, the delegations, the edits and the order of signing: approved
exactly when the rule says so, and no authority counts twice."""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.approvals import selectors
from apps.approvals.models import ApprovalRequest, Signature
from apps.common.errors import DomainError
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
from tests.support import FULL_SIZE

GROUPS = ("a", "b", "c")
PEOPLE = 6
_serial = itertools.count()

who = st.integers(0, PEOPLE - 1)
tiers_of_a_band = st.lists(
    st.fixed_dictionaries({"group": st.sampled_from(GROUPS), "quorum": st.integers(1, 3)}),
    min_size=1,
    max_size=3,
)
# More often in a group than not: a world in which nobody may do anything shows little.
memberships = st.lists(
    st.sets(st.sampled_from(GROUPS), min_size=0, max_size=3).filter(lambda s: len(s) != 1)
    | st.just({"a"}),
    min_size=PEOPLE,
    max_size=PEOPLE,
)
delegations = st.sets(st.tuples(who, who).filter(lambda pair: pair[0] != pair[1]), max_size=5)
signing = st.tuples(
    st.just("sign"), who, st.sampled_from(["approve"] * 12 + ["reject"]), st.none() | who
)
editing = st.tuples(st.just("edit"), who, st.sampled_from(["500.00", "5000.00"]))
steps = st.lists(signing | signing | signing | signing | editing, max_size=14)


@dataclass
class Model:
    """The rule by itself, written down a second time, without a database."""

    bands: dict[bool, list[dict[str, Any]]]  # above 1000?
    members: list[set[str]]
    acts_for: set[tuple[int, int]]  # delegate, delegator
    requester: int
    large: bool
    status: str = "open"
    tier: int = 0
    editors: set[int] = field(default_factory=set)
    signed: list[tuple[int, int, int]] = field(default_factory=list)  # tier, actor, authority

    @property
    def out(self) -> set[int]:
        used = {pk for _, *both in self.signed for pk in both}
        return {self.requester} | self.editors | used

    def may(self, actor: int, authority: int) -> bool:
        return (
            self.status == "open"
            and not {actor, authority} & self.out
            and bool(self.members[actor])  # a role, or they may not even sign
            and self.bands[self.large][self.tier]["group"] in self.members[authority]
            and (actor == authority or (actor, authority) in self.acts_for)
        )

    def authorities(self, actor: int) -> set[int]:
        return {authority for authority in range(PEOPLE) if self.may(actor, authority)}

    def under(self, actor: int, behalf: int | None) -> int | None:
        """Whose authority a signature would use; None: refused."""
        able = self.authorities(actor)
        if behalf is not None:
            return behalf if behalf in able else None
        if actor in able:
            return actor
        return able.pop() if len(able) == 1 else None

    def sign(self, actor: int, verdict: str, authority: int) -> None:
        tiers = self.bands[self.large]
        self.signed.append((self.tier, actor, authority))
        if verdict == "reject":
            self.status = "rejected"
        elif (
            len([1 for tier, *_ in self.signed if tier == self.tier]) == tiers[self.tier]["quorum"]
        ):
            self.tier += 1
            self.status = "approved" if self.tier == len(tiers) else "open"

    def may_edit(self, editor: int) -> bool:
        return self.status == "open" and (editor == self.requester or bool(self.members[editor]))

    def edit(self, editor: int, *, large: bool) -> None:
        self.editors.add(editor)
        self.large, self.tier, self.signed = large, 0, []


@pytest.mark.django_db
@settings(
    max_examples=100 if FULL_SIZE else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    small=tiers_of_a_band,
    large=tiers_of_a_band,
    members=memberships,
    acts_for=delegations,
    requester=who,
    order=steps,
)
def test_a_request_ends_as_the_rule_says_and_no_authority_counts_twice(
    small: list[dict[str, Any]],
    large: list[dict[str, Any]],
    members: list[set[str]],
    acts_for: set[tuple[int, int]],
    requester: int,
    order: list[tuple[Any, ...]],
) -> None:
    serial = next(_serial)
    for name in GROUPS:
        group(name)
    rule(
        [{"above": None, "tiers": small}, {"above": "1000.00", "tiers": large}], scope=f"s{serial}"
    )
    people = [
        permit(person(f"p{serial}-{n}", *groups), "edit_approvalrequest")
        for n, groups in enumerate(members)
    ]
    for delegate, delegator in acts_for:
        delegated(people[delegator], people[delegate])
    request = opened(people[requester], "500.00", scope=f"s{serial}")
    model = Model({False: small, True: large}, members, acts_for, requester, large=False)

    for number, step in enumerate(order):
        request = fresh(request)
        if step[0] == "edit":
            _, editor, amount = step
            allowed = model.may_edit(editor)
            changes = {"amount": amount, "target": f"version {number}"}
            assert done(edit, request, people[editor], changes=changes) == allowed
            if allowed:
                model.edit(editor, large=amount == "5000.00")
        else:
            _, actor, verdict, behalf = step
            able = model.authorities(actor)
            seen = selectors.authorities(request, people[actor])
            assert {people.index(one) for one in seen} == able
            assert (selectors.can_sign(request, people[actor]) == "") == bool(able)
            mine = ApprovalRequest.objects.mine(people[actor])
            assert mine.filter(pk=request.pk).exists() == bool(able)
            assert ApprovalRequest.objects.mine_counted(people[actor], most=99) == mine.count()
            authority = model.under(actor, behalf)
            on_behalf = None if behalf is None else people[behalf]
            allowed = authority is not None
            assert done(decide, request, people[actor], verdict, on_behalf_of=on_behalf) == allowed
            if authority is not None:
                model.sign(actor, verdict, authority)
        assert fresh(request).status == model.status

    request = fresh(request)
    kept = Signature.objects.filter(request=request, payload__number=request.payload_number)
    numbers = {one.pk: n for n, one in enumerate(people)}
    assert sorted(
        (s.tier - 1, numbers[s.actor_id], numbers[s.authority_id]) for s in kept
    ) == sorted(model.signed)
    counted = Counter(kept.values_list("authority", flat=True))
    assert all(count == 1 for count in counted.values())
    if model.status == "approved":
        approvals = Counter(tier for tier, *_ in model.signed)
        quorums = [tier["quorum"] for tier in model.bands[model.large]]
        assert [approvals[n] for n in range(len(quorums))] == quorums


def done(verb: Any, *args: Any, **kwargs: Any) -> bool:
    try:
        verb(*args, **kwargs)
    except DomainError:
        return False
    return True
