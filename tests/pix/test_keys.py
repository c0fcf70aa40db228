"""Keys: what is typed here is checked whole, what the directory sends stays as it is. Numbers of
reports are those of the design's table."""

import re
import string
from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.common.errors import Invalid
from apps.pix.contracts import KeyType
from apps.pix.keys import clean_key, clean_key_type, clean_new_key, key_as_sent, masked_key

#: As the directory publishes them.
DIRECTORY = {
    KeyType.CPF: r"[0-9]{11}",
    KeyType.CNPJ: r"(?i:[a-z0-9]{14})",
    KeyType.PHONE: r"\+[1-9]\d{1,14}",
    KeyType.EMAIL: (
        r"[a-z0-9.!#$'*+\/=?^_`{\|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
        r"(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
    ),
    KeyType.EVP: r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
EVP = "a946d533-7f22-42a5-9a9b-e87cd55c0f4d"
LONGEST = f"{'a' * 65}@example.com"


def refusal(key_type: KeyType, raw: object) -> str:
    with pytest.raises(Invalid) as refused:
        clean_key(key_type, raw, field="chave")
    assert refused.value.code == "key_invalid"
    assert refused.value.extra == {"field": "chave"}
    return refused.value.detail


@pytest.mark.parametrize(
    ("key_type", "raw", "key"),
    [
        ("CPF", "11122233396", "11122233396"),
        ("CPF", " 111.222.333-96 ", "11122233396"),
        ("CNPJ", "11222333000181", "11222333000181"),
        ("CNPJ", "11.222.333/0001-81", "11222333000181"),
        # Report 20: letters in both cases, their values are ASCII - 48.
        ("CNPJ", "12ABC34501DE35", "12ABC34501DE35"),
        ("CNPJ", "12abc34501de35", "12ABC34501DE35"),
        ("CNPJ", "12.abc.345/01de-35", "12ABC34501DE35"),
        ("PHONE", "+5561988880000", "+5561988880000"),
        ("PHONE", " +12025550123", "+12025550123"),
        # Report 18.
        ("EMAIL", "Raphaelle_H45@Hotmail.com", "raphaelle_h45@hotmail.com"),
        # Report 19: 77 characters are taken.
        ("EMAIL", LONGEST, LONGEST),
        ("EMAIL", "a..b@x", "a..b@x"),
        ("EMAIL", "o'neil{x}|y~z@x.com", "o'neil{x}|y~z@x.com"),
        ("EVP", EVP, EVP),
        # Report 23: capitals are the same key.
        ("EVP", EVP.upper(), EVP),
    ],
)
def test_a_typed_key_is_stored_as_the_directory_writes_it(
    key_type: KeyType, raw: str, key: str
) -> None:
    assert clean_key(key_type, raw) == key


@pytest.mark.parametrize(
    ("key_type", "raw", "says"),
    [
        ("CPF", "11122233300", "do not fit"),
        ("CPF", "1112223339", "11 digits"),
        ("CPF", "111 222 333 96", "11 digits"),
        ("CPF", "11.1222333-96", "11 digits"),
        ("CPF", "11122233396\n", "11 digits"),
        ("CPF", "", "11 digits"),
        ("CPF", 11122233396, "11 digits"),
        ("CPF", None, "11 digits"),
        ("CPF", ["11122233396"], "11 digits"),
        ("CPF", "11122233396\x00", "11 digits"),
        # Report 21: other digits, and one digit eleven times.
        ("CPF", "1112223339²", "²"),
        ("CPF", "١١١٢٢٢٣٣٣٩٦", "١"),
        ("CPF", "１１１２２２３３３９６", "１"),
        ("CPF", "111.111.111-11", "one digit only"),
        ("CPF", "000.000.000-00", "one digit only"),
        ("CPF", "11122233396\u202e", "U+202E"),
        ("CPF", "11122233396\ud800", "U+D800"),
        ("CNPJ", "11222333000150", "do not fit"),
        ("CNPJ", "12abc34501de36", "do not fit"),
        ("CNPJ", "00.000.000/0000-00", "one digit only"),
        ("CNPJ", "12ABC34501DEE5", "12 letters or digits"),
        ("CNPJ", "ß2ABC34501DE35", "ß"),
        ("CNPJ", "ı2ABC34501DE35", "ı"),
        # Report 22: no ninth digit is added, none of an area code dropped.
        ("PHONE", "+551187654321", "digit is missing"),
        ("PHONE", "+550987654321", "digit is missing"),
        ("PHONE", "+5500987654321", "digit is missing"),
        ("PHONE", "5561988880000", "+ and digits"),
        ("PHONE", "+55 61 98888-0000", "+ and digits"),
        ("PHONE", "+05561988880000", "+ and digits"),
        ("PHONE", "+٥٥٦١٩٨٨٨٨٠٠٠٠", "٥"),
        ("PHONE", "+99999999999", "No country"),
        ("PHONE", "+5561988880000;ext=1", "+ and digits"),
        ("PHONE", "tel:+5561988880000", "+ and digits"),
        # Report 19: 78 are not taken, nor `&` and `%`.
        ("EMAIL", f"a{LONGEST}", "at most 77"),
        ("EMAIL", "a&b@x.com", "cannot have &"),
        ("EMAIL", "a%b@x.com", "cannot have %"),
        ("EMAIL", "a b@x.com", "cannot have a blank"),
        ("EMAIL", "a\tb@x.com", "cannot have U+0009"),
        ("EMAIL", "joão@x.com", "ã"),
        ("EMAIL", "\u212aelvin@x.com", "\u212a"),
        ("EMAIL", "a@b@x.com", "name@example.com"),
        ("EMAIL", "a@-x.com", "name@example.com"),
        ("EMAIL", "a@x..com", "name@example.com"),
        ("EMAIL", "@x.com", "name@example.com"),
        ("EMAIL", f"a@{'x' * 64}.com", "name@example.com"),
        # Report 23: what Python's own UUID takes besides.
        ("EVP", "{" + EVP + "}", "dashes"),
        ("EVP", f"urn:uuid:{EVP}", "dashes"),
        ("EVP", EVP.replace("-", ""), "dashes"),
        ("EVP", EVP.replace("a", "g"), "dashes"),
    ],
)
def test_a_mistyped_key_is_refused_and_told_what_is_wrong(
    key_type: KeyType, raw: object, says: str
) -> None:
    assert says in refusal(key_type, raw)


@pytest.mark.parametrize("raw", ["", "cpf", "PIX", None, 5, [], {}])
def test_a_type_of_key_is_one_of_five(raw: object) -> None:
    with pytest.raises(Invalid) as refused:
        clean_key_type(raw)
    assert refused.value.code == "key_type_invalid"


def test_an_evp_is_never_typed_for_a_new_entry() -> None:
    assert clean_new_key(KeyType.EVP, "") == clean_new_key(KeyType.EVP, None) == ""
    assert clean_new_key(KeyType.CPF, "111.222.333-96") == "11122233396"
    for raw in (EVP, 0, [], " "):
        with pytest.raises(Invalid) as refused:
            clean_new_key(KeyType.EVP, raw)
        assert refused.value.code == "key_invalid"
    with pytest.raises(Invalid):
        clean_new_key(KeyType.CPF, "")


@pytest.mark.parametrize(
    ("key_type", "key"),
    [
        # The directory's own samples fail the check digits (dict.md section 1).
        ("CPF", "11122233300"),
        ("CNPJ", "12abc34501de35"),
        # Report 22: any E.164.
        ("PHONE", "+551187654321"),
        ("EMAIL", "João &Co@X.com "),
        ("EVP", "x" * 77),
    ],
)
def test_a_key_from_the_directory_stays_as_it_was_sent(key_type: KeyType, key: str) -> None:
    assert key_as_sent(key_type, key) == key


@pytest.mark.parametrize("key", ["", "x" * 78, "a\x00b", "a\ud800", None, 11122233300, b"x"])
def test_what_no_row_can_keep_is_refused_even_from_the_directory(key: object) -> None:
    with pytest.raises(Invalid) as refused:
        key_as_sent(KeyType.CPF, key)
    assert refused.value.code == "directory_key_invalid"


@pytest.mark.parametrize(
    ("key_type", "key", "shown"),
    [
        ("CPF", "11122233396", "***.222.333-**"),
        ("CNPJ", "11222333000181", "**.222.333/****-**"),
        ("CNPJ", "12abc34501de35", "**.abc.345/****-**"),
        ("EMAIL", "raphaelle_h45@hotmail.com", "r***@h***.com"),
        ("EMAIL", "ana@mail.example.com.br", "a***@m***.br"),
        ("EMAIL", "ana@intranet", "a***@***"),
        ("PHONE", "+5561988880000", "+55 61 *****-0000"),
        ("PHONE", "+551133330000", "+55 11 *****-0000"),
        ("PHONE", "+12025550123", "+*****-0123"),
        ("PHONE", "+123456", "***"),
        ("EVP", EVP, "a946d533-***"),
        ("CPF", "", ""),
        ("CPF", "ana@x.com", "***"),
        ("NEW", "11122233396", "***"),
    ],
)
def test_a_masked_key_shows_enough_to_tell_keys_apart(
    key_type: KeyType, key: str, shown: str
) -> None:
    assert masked_key(key_type, key) == shown


# --- for any text ---------------------------------------------------------------------------------
#: From the directory's manual: the library must agree.
_FIRST = (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def with_check_digit(body: str, weights: Iterable[int]) -> str:
    rest = sum((ord(one) - 48) * by for one, by in zip(body, weights, strict=True)) % 11
    return body + ("0" if rest < 2 else str(11 - rest))


def cpf(body: str) -> str:
    return with_check_digit(with_check_digit(body, range(10, 1, -1)), range(11, 1, -1))


def cnpj(body: str) -> str:
    return with_check_digit(with_check_digit(body, _FIRST), (6, *_FIRST))


LOCAL = string.ascii_letters + string.digits + ".!#$'*+/=?^_`{|}~-"
NAMES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
VALID = st.one_of(
    st.tuples(st.just(KeyType.CPF), st.text(string.digits, min_size=9, max_size=9).map(cpf)),
    st.tuples(
        st.just(KeyType.CNPJ),
        st.text(string.digits + string.ascii_uppercase, min_size=12, max_size=12).map(cnpj),
    ),
    st.tuples(st.just(KeyType.PHONE), st.integers(0, 9999_9999).map(lambda n: f"+55619{n:08}")),
    st.tuples(
        st.just(KeyType.EMAIL),
        st.tuples(
            st.text(LOCAL, min_size=1, max_size=40), st.lists(NAMES, min_size=1, max_size=3)
        ).map(lambda parts: f"{parts[0]}@{'.'.join(parts[1])}"),
    ),
    st.tuples(st.just(KeyType.EVP), st.uuids().map(str)),
)
NEARLY = st.text(string.hexdigits + ".-/+@ ²١\n\x00ßıK", max_size=40)


@given(st.sampled_from(KeyType), st.text() | NEARLY)
def test_any_text_is_a_key_of_the_directory_or_refused(key_type: KeyType, raw: str) -> None:
    try:
        key = clean_key(key_type, raw)
    except Invalid as refused:
        assert refused.code == "key_invalid"
    else:
        assert re.fullmatch(DIRECTORY[key_type], key, re.ASCII)


@given(VALID, st.booleans(), st.sampled_from(["", " ", "   "]))
def test_cleaning_twice_is_cleaning_once(
    valid: tuple[KeyType, str], small: bool, around: str
) -> None:
    key_type, raw = valid
    assume(len(set(raw)) > 1)
    try:
        key = clean_key(key_type, around + (raw.lower() if small else raw) + around)
    except Invalid:
        # Not every number of an area is in use.
        assert key_type is KeyType.PHONE
        return
    assert clean_key(key_type, key) == key
    assert re.fullmatch(DIRECTORY[key_type], key, re.ASCII)
    assert len(key) <= 77


@given(VALID, st.integers(0, 13), st.integers(1, 9))
def test_one_mistyped_digit_of_a_tax_id_is_found(
    valid: tuple[KeyType, str], place: int, by: int
) -> None:
    key_type, raw = valid
    assume(key_type in (KeyType.CPF, KeyType.CNPJ) and len(set(raw)) > 1)
    place %= len(raw)
    assume(raw[place].isdigit())
    typed = raw[:place] + str((int(raw[place]) + by) % 10) + raw[place + 1 :]
    # A remainder of 0 and of 1 have the same check digit: the scheme's own gap.
    try:
        assert clean_key(key_type, typed) == typed
    except Invalid:
        return
    assert place < len(raw) - 2


@given(st.sampled_from([*KeyType, "NEW"]), st.text() | NEARLY | VALID.map(lambda valid: valid[1]))
def test_a_mask_never_shows_the_key(key_type: KeyType, key: str) -> None:
    shown = masked_key(key_type, key)
    assert shown == "" if not key else "***" in shown
    assert not key or key not in shown or set(key) <= set("*.-/ +@")


@given(st.text())
def test_what_the_directory_sends_is_kept_or_refused(raw: str) -> None:
    try:
        assert key_as_sent(KeyType.EMAIL, raw) == raw
    except Invalid as refused:
        assert refused.code == "directory_key_invalid"
