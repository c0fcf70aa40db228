"""Tells whether the bytes of a message are about a customer. Pure functions."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.common.errors import Invalid
from apps.common.strict_json import NotJson, exact_document_of

FIELD = "customer_id"
#: Documents inside the texts of documents, as programs of dead letters send them.
DEEPEST_TEXT = 3


@dataclass(frozen=True)
class Customer:
    """A customer, by the id that producers use."""

    id: str

    @cached_property
    def traces(self) -> frozenset[bytes]:
        """Return byte strings of which every payload of the customer has one. The last is how any
        letter of the id may be written in JSON."""
        found = {self.id, "\\u"}
        for ascii_only in (True, False):
            text = self.id
            for _ in range(DEEPEST_TEXT + 1):
                text = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
                found.add(text)
        return frozenset(text.encode("utf-8", "replace") for text in found)

    def is_of(self, raw: bytes) -> bool:
        """Return whether a field `customer_id` in the payload, at any depth, has this id; in bytes
        that are no document, whether they have that text."""
        try:
            return self._within(exact_document_of(raw), DEEPEST_TEXT)
        except (NotJson, Invalid):
            return any(pattern.search(raw) for pattern in self._patterns)

    @cached_property
    def _patterns(self) -> list[re.Pattern[bytes]]:
        written = {json.dumps(self.id, ensure_ascii=plain) for plain in (True, False)}
        return [
            re.compile(rb'"%b"\s*:\s*%b' % (FIELD.encode(), re.escape(text.encode())))
            for text in written
        ]

    def _within(self, document: Any, texts: int) -> bool:
        """Return whether the document has the field, without recursion: as deep as it is nested."""
        left = [document]
        while left:
            value = left.pop()
            if isinstance(value, dict):
                if value.get(FIELD) == self.id:
                    return True
                left.extend(value.values())
            elif isinstance(value, list):
                left.extend(value)
            elif isinstance(value, str) and self._in_text(value, texts):
                return True
        return False

    def _in_text(self, text: str, texts: int) -> bool:
        if not texts or FIELD not in text:
            return False
        raw = text.encode("utf-8", "replace")
        try:
            return self._within(exact_document_of(raw), texts - 1)
        except (NotJson, Invalid):
            return any(pattern.search(raw) for pattern in self._patterns)
