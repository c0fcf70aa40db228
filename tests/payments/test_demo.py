"""The demo's payment events: made once, and the counters of the quarantine agree."""

import pytest

from apps.accounts.demo_users import demo_people_ensure
from apps.payments.models import PaymentEvent, QuarantinedEvent, QuarantineEdit
from apps.payments.services.checking import counters_check
from apps.payments.services.demo import FAILING, UNREADABLE, payments_seed

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_demo_is_made_once() -> None:
    people = demo_people_ensure()
    assert len(list(payments_seed(people=people))) == 2
    kept = PaymentEvent.objects.count()
    assert kept > 200
    assert QuarantinedEvent.objects.count() == len(FAILING) + len(UNREADABLE)
    assert [*payments_seed(people=people)] == ["payment events, as they were"]
    assert PaymentEvent.objects.count() == kept
    assert QuarantineEdit.objects.get().status == "awaiting_approval"
    groups, wrong = counters_check()
    assert (groups > 5, wrong) == (True, [])
