"""Money as text: for people, for programs, and as people write it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import Invalid
from apps.common.money import NO_BREAK, amount_written, exact, figure, places, shown, unit
from apps.common.validation import clean_amount, read_amount


@pytest.mark.parametrize(
    ("currency", "number", "smallest"),
    [("NGN", 2, "0.01"), ("JPY", 0, "1"), ("XOF", 0, "1"), ("KWD", 3, "0.001"), ("", 2, "0.01")],
)
def test_a_currency_says_how_many_places_an_amount_has(
    currency: str, number: int, smallest: str
) -> None:
    assert (places(currency), unit(currency)) == (number, Decimal(smallest))


def test_people_read_thousands_and_the_places_of_the_currency() -> None:
    assert shown(Decimal("25000"), "NGN") == "NGN 25,000.00"
    assert shown(Decimal("25000.00"), "JPY") == "JPY 25,000"
    assert shown(Decimal("1.5"), "KWD", blank=NO_BREAK) == f"KWD{NO_BREAK}1.500"
    assert shown(None, "NGN") == "–"
    assert shown(Decimal(1), "") == figure(Decimal(1), "NGN") == "1.00"
    assert shown(Decimal("-1234.5"), "NGN") == "NGN -1,234.50"


def test_programs_read_what_it_is_and_nothing_is_rounded_away() -> None:
    assert exact(Decimal("25000"), "NGN") == "25000.00"
    assert exact(Decimal("25000.00"), "JPY") == "25000"
    assert exact(Decimal("0.50"), "JPY") == "0.50"
    assert exact(Decimal("1.2345"), "NGN") == "1.2345"
    assert exact(Decimal("1E+3"), "KWD") == "1000.000"


@pytest.mark.parametrize("amount", ["0.50", "1.01", "100.001"])
def test_an_amount_is_not_finer_than_its_currency(amount: str) -> None:
    with pytest.raises(Invalid, match="25000 in JPY"):
        read_amount(amount, "JPY")


def test_of_a_currency_with_three_places_two_are_kept() -> None:
    assert clean_amount(Decimal("1.500"), "KWD") == Decimal("1.50")
    with pytest.raises(Invalid):
        clean_amount(Decimal("1.501"), "KWD")
    assert clean_amount(Decimal("25000"), "JPY") == 25000


amounts = st.decimals(0, Decimal(10) ** 15, places=2, allow_nan=False)


@given(amounts)
def test_what_is_shown_is_read_as_the_same(amount: Decimal) -> None:
    english = figure(amount, "NGN")
    german = english.translate(str.maketrans(",.", ".,"))
    french = english.replace(",", "\u202f").replace(".", ",")
    plain = exact(amount, "NGN")
    assert {amount_written(t) for t in (english, german, french, plain)} == {amount}


@given(st.text(st.sampled_from("0123456789.,' +-"), max_size=14))
def test_what_is_read_is_what_the_digits_say(text: str) -> None:
    try:
        amount = amount_written(text)
    except Invalid as refusal:
        assert refusal.code in {"amount_invalid", "amount_ambiguous"}
        return
    digits = "".join(c for c in text if c.isdigit())
    assert int(digits) == abs(int(amount.scaleb(-int(amount.as_tuple().exponent))))
