"""Who is paid, written in one way."""

import unicodedata

from apps.common.errors import Invalid
from apps.common.validation import clean_text

_JOINERS = frozenset("\u200c\u200d")
#: Nothing is seen of them: fillers, selectors of variants, the joiner that is a mark.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
LONGEST_TARGET = 200


def clean_target(text: str) -> str:
    """Who is paid, written in one way, so that what reads the same is the same target to the limit
    that a policy sets: composed (NFC), one blank between words. Invalid as `clean_text`, and
    `invisible_characters` also for those that no name needs where they stand."""
    cleaned = clean_text(text, field="target", limit=LONGEST_TARGET)
    for before, character in zip(f" {cleaned}", cleaned, strict=False):
        if character in _BLANK or (character in _JOINERS and not _joins(before)):
            raise Invalid(
                "The target has a character that nobody sees "
                f"(U+{ord(character):04X}): type it anew there.",
                code="invisible_characters",
                field="target",
                character=f"U+{ord(character):04X}",
            )
    one_way = " ".join(unicodedata.normalize("NFC", cleaned).split())
    return clean_text(one_way, field="target", limit=LONGEST_TARGET)


def _joins(before: str) -> bool:
    """Whether a joiner after this character changes what is seen: after an Arabic letter, or a sign
    that takes away the vowel of an Indic one (RFC 5892, A.1 and A.2)."""
    return unicodedata.bidirectional(before) == "AL" or unicodedata.combining(before) == 9
