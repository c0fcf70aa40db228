"""One call to an address that a person gave, with whatever method and content: the other side's
answer, or why there is none. Connections are closed after it: calls share nothing.
"""

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import httpx2

from apps.common.errors import Invalid, Unavailable
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.outbound.addresses import LONGEST_URL, sendable
from apps.outbound.sockets import CutOff, Stopped
from apps.outbound.transport import (
    MOST_BYTES,
    AddressNotAllowed,
    AnswerTooLarge,
    guarded_client,
)

USER_AGENT = "Countersign/1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: Names of headers that belong to the connection, not to whoever sends something over it.
OF_CONNECTION = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"),
        "upgrade",
    }
)
_COMPRESSED = ("gzip", "x-gzip", "deflate")


@dataclass(frozen=True)
class Answer:
    """The status, the headers as they came (names in lower case), and the body, decompressed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of that name, in lower case, or an empty text."""
        return next((value for known, value in self.headers if known == name), "")


def send(
    method: str,
    url: str | httpx2.URL,
    *,
    seconds: float,
    headers: Mapping[str, str],
    body: bytes | None = None,
    allowed: Collection[str] = (),
    longest_url: int = LONGEST_URL,
    most_bytes: int = MOST_BYTES,
    whole: bool = True,
    stopped: Stopped | None = None,
) -> Answer:
    """Send it and return the answer, whatever its status; redirects are answers.

    `seconds` for all of it. `allowed`: hosts of the operator's own configuration, in addition to
    `OUTBOUND_ALLOWED_HOSTS`. `whole=False`: only the first `most_bytes` of the body, as they came.
    `stopped()` says whether the call is to end. Headers are printable, and none `OF_CONNECTION`.

    Raises Invalid `bad_url`, `address_not_allowed`, `output_too_large`, `answer_compressed`;
    Unavailable `not_reachable`, `timed_out`, `cut_off`. What the other side sent is in no text.
    """
    address = sendable(url, longest=longest_url, more=allowed) if isinstance(url, str) else url
    sent = httpx2.Headers({"User-Agent": USER_AGENT}, encoding="utf-8")
    fixed = {"Accept-Encoding": "identity", "Connection": "close"}
    for name, value in [*headers.items(), *fixed.items()]:
        sent[name] = value
    limit = most_bytes if whole else 2**63
    refusal: Invalid | Unavailable
    try:
        with (
            guarded_client(seconds, allowed=allowed, most_bytes=limit, stopped=stopped) as client,
            client.stream(method, address, content=body, headers=sent) as response,
        ):
            return _read(response, most_bytes, whole)
    except CutOff:
        refusal = Unavailable(_("The call was cut off."), code="cut_off")
    except AddressNotAllowed:
        words = _("{host} leads to an address that is not public.")
        refusal = Invalid(filled(words, host=address.host), code="address_not_allowed")
    except AnswerTooLarge:
        refusal = _too_large(most_bytes)
    except httpx2.TimeoutException:
        refusal = Unavailable(
            filled(_("No whole answer within {seconds} s."), seconds=f"{seconds:g}"),
            code="timed_out",
        )
    except httpx2.HTTPError as error:
        refusal = Unavailable(
            filled(_("It cannot be reached: {why}"), why=_why(error)), code="not_reachable"
        )
    # Not in the `except`, which would keep the error, and with it what was sent and answered.
    raise refusal


def _read(response: httpx2.Response, most_bytes: int, whole: bool) -> Answer:
    parts, size = [], 0
    for part in response.iter_raw():
        parts.append(part)
        size += len(part)
        if size >= most_bytes and not whole:
            break
    body = b"".join(parts)[:most_bytes]
    if whole:
        body = _decompressed(body, response.headers.get("content-encoding", ""), most_bytes)
    headers = tuple((_text(name).lower(), _text(value)) for name, value in response.headers.raw)
    return Answer(response.status_code, headers, body)


def _decompressed(body: bytes, coding: str, most_bytes: int) -> bytes:
    """Return the body of a server that compresses without being asked to."""
    coding = coding.strip().lower()
    if coding in ("", "identity") or not body:
        return body
    refusal = Invalid(
        _("The answer is compressed in a way that cannot be read."), code="answer_compressed"
    )
    if coding not in _COMPRESSED:
        raise refusal
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS + 32)
    try:
        read = reader.decompress(body, most_bytes + 1)
    except zlib.error:
        raise refusal from None
    if not reader.eof and len(read) <= most_bytes:
        raise refusal
    if len(read) > most_bytes:
        raise _too_large(most_bytes)
    return read


def _too_large(most_bytes: int) -> Invalid:
    return Invalid(
        filled(_("The answer has more than {most} bytes."), most=most_bytes),
        code="output_too_large",
    )


def _why(error: httpx2.HTTPError) -> str:
    """Return what went wrong, without what the other side sent instead of HTTP."""
    name = type(error.__cause__ or error).__name__
    return name if "Protocol" in name else f"{name}: {error}"[:500]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
