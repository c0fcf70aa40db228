"""Calls with an effect in another program: one idempotency key, and an answer that is either the
other side's, or none.

A refusal is an answer in which the other side itself says no: a 4xx with its own `code`, or what
the program's own protocol defines (`Caller`). Everything else except a success is an outage: it is
unknown whether the effect took place, and sending the same key again is safe.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx2

from apps.common.correlation import get_logger
from apps.common.errors import Unavailable
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.outbound.addresses import host_name, port_of
from apps.outbound.transport import MOST_BYTES, guarded_client

logger = get_logger(__name__)

#: 4xx answers that mean "later", not a refusal.
LATER = frozenset({408, 425, 429})


class Refused(Exception):
    """The refusal of the program `name`, with its `status`, `code` and whole `answer`; `reason` is
    the answer as text."""

    def __init__(self, name: str, status: int, answer: dict[str, Any]) -> None:
        reason = answer.get("detail") or answer.get("code") or f"status {status}"
        self.status, self.answer = status, answer
        self.code = str(answer.get("code", ""))[:80]
        self.reason = "".join(c if c.isprintable() else " " for c in str(reason))[:500]
        super().__init__(f"The {name} refused: {self.reason}")


def coded(status: int, answer: dict[str, Any]) -> dict[str, Any] | None:
    """Return the refusal {code, detail, …} in an answer: a 4xx with a code. None: it is none.

    Only an answer with a code is the other side's refusal: a 401 or 404 of a gateway says nothing
    about an earlier attempt that may have taken effect.
    """
    return answer if 400 <= status < 500 and answer.get("code") else None


class Caller:
    """Calls one program with JSON, at a URL that an operator configured.

    `name` is used in errors ("The executor cannot be reached"), `code` is the code of an outage.
    `headers` are sent with every call and never logged. `refusal(status, answer)` returns the
    refusal {code, detail} in an answer that is not an outage, or None. `most_bytes`: of an answer.
    """

    def __init__(
        self,
        name: str,
        base: str,
        *,
        seconds: float,
        code: str,
        headers: Mapping[str, str] | None = None,
        refusal: Callable[[int, dict[str, Any]], dict[str, Any] | None] = coded,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.name, self.base, self.seconds, self.code = name, base.rstrip("/"), seconds, code
        self._headers, self._refusal = dict(headers or {}), refusal
        self._most_bytes = most_bytes

    def post(
        self,
        path: str,
        *,
        key: str,
        body: dict[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a call with this idempotency key, which has an effect or reverses one; return the
        answer.

        Raises Refused for a refusal, Unavailable (with the caller's code) when the program cannot
        be reached, answers late, too much, or nothing valid.
        """
        more = {"Idempotency-Key": key, **(headers or {})}
        return self._answer("POST", path, headers=more, json=body)

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return what the other side knows of an effect, without causing one. Raises as `post`."""
        return self._answer("GET", path, headers=headers)

    def _answer(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> dict[str, Any]:
        headers = {"Accept-Encoding": "identity", **self._headers, **(headers or {})}
        try:
            response = self._client.request(method, f"{self.base}{path}", headers=headers, **more)
        except httpx2.HTTPError as error:
            raise Unavailable(
                filled(
                    _("The {name} cannot be reached: {name2}: {error}"),
                    name=self.name,
                    name2=type(error).__name__,
                    error=error,
                ),
                code=self.code,
            ) from error
        answer = _object(response)
        refused = self._refusal(response.status_code, answer)
        if response.status_code in LATER or not (response.is_success or refused):
            raise Unavailable(
                filled(
                    _("The {name} answered {status_code}."),
                    name=self.name,
                    status_code=response.status_code,
                ),
                code=self.code,
            )
        if refused:
            raise Refused(self.name, response.status_code, refused)
        return answer

    def nonsense(self, answer: dict[str, Any]) -> Unavailable:
        """Return the error for an invalid answer, after which the outcome is unknown."""
        logger.warning("outbound.nonsense", called=self.name, answer=str(answer)[:200])
        return Unavailable(
            filled(_("The {name}'s answer cannot be understood."), name=self.name), code=self.code
        )

    @cached_property
    def _client(self) -> httpx2.Client:
        parts = urlsplit(self.base)
        return guarded_client(
            self.seconds,
            allowed=(f"{host_name(parts.hostname or '')}:{port_of(parts)}",),
            most_bytes=self._most_bytes,
        )


def _object(response: httpx2.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        answer = None
    return answer if isinstance(answer, dict) else {}
