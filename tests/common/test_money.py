"""Money as text: for people, for programs, and as people write it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from apps.common.errors import Invalid
from apps.common.money import (
    MOST_PLACES,
    NO_BREAK,
    amount_written,
    exact,
    figure,
    from_minor,
    is_currency,
    places,
    shown,
    to_minor,
    trimmed,
    unit,
)
from apps.common.validation import clean_amount, read_amount


@pytest.mark.parametrize(
    ("currency", "number", "smallest"),
    [("NGN", 2, "0.01"), ("JPY", 0, "1"), ("XOF", 0, "1"), ("KWD", 3, "0.001"), ("", 2, "0.01")],
)
def test_a_currency_says_how_many_places_an_amount_has(
    currency: str, number: int, smallest: str
) -> None:
    assert (places(currency), unit(currency)) == (number, Decimal(smallest))


def test_the_table_of_iso_4217_fits_our_columns() -> None:
    assert max(places(currency.code) for currency in Currency) == MOST_PLACES
    assert (places("CLF"), places("UYW"), places("XAU")) == (4, 4, 2)
    known = {code: is_currency(code) for code in ("BRL", "NGN", "XAU", "XXX", "brl", "")}
    assert known == {
        "BRL": True,
        "NGN": True,
        "XAU": False,
        "XXX": False,
        "brl": False,
        "": False,
    }


def test_minor_units_are_shown_by_the_currencys_exponent() -> None:
    given = [(1050, "JPY"), (1050, "KWD"), (1050, "BRL")]
    found = [shown(from_minor(minor, currency), currency) for minor, currency in given]
    assert found == ["JPY 1,050", "KWD 1.050", "BRL 10.50"]


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.29", "NGN", 29),
        ("1500.10", "NGN", 150010),
        ("1500.1", "NGN", 150010),
        ("999999.99", "NGN", 99999999),
        ("1E+3", "NGN", 100000),
        ("25000", "JPY", 25000),
        ("25000.00", "JPY", 25000),
        ("1.250", "KWD", 1250),
        ("-0.01", "NGN", -1),
        ("9" * 28 + ".99", "NGN", int("9" * 30)),
    ],
)
def test_an_amount_is_exact_in_minor_units_and_back(amount: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(amount), currency) == minor
    back = from_minor(minor, currency)
    assert back == Decimal(amount)
    assert exact(back, currency) == exact(Decimal(amount), currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0.291", "NGN"), ("0.5", "JPY"), ("NaN", "NGN"), ("Infinity", "NGN"), ("1E-60", "NGN")],
)
def test_what_is_between_two_minor_units_is_not_rounded(amount: str, currency: str) -> None:
    with pytest.raises(Invalid) as no:
        to_minor(Decimal(amount), currency)
    assert no.value.code == "amount_invalid"


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


def test_every_place_of_the_currency_is_kept_and_no_further_one() -> None:
    assert str(clean_amount(Decimal("1.501"), "KWD")) == "1.501"
    assert str(clean_amount(Decimal("1.5"), "KWD")) == "1.500"
    with pytest.raises(Invalid, match=r"25000\.000: .* three decimal places"):
        clean_amount(Decimal("1.5015"), "KWD")
    with pytest.raises(Invalid, match=r"25000\.00: .* two decimal places"):
        clean_amount(Decimal("1.501"), "EUR")
    assert str(clean_amount(Decimal("25000.00"), "JPY")) == "25000"


def test_an_amount_without_its_currency_has_two_places_or_as_many_as_it_needs() -> None:
    for written, short in (
        ("25000.0000", "25000.00"),
        ("1.2500", "1.25"),
        ("1.2340", "1.234"),
        ("1E+3", "1000.00"),
        ("0.0000", "0.00"),
        (f"{'9' * 40}.1000", f"{'9' * 40}.10"),
    ):
        assert str(trimmed(Decimal(written))) == short
        assert str(trimmed(Decimal(f"-{written}"))) == f"-{short}"


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
