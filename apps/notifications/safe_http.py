"""POST to a webhook's address: the receiver's answer, or why there is none."""

from dataclasses import dataclass

from apps.common.errors import DomainError
from apps.outbound.sending import send

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
    """The text on one line, with a blank for what is no character: PostgreSQL takes no NUL."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def post(url: str, *, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
    """Send it; the answer whatever its status. Undelivered within about `seconds` else."""
    try:
        answer = send(
            "POST",
            url,
            seconds=seconds,
            headers={**headers, "User-Agent": USER_AGENT},
            body=body,
            most_bytes=ANSWER_LIMIT,
            whole=False,
        )
    except DomainError as error:
        raise Undelivered(error.recorded) from error
    return Answer(answer.status, answer.body.decode("utf-8", "replace").replace("\0", ""))
