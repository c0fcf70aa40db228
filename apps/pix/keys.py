"""Pix keys: what people and programs give us here is checked whole, what the directory gives us is
kept as it is.

Everything is text of ASCII: a branch `1` is not the branch `0001`, and `²` is no digit. Letters are
looked at only after that, because `lower` and `upper` turn some other letters into ASCII ones.
"""

import re
from collections.abc import Callable

from phonenumbers import (
    NumberParseException,
    PhoneNumberFormat,
    format_number,
    is_valid_number,
    parse,
)
from validate_docbr import CNPJ, CPF

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import text_of
from apps.pix.contracts import LONGEST_KEY, KeyType

#: A CPF and a CNPJ as people write them: the punctuation in its usual places, all of it or none.
_WRITTEN_CPF = re.compile(r"(\d{3})\.?(\d{3})\.?(\d{3})-?(\d{2})", re.ASCII)
_WRITTEN_CNPJ = re.compile(
    r"([0-9A-Z]{2})\.?([0-9A-Z]{3})\.?([0-9A-Z]{3})/?([0-9A-Z]{4})-?([0-9]{2})"
)
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")
_EMAIL = re.compile(
    r"[a-z0-9.!#$'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    r"(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)
_NOT_IN_EMAIL = re.compile(r"[^a-z0-9.!#$'*+/=?^_`{|}~@-]")
_EVP = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Wrong(ValueError):
    """What is wrong, as a sentence for people."""


def clean_key_type(raw: object, *, field: str = "key_type") -> KeyType:
    """Return the type of key. Raises Invalid `key_type_invalid` (extra field)."""
    try:
        return KeyType(raw)  # type: ignore[arg-type]
    except ValueError:
        raise Invalid(
            _("The type of a key is CPF, CNPJ, PHONE, EMAIL or EVP."),
            code="key_type_invalid",
            field=field,
        ) from None


def clean_key(key_type: KeyType | str, raw: object, *, field: str = "key") -> str:
    """Return a key that somebody typed or a program sent, as the directory writes it.

    Blanks around it are taken off, and the punctuation of a CPF or CNPJ. Letters of a CNPJ become
    capitals, those of an e-mail address and an EVP small ones. A phone number is never completed.
    Raises Invalid `key_type_invalid`; `key_invalid` (extra field), whose text says what is wrong.
    """
    clean = _CLEANERS[clean_key_type(key_type)]
    return _cleaned(raw, clean, field=field, code="key_invalid")


def clean_new_key(key_type: KeyType | str, raw: object, *, field: str = "key") -> str:
    """As `clean_key`, of a key to be registered. An EVP is empty (or None): the directory makes it.
    Raises Invalid also when one is given."""
    if clean_key_type(key_type) is not KeyType.EVP:
        return clean_key(key_type, raw, field=field)
    if raw is None or raw == "":
        return ""
    raise Invalid(
        _("The directory makes the key of type EVP: leave it empty."),
        code="key_invalid",
        field=field,
    )


def key_as_sent(key_type: KeyType | str, raw: object) -> str:
    """Return a key that the directory sent, exactly as it is: the directory is right about its own
    keys, and the sync compares them as they were sent. Raises Invalid `key_type_invalid`;
    `directory_key_invalid` unless it is a text of 1 to 77 characters that a row can keep."""
    clean_key_type(key_type)
    key = text_of(raw, code="directory_key_invalid")
    if not 1 <= len(key) <= LONGEST_KEY:
        raise Invalid(
            filled(_("A key has 1 to {longest} characters."), longest=LONGEST_KEY),
            code="directory_key_invalid",
        )
    return key


def masked_key(key_type: KeyType | str, key: str) -> str:
    """Return the key as lists, logs and metrics show it: keys are personal data. What does not have
    the form of its type, which the directory may send, is hidden whole. Never raises.

    CPF `***.222.333-**`, CNPJ `**.222.333/****-**`, e-mail `r***@h***.com`, phone
    `+55 61 *****-0000`, EVP `a946d533-***`; empty for no key.
    """
    if not key:
        return ""
    mask = _MASKS.get(key_type) if isinstance(key_type, str) else None
    return (isinstance(key, str) and mask and mask(key)) or "***"


# --- checking -------------------------------------------------------------------------------------
def _cleaned(raw: object, clean: Callable[[str], str], *, field: str, code: str) -> str:
    try:
        return clean(_plain(raw))
    except _Wrong as wrong:
        raise Invalid(wrong.args[0], code=code, field=field) from None


def _plain(raw: object) -> str:
    """Return the text without blanks around it, if it is of ASCII; empty, which no type of key
    takes, for what is not a text."""
    if not isinstance(raw, str):
        return ""
    if not raw.isascii():
        raise _Wrong(
            filled(
                _(
                    "The character {character} is not allowed here, only letters a to z, digits "
                    "0 to 9 and signs."
                ),
                character=_named(next(one for one in raw if not one.isascii())),
            )
        )
    return raw.strip(" ")


def _named(character: str) -> str:
    """Return the character if people can see it, else its number."""
    return character if character.isprintable() else f"U+{ord(character):04X}"


def _clean_cpf(text: str) -> str:
    match = _WRITTEN_CPF.fullmatch(text)
    if not match:
        raise _Wrong(_("A CPF is a text of 11 digits, such as 111.222.333-96."))
    cpf = "".join(match.groups())
    if len(set(cpf)) == 1:
        raise _Wrong(_("A CPF of one digit only is nobody's."))
    if not CPF().validate(cpf):
        raise _Wrong(_("The last two digits of this CPF do not fit the others: one is mistyped."))
    return cpf


def _clean_cnpj(text: str) -> str:
    match = _WRITTEN_CNPJ.fullmatch(text.upper())
    if not match:
        raise _Wrong(
            _("A CNPJ is a text of 12 letters or digits and 2 digits, such as 11.222.333/0001-81.")
        )
    cnpj = "".join(match.groups())
    if len(set(cnpj)) == 1:
        raise _Wrong(_("A CNPJ of one digit only is nobody's."))
    if not CNPJ().validate(cnpj):
        raise _Wrong(_("The last two digits of this CNPJ do not fit the others: one is mistyped."))
    return cnpj


def _clean_phone(text: str) -> str:
    if not _PHONE.fullmatch(text):
        raise _Wrong(
            _(
                "A phone number is a text of + and digits, the country's first, such as "
                "+5561988880000."
            )
        )
    try:
        number = parse(text)
    except NumberParseException:
        raise _Wrong(_("No country's phone numbers begin like this.")) from None
    # The library mends what it reads: +5500987… would be stored as another number.
    if not is_valid_number(number) or format_number(number, PhoneNumberFormat.E164) != text:
        raise _Wrong(
            _("No phone in that country has such a number: a digit is missing, or one too many.")
        )
    return text


def _clean_email(text: str) -> str:
    email = text.lower()
    if len(email) > LONGEST_KEY:
        raise _Wrong(
            filled(
                _("An e-mail address that is a key has at most {longest} characters."),
                longest=LONGEST_KEY,
            )
        )
    if stranger := _NOT_IN_EMAIL.search(email):
        raise _Wrong(
            filled(
                _("An e-mail address that is a key cannot have {character}."),
                character=_("a blank") if stranger[0] == " " else _named(stranger[0]),
            )
        )
    if not _EMAIL.fullmatch(email):
        raise _Wrong(_("An e-mail address is written like name@example.com."))
    return email


def _clean_evp(text: str) -> str:
    evp = text.lower()
    if not _EVP.fullmatch(evp):
        raise _Wrong(
            _(
                "An EVP has 32 digits and letters a to f, with dashes, such as "
                "a946d533-7f22-42a5-9a9b-e87cd55c0f4d."
            )
        )
    return evp


_CLEANERS: dict[KeyType, Callable[[str], str]] = {
    KeyType.CPF: _clean_cpf,
    KeyType.CNPJ: _clean_cnpj,
    KeyType.PHONE: _clean_phone,
    KeyType.EMAIL: _clean_email,
    KeyType.EVP: _clean_evp,
}


# --- hiding ---------------------------------------------------------------------------------------
def _masked_cpf(key: str) -> str:
    return f"***.{key[3:6]}.{key[6:9]}-**" if re.fullmatch(r"[0-9]{11}", key) else ""


def _masked_cnpj(key: str) -> str:
    return (
        f"**.{key[2:5]}.{key[5:8]}/****-**" if re.fullmatch(r"[0-9A-Za-z]{12}[0-9]{2}", key) else ""
    )


def _masked_phone(key: str) -> str:
    if re.fullmatch(r"\+55[0-9]{10,11}", key):
        return f"+55 {key[3:5]} *****-{key[-4:]}"
    # The country's digits are not told apart without a list; of a short number four are too many.
    return f"+*****-{key[-4:]}" if re.fullmatch(r"\+[0-9]{9,15}", key) else ""


def _masked_email(key: str) -> str:
    if not _EMAIL.fullmatch(key):
        return ""
    local, _at, domain = key.partition("@")
    name, _point, ending = domain.rpartition(".")
    return f"{local[0]}***@{name[0]}***.{ending}" if name else f"{local[0]}***@***"


def _masked_evp(key: str) -> str:
    return f"{key[:8]}-***" if _EVP.fullmatch(key) else ""


_MASKS: dict[str, Callable[[str], str]] = {
    KeyType.CPF: _masked_cpf,
    KeyType.CNPJ: _masked_cnpj,
    KeyType.PHONE: _masked_phone,
    KeyType.EMAIL: _masked_email,
    KeyType.EVP: _masked_evp,
}
