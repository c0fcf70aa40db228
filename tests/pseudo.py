"""A language that nobody speaks: every marked text comes in it accented, in brackets and a third
longer. What is still plain on a page was not marked; what no longer fits is cut off."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import trans_real

LANGUAGE = "en-xa"
_ACCENTED = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "ÀƁÇĐÉƑĜĤÎĴĶĹṀÑÖÞǪŔŠŢÛṼŴẊÝŽàƀçđéƒĝĥîĵķĺɱñöþǫŕšţûṽŵẋýž",
)
#: What a translator leaves as it is: placeholders, tags of HTML, entities.
_KEPT = re.compile(r"(%\(\w+\)[-+ #0-9.]*[a-zA-Z]|%[sdif%]|\{[^{}]*\}|<[^<>]+>|&#?\w+;)")
_LONGEST_WORD = 8


def pseudo(text: str) -> str:
    """The text as the pseudo-language has it."""
    if not re.search("[A-Za-z]", _KEPT.sub("", text)):
        return text
    parts = [
        part if number % 2 else part.translate(_ACCENTED)
        for number, part in enumerate(_KEPT.split(text))
    ]
    spoken = _KEPT.sub("", text)
    more = "ẋ" * -(-len(spoken) // 3)
    words = [more[at : at + _LONGEST_WORD] for at in range(0, len(more), _LONGEST_WORD)]
    # A single word grows itself, as many do in German.
    glue = " " if " " in spoken.strip() else ""
    body, blank = re.fullmatch(r"(.*?)(\s*)", "".join(parts), re.DOTALL).groups()  # type: ignore[union-attr]
    begin = body[: len(body) - len(body.lstrip())]
    return f"{begin}⟦{body.lstrip()}{glue}{' '.join(words)}⟧{blank}"


class Pseudo:
    """What Django asks for translations, without a catalog."""

    def to_language(self) -> str:
        return LANGUAGE

    def gettext(self, message: str) -> str:
        return pseudo(message.rpartition(translation.trans_real.CONTEXT_SEPARATOR)[2])

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return self.gettext(singular if number == 1 else plural)


@contextmanager
def spoken(settings: Any, *, by_all: bool) -> Iterator[None]:
    """The pseudo-language is one of LANGUAGES; `by_all`: also the site's own, so that what is kept
    in rows and sent is in it too. `settings`: pytest-django's."""
    with pytest.MonkeyPatch.context() as patch:
        settings.LANGUAGES = [("en", "English"), (LANGUAGE, "Pseudo")]
        if by_all:
            settings.LANGUAGE_CODE = LANGUAGE
        trans_real.reset_cache(setting="LANGUAGES", value=None)
        patch.setitem(trans_real._translations, LANGUAGE, Pseudo())
        # First `_trans`: it keeps what it finds in `trans_real`, and must not keep ours.
        for module in (translation._trans, trans_real):
            patch.setattr(module, "check_for_language", lambda code: code in ("en", LANGUAGE))
        patch.setattr(trans_real, "_default", Pseudo() if by_all else trans_real.translation("en"))
        with translation.override(LANGUAGE if by_all else "en"):
            yield
    trans_real.reset_cache(setting="LANGUAGES", value=None)


# --- what a page says -----------------------------------------------------------------------------
_READ = {"title", "aria-label", "aria-description", "placeholder", "alt", "label"}
#: What is in them is data by their meaning, or read by nobody.
_SILENT = {"script", "style", "code", "pre", "time", "kbd", "samp", "textarea", "svg"}
_VOID = {"input", "br", "hr", "img", "link", "meta", "use", "path", "wbr", "col", "source"}


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        silent = tag in _SILENT or given.get("translate") == "no"
        if tag not in _VOID and (self._silent or silent):
            self._silent.append(tag)
        if given.get("translate") == "no":
            return
        self.found += [value for name, value in attrs if name in _READ and value]
        if tag == "input" and given.get("type") in ("submit", "button", "reset"):
            self.found.append(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag not in _VOID and tag in self._silent:
            while self._silent.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.found.append(" ".join(data.split()))


def texts(html: str) -> list[str]:
    """Every text of the document that somebody reads or is read to."""
    reader = _Texts()
    reader.feed(html)
    return reader.found


#: Ids and digests, also cut short; and what programs call things: approval.signed, request_settled.
_ID = re.compile(
    r"\b(?=[0-9a-f-]*\d)[0-9a-f]{4,}(?:-[0-9a-f]+)*\b|\b[a-z]+(?:[._:/-]+[a-z]+)+(?![a-z])|\b[A-Z]\w+Workflow\b"
)
_PLAIN = re.compile(r"[a-z]{2,}")


def unmarked(found: list[str], data: list[str]) -> list[str]:
    """Those of the texts that are in plain letters somewhere, once people's data (longest first),
    ids are taken out; numbers are 0. Abbreviations in capitals, such as UTC and NGN, are
    names."""
    own = "|".join(map(re.escape, sorted(data, key=len, reverse=True)))
    known = re.compile(rf"{_ID.pattern}|\{{\w+\}}|(?<![a-z])(?:{own})(?![a-z])")
    left = (known.sub("…", text) for text in found)
    return sorted({re.sub(r"\d+", "0", text) for text in left if _PLAIN.search(text)})
