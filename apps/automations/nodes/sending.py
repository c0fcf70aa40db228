"""Calls of automations to other programs: what all types of nodes that make one have in common."""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from apps.automations.definition import LONGEST_URL
from apps.automations.nodes.answers import text_of
from apps.automations.nodes.call import Call
from apps.automations.nodes.configured import check_header
from apps.automations.values import MOST_BYTES, json_of
from apps.common.errors import Invalid, Unavailable
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.outbound.addresses import place_of, sendable
from apps.outbound.calls import LATER
from apps.outbound.sending import Answer, send

IDEMPOTENCY_KEY = "Idempotency-Key"
#: Headers of an author that are replaced by ours.
_OURS = frozenset({"accept-encoding", IDEMPOTENCY_KEY.lower()})
_NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Characters of a refused call's answer that its error tells.
_TOLD = 300


def answer_of(
    call: Call,
    method: str,
    url: Any,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    allowed: Collection[str] = (),
) -> Answer:
    """Send it with the idempotency key of the call; return an answer that is no failure.

    Raises Invalid `call_refused` (4xx), `secret_not_for_host`, and as `send`; Unavailable
    `call_unavailable` (5xx, and 4xx that mean "later"), and as `send`.
    """
    if not isinstance(url, str):
        raise Invalid(_("The address is not a text."), code="bad_url")
    address = sendable(url, longest=LONGEST_URL, more=allowed)
    call.secrets.check_host(*place_of(address))
    answer = send(
        method,
        address,
        seconds=call.seconds,
        headers={**headers, IDEMPOTENCY_KEY: key_written(call.key)},
        body=body,
        allowed=allowed,
        most_bytes=MOST_BYTES,
        stopped=call.stopped,
    )
    if answer.status >= 400:
        raise _failure(call, answer)
    return answer


def headers_of(given: Any) -> dict[str, str]:
    """Return an author's headers as they are sent: texts and numbers.

    Raises Invalid `header_not_allowed` for one that belongs to the connection, `bad_header` for a
    value that is neither, or has a line break in it.
    """
    headers = {}
    for name, value in (given or {}).items():
        check_header(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = json_of(value)
        if not isinstance(value, str) or _NOT_IN_HEADERS.search(value):
            raise Invalid(
                filled(_("The header {name} is not a line of text, or a number."), name=name),
                code="bad_header",
            )
        if name.lower() not in _OURS:
            headers[name] = value
    return headers


def has_header(headers: Mapping[str, str], name: str) -> bool:
    """Return whether one of the headers has this name, in lower case."""
    return any(known.lower() == name for known in headers)


def key_written(key: str) -> str:
    """Return the key as a header has it: as it is, but for what no header takes, which is
    %-quoted."""
    return quote(key, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~")


def _failure(call: Call, answer: Answer) -> Invalid | Unavailable:
    # Hidden before it is cut: half a secret is not found any more.
    told = call.secrets.hidden(text_of(answer) or "")
    told = " ".join("".join(c if c.isprintable() else " " for c in told).split())[:_TOLD]
    detail = filled(_("It answered {status}: {text}"), status=answer.status, text=told)
    if answer.status < 500 and answer.status not in LATER:
        return Invalid(detail, code="call_refused")
    return Unavailable(detail, code="call_unavailable")
