import pytest

from apps.common.validation import unseen


@pytest.mark.parametrize(
    "character",
    [
        *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",  # directions
        *"\u200b\u2060\u2061\ufeff\u00ad\u180e",  # of no width
        *"\u2028\u2029",  # lines that are none
        *"\ue000\U000f0000\u0378\uffff\U000e0041",  # private, unassigned, tags
    ],
)
def test_a_character_that_nobody_sees_is_named(character: str) -> None:
    assert unseen(f"NGN 5{character}00") == f"U+{ord(character):04X}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bank transfer: NGN 1,200.00, to Adébáyọ̀ \u2013 \u201cfor roofs\u201d\n\tand wells",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a joiner that it needs
        "\u0915\u094d\u200d\u0937",  # Devanagari, likewise
        "\U0001f469\u200d\U0001f33e \u2764\ufe0f",  # a farmer and a heart
        "\u0600\u0661\u0662 \u06dd",  # signs that Arabic writes around numbers
        "\u00a0\u202f",  # spaces of other widths are seen as spaces
    ],
)
def test_what_people_write_is_let_through(text: str) -> None:
    assert unseen(text) == ""
