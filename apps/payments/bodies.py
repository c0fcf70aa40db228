"""Reads a request's body, and splits it into events, each with its own bytes: one bad event refuses
no other."""

import re

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.uploads import TooLarge

#: A text as a whole, so that what stands in it is not looked at, or a sign of structure.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_BLANK = b" \t\r\n"


def body_of(request: HttpRequest, *, most: int) -> bytes:
    """Return the body. Raises TooLarge beyond `most` bytes."""
    try:
        body = request.body
    except RequestDataTooBig:
        body = request.read(most + 1)
    if len(body) > most:
        raise TooLarge(filled(_("A body has at most {most} bytes."), most=most))
    return bytes(body)


def events_in(body: bytes, *, lines: bool) -> list[bytes]:
    """Return the bytes of each event: of each line that is not blank (`lines`), of each item of an
    array, or the body itself. Never raises: what cannot be split is one event, and unreadable."""
    if lines:
        return [line for line in body.split(b"\n") if line.strip(_BLANK)]
    inner = body.strip(_BLANK)
    if inner[:1] == b"[":
        items = _items(inner)
        if items is not None:
            return items
    return [body]


def _items(array: bytes) -> list[bytes] | None:
    """Return the items of an array; None when its brackets do not end where it does."""
    items, depth, begin = [], 0, 1
    for token in _TOKEN.finditer(array):
        sign = token.group()
        if sign in (b"[", b"{"):
            depth += 1
        elif sign in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                if token.end() != len(array):
                    return None
                items.append(array[begin : token.start()])
                break
        elif sign == b"," and depth == 1:
            items.append(array[begin : token.start()])
            begin = token.end()
    else:
        return None
    if len(items) == 1 and not items[0].strip(_BLANK):
        return []
    return [item.strip(_BLANK) for item in items]
