"""Accounts and owners of keys: text throughout, leading zeros kept."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import Invalid
from apps.pix.holders import (
    OwnerType,
    clean_account_number,
    clean_account_type,
    clean_branch,
    clean_ispb,
    clean_name,
    clean_owner_type,
    clean_tax_id,
    clean_trade_name,
    key_limit,
)

PERSON, COMPANY = OwnerType.NATURAL_PERSON, OwnerType.LEGAL_PERSON


def code_of(clean: Callable[..., Any], *given: object) -> str:
    with pytest.raises(Invalid) as refused:
        clean(*given)
    return refused.value.code


def test_a_person_has_five_keys_an_account_and_a_company_twenty() -> None:
    assert (key_limit(PERSON), key_limit(COMPANY)) == (5, 20)


def test_a_tax_id_is_the_cpf_of_a_person_or_the_cnpj_of_a_company() -> None:
    assert clean_tax_id(PERSON, "111.222.333-96") == "11122233396"
    assert clean_tax_id("LEGAL_PERSON", "12.abc.345/01de-35") == "12ABC34501DE35"
    assert code_of(clean_tax_id, PERSON, "11222333000181") == "tax_id_invalid"
    assert code_of(clean_tax_id, COMPANY, "11122233396") == "tax_id_invalid"
    assert code_of(clean_tax_id, PERSON, "1112223339²") == "tax_id_invalid"
    assert code_of(clean_tax_id, "PERSON", "11122233396") == "owner_type_invalid"
    with pytest.raises(Invalid, match="do not fit") as refused:
        clean_tax_id(PERSON, "11122233300", field="owner")
    assert refused.value.extra == {"field": "owner"}


@pytest.mark.parametrize(
    ("raw", "ispb"),
    # Report 25: eight zeros are an ISPB too.
    [("00000000", "00000000"), (" 12345678", "12345678"), ("1a2b3c4d", "1A2B3C4D")],
)
def test_an_ispb_is_text_in_capitals(raw: str, ispb: str) -> None:
    assert clean_ispb(raw) == ispb


@pytest.mark.parametrize("raw", ["", "1234567", "123456789", "1234567ß", "ı2345678", 0, None, "²"])
def test_what_is_no_ispb_is_refused(raw: object) -> None:
    assert code_of(clean_ispb, raw) == "ispb_invalid"


def test_branch_1_is_not_branch_0001() -> None:
    """Report 25."""
    assert (clean_branch("1"), clean_branch("0001"), clean_branch(" 0001 ")) == (
        "1",
        "0001",
        "0001",
    )
    assert clean_branch(None) == clean_branch("") == ""


@pytest.mark.parametrize("raw", [1, 0, False, "00001", "1a", "1-2", "²", "١", "1\n", [], "-"])
def test_what_is_no_branch_is_refused(raw: object) -> None:
    assert code_of(clean_branch, raw) == "branch_invalid"


def test_the_number_of_an_account_is_kept_as_it_is_written() -> None:
    assert clean_account_number("0007654321") == "0007654321"
    assert clean_account_number("00076x") == "00076x"
    assert clean_account_number("A" * 20) == "A" * 20


@pytest.mark.parametrize("raw", ["", "A" * 21, "7654-1", 7654321, None, "１", "ß", "1\x00"])
def test_what_is_no_number_of_an_account_is_refused(raw: object) -> None:
    assert code_of(clean_account_number, raw) == "account_number_invalid"


def test_types_of_owners_and_accounts_are_the_directorys_words() -> None:
    assert clean_account_type("CACC") == "CACC"
    assert clean_owner_type("LEGAL_PERSON") is COMPANY
    for raw in ("", "cacc", "CHECKING", None, 1, [], {}):
        assert code_of(clean_account_type, raw) == "account_type_invalid"
        assert code_of(clean_owner_type, raw) == "owner_type_invalid"


def test_a_name_is_never_altered() -> None:
    """Report 24: the directory itself says what it does not take."""
    for name in ("D'Ávila & Filhos S.A.", "Joa\u0303o", "A" * 150):
        assert clean_name(name) == name
    for raw in ("", "  ", "A" * 151, "a\nb", None, 5, "a\x00"):
        assert code_of(clean_name, raw) == "name_invalid"
    assert code_of(clean_name, "a\u202eb") == "invisible_characters"


def test_only_a_company_has_a_trade_name() -> None:
    assert clean_trade_name(COMPANY, "Loja") == "Loja"
    assert clean_trade_name(COMPANY, "A" * 100) == "A" * 100
    assert clean_trade_name(PERSON, None) == clean_trade_name(PERSON, " ") == ""
    assert code_of(clean_trade_name, PERSON, "Loja") == "trade_name_invalid"
    assert code_of(clean_trade_name, COMPANY, "A" * 101) == "trade_name_invalid"
    assert code_of(clean_trade_name, COMPANY, 5) == "trade_name_invalid"


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_anything_is_cleaned_or_refused(raw: object) -> None:
    for clean in (clean_ispb, clean_branch, clean_account_number, clean_name):
        try:
            cleaned = clean(raw)
        except Invalid:
            continue
        assert clean(cleaned) == cleaned
