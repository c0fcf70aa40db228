"""Lays events out for people: JSON by lines with every digit, bytes that are no text, differences
of two versions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

from apps.payments.differences import visible
from apps.payments.models.events import Came
from apps.payments.services.payloads import parsed

#: Longer contents are cut on pages, and downloaded whole.
MOST_SHOWN = 64 * 1024
#: Of each side: beyond it comparing takes seconds.
MOST_LINES = 2000
#: Lines around a difference.
AROUND = 3


@dataclass(frozen=True)
class Content:
    """Bytes as a page shows them. `kind`: json, text, bytes, empty or none; `cut`: there is
    more."""

    kind: str
    text: str = ""
    cut: bool = False


@dataclass(frozen=True)
class DiffLine:
    """A line of a comparison. `sign`: "+", "-", " ", or "…" where equal lines are left out."""

    sign: str
    text: str = ""


def place_of(came: Came) -> str:
    """Return where a message was: topic, partition, offset, as far as it had them."""
    place = (came.topic, came.partition, came.offset)
    return " · ".join(str(part) for part in place if part not in ("", None))


def content_of(raw: bytes | None) -> Content:
    """Return the bytes as a page shows them."""
    if raw is None:
        return Content("none")
    if not raw:
        return Content("empty")
    text = laid_out(raw)
    if text is not None:
        return Content("json", text[:MOST_SHOWN], len(text) > MOST_SHOWN)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        shown = raw[: MOST_SHOWN // 4]
        return Content("bytes", shown.hex(" ", 4), len(raw) > len(shown))
    return Content("text", visible(text[:MOST_SHOWN], but="\n\t"), len(text) > MOST_SHOWN)


def laid_out(raw: bytes | None) -> str | None:
    """Return JSON by lines, in the order of its members; None for bytes that are none."""
    document = parsed(raw)
    return None if document is None else "\n".join(_lines(document, "", ""))


def compared(before: bytes | None, after: bytes | None) -> list[DiffLine] | None:
    """Return what differs between two versions, line by line; None where one of them is too long to
    compare."""
    old, new = _split(before), _split(after)
    if len(old) > MOST_LINES or len(new) > MOST_LINES:
        return None
    found: list[DiffLine] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(AROUND):
        if found or group[0][1] > 0:
            found.append(DiffLine("…"))
        for tag, first, last, begin, end in group:
            if tag == "equal":
                found += [DiffLine(" ", text) for text in old[first:last]]
            else:
                found += [DiffLine("-", text) for text in old[first:last]]
                found += [DiffLine("+", text) for text in new[begin:end]]
    return found


# --- helpers --------------------------------------------------------------------------------------
def _split(raw: bytes | None) -> Sequence[str]:
    text = laid_out(raw)
    if text is None:
        text = (raw or b"").decode("utf-8", "backslashreplace")
    return [visible(line, but="\t") for line in text.splitlines()]


def _lines(value: Any, indent: str, before: str) -> list[str]:
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{indent}{before}{{"]
        for name, item in value.items():
            lines += _lines(item, inner, f"{_text(name)}: ")
            lines[-1] += ","
        lines[-1] = lines[-1][:-1]
        return [*lines, f"{indent}}}"]
    if isinstance(value, list) and value:
        lines = [f"{indent}{before}["]
        for item in value:
            lines += _lines(item, inner, "")
            lines[-1] += ","
        lines[-1] = lines[-1][:-1]
        return [*lines, f"{indent}]"]
    return [f"{indent}{before}{_scalar(value)}"]


def _scalar(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
