"""POST to a webhook's address: the receiver's answer, or why there is none."""

from dataclasses import dataclass

import httpx2

from apps.common.errors import Invalid
from apps.outbound.addresses import split
from apps.outbound.transport import guarded_client

ANSWER_LIMIT = 4096
USER_AGENT = "Countersign-Webhooks/1"


class Undelivered(Exception):
    """No answer: refused by us, unreachable, too slow, or not HTTP. Its text can be stored."""

    def __init__(self, text: str) -> None:
        super().__init__(storable(text))


@dataclass(frozen=True)
class Answer:
    """The status and the beginning of the body."""

    status: int
    text: str


def storable(text: str) -> str:
    """The text on one line, with a blank for what is no character. What a server says instead of
    HTTP stands in an error's text, and PostgreSQL takes no NUL."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def post(url: str, *, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
    """Send it; the answer whatever its status. Undelivered within about `seconds` else."""
    try:
        split(url)
    except Invalid as error:
        raise Undelivered(error.detail) from error
    sent = {**headers, "User-Agent": USER_AGENT, "Connection": "close"}
    try:
        with (
            guarded_client(seconds) as client,
            client.stream("POST", url, content=body, headers=sent) as response,
        ):
            return Answer(response.status_code, _beginning(response))
    except httpx2.TimeoutException as error:
        raise Undelivered(f"No whole answer within {seconds:g} s.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}"[:500]) from error


def _beginning(response: httpx2.Response) -> str:
    content = b""
    for part in response.iter_raw():
        content += part
        if len(content) >= ANSWER_LIMIT:
            break
    return content[:ANSWER_LIMIT].decode("utf-8", "replace").replace("\0", "")
