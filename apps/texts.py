"""Text that people read and sign: what they see has to be all that is there."""

import unicodedata

#: Of no form of their own: format, line and paragraph separators, private use, unassigned.
_UNSEEN = frozenset({"Cf", "Zl", "Zp", "Co", "Cn"})
#: Format characters that scripts need: joiners (Persian, Indic, emoji), and the signs that Arabic,
#: Syriac and Kaithi write around numbers, which are seen.
_NEEDED = frozenset("\u200c\u200d\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd") | frozenset(
    map(chr, range(0x0600, 0x0606))
)


def unseen(text: str) -> str:
    """The first character of the text that nobody sees and that changes what is read, such as one
    that turns the direction of writing, as "U+202E"; empty when there is none."""
    for character in text:
        if character not in _NEEDED and unicodedata.category(character) in _UNSEEN:
            return f"U+{ord(character):04X}"
    return ""
