"""The admin of payment events shows amounts as their currency writes them."""

import pytest
from django.urls import reverse

from apps.payments.models import Intake
from apps.payments.services.intake import events_take
from tests.console.conftest import AsPerson, as_person, world  # noqa: F401
from tests.payments.kept import keep
from tests.payments.samples import a_message, an_event


@pytest.mark.django_db(transaction=True)
def test_amounts_are_shown_by_the_currencys_exponent(as_person: AsPerson) -> None:  # noqa: F811
    currencies = ("JPY", "USD", "CHF")
    events_take([a_message(an_event(one, currency=one, amount_cents=1050)) for one in currencies])
    for intake in Intake.objects.all():
        keep(intake)
    page = as_person("admin").get(reverse("admin:payments_paymentevent_changelist"))
    text = page.content.decode().replace("\u00a0", " ")
    for shown in ("JPY 1,050<", "USD 10.50<", "CHF 10.50<"):
        assert shown in text
