"""What a hostile reader of the code found."""

import httpx2
import pytest

from apps.approvals.rules import requirement
from apps.common.errors import Unavailable
from apps.interventions.contracts import ATTENTION_KIND
from apps.outbound.calls import Caller, Refused

pytestmark = pytest.mark.django_db(transaction=True)


class _Answering:
    def __init__(self, response: httpx2.Response) -> None:
        self.response = response

    def request(self, *args: object, **kwargs: object) -> httpx2.Response:
        return self.response


def _caller(response: httpx2.Response) -> Caller:
    caller = Caller("executor", "http://127.0.0.1:9", seconds=1, code="executor_unavailable")
    caller._client = _Answering(response)  # type: ignore[assignment]
    return caller


@pytest.mark.parametrize("status", [401, 403, 404, 409])
def test_a_gateways_no_is_not_taken_for_the_executors(status: int) -> None:
    """An earlier attempt may have paid: releasing the money on a proxy's word would pay twice."""
    caller = _caller(httpx2.Response(status, text="<html>not here</html>"))
    with pytest.raises(Unavailable):
        caller.post("/executions", key="k", body={})


def test_the_executors_own_no_carries_a_code() -> None:
    answer = {"code": "unknown_target", "detail": "Nobody there."}
    with pytest.raises(Refused) as no:
        _caller(httpx2.Response(422, json=answer)).post("/executions", key="k", body={})
    assert (no.value.status, no.value.code, no.value.reason) == (
        422,
        "unknown_target",
        "Nobody there.",
    )


def test_no_rule_can_make_an_item_that_reports_trouble_disappear() -> None:
    from decimal import Decimal

    from apps.accounts.models import User
    from apps.approvals.services import rule_put

    admin = User.objects.create(username="rules", is_superuser=True)
    from django.db import transaction

    with transaction.atomic():
        rule_put(
            kind=ATTENTION_KIND,
            scope="",
            currency="NGN",
            bands=[{"above": "10000.00", "tiers": [{"group": "reviewer", "quorum": 1}]}],
            by=admin,
        )
    for amount, currency in ((Decimal(5000), "NGN"), (Decimal(5000), "BRL"), (None, "NGN")):
        needed = requirement(kind=ATTENTION_KIND, scope="", amount=amount, currency=currency)
        assert needed.band is not None
        assert [tier.group for tier in needed.band.tiers] == ["reviewer"]
