"""Coded reasons when several sign at once."""

import pytest

from apps.approvals.models import Signature
from apps.common.errors import DomainError
from tests.approvals.coded import claim
from tests.approvals.test_races import at_once
from tests.approvals.world import decide, fresh, person

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_request_has_the_code_of_the_verdict_that_counts() -> None:
    first, second = person("reviewer1", "first"), person("reviewer2", "first")
    for number in range(5):
        request = claim(person(f"requester{number}"))
        results = at_once(
            [
                lambda r=request: decide(r, first, "reject", reason_code="FRAUD"),
                lambda r=request: decide(r, first, "reject", reason_code="USER_REQUESTED"),
                lambda r=request: decide(r, second, reason_code="USER_REQUESTED"),
            ]
        )
        signature = Signature.objects.get(request=request)
        settled = fresh(request)
        assert settled.settled_reason_code == signature.reason_code
        assert settled.status == {"approve": "approved", "reject": "rejected"}[signature.verdict]
        refused = [one.code for one in results if isinstance(one, DomainError)]
        assert refused == ["already_decided"] * 2
