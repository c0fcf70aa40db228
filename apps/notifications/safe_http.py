"""POST to an address that a person gave: only to the public internet, without redirects, with a
limit on the time as a whole and on the size of the answer.

The address is looked up once, checked, and that very address is connected to: checking a name and
then connecting by name is open to DNS that answers differently the second time. Proxies of the
environment are not used: they would connect for us, unchecked.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from apps.common.errors import Invalid

ANSWER_LIMIT = 4096
LONGEST_URL = 500
USER_AGENT = "Countersign-Webhooks/1"
_VISIBLE = re.compile(r"[!-~]+")
#: All that is given out of IPv6 today; tunnels in it lead to IPv4 addresses that nobody checked.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


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


def url_checked(url: str) -> str:
    """The address as it is kept. Raises Invalid `bad_url` and, for an address that is visibly not
    on the public internet, `private_address`."""
    parts = _split(url)
    if not settings.WEBHOOKS_ALLOW_PRIVATE:
        host = parts.hostname or ""
        literal = _literal(host)
        if literal is not None and not _public(literal):
            raise Invalid("That address is not on the public internet.", code="private_address")
        if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
            raise Invalid("That name is not on the public internet.", code="private_address")
    return url


def post(url: str, *, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
    """Send it; the answer whatever its status. Undelivered within about `seconds` else."""
    try:
        parts = _split(url)
    except Invalid as error:
        raise Undelivered(error.detail) from error
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    ip = resolve(host, port)
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    connection.default_port = 443 if secure else 80
    plain: socket.socket | None = None
    cut = threading.Event()

    def cut_off() -> None:
        # From the outside: a timeout for each read alone lets a drip go on for ever.
        cut.set()
        if plain is not None:
            with suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        plain = socket.create_connection((ip, port), timeout=seconds)
        # A copy of the handle: TLS takes the socket's own descriptor away from it.
        wire: socket.socket = plain.dup() if secure else plain
        if secure:
            wire = ssl.create_default_context().wrap_socket(wire, server_hostname=host)
        connection.sock = wire
        path = parts.path or "/"
        connection.request(
            "POST",
            f"{path}?{parts.query}" if parts.query else path,
            body=body,
            headers={**headers, "User-Agent": USER_AGENT, "Connection": "close"},
        )
        response = connection.getresponse()
        text = response.read(ANSWER_LIMIT).decode("utf-8", "replace").replace("\0", "")
        if cut.is_set():
            raise Undelivered(f"No whole answer within {seconds:g} s.")
        return Answer(response.status, text)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if cut.is_set() or isinstance(error, TimeoutError):
            raise Undelivered(f"No whole answer within {seconds:g} s.") from error
        raise Undelivered(f"{type(error).__name__}: {error}"[:500]) from error
    finally:
        timer.cancel()
        connection.close()
        if plain is not None:
            plain.close()


def resolve(host: str, port: int) -> str:
    """The address to connect to; Undelivered when there is none, or none that may be used."""
    if settings.WEBHOOKS_ALLOW_PRIVATE:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Undelivered(f"The name {host} is not known.") from error
        return str(found[0][4][0])
    # Imported here: with it comes `requests`, which nothing else of ours needs.
    import requests.exceptions
    from requests_hardened.ip_filter import InvalidIPAddress, get_ip_address

    try:
        ip, _ = get_ip_address(host, port, allow_loopback=False)
    except InvalidIPAddress as error:
        raise Undelivered(f"{host} leads to an address that is not public.") from error
    except (OSError, UnicodeError, ValueError, requests.exceptions.RequestException) as error:
        raise Undelivered(f"The name {host} is not known.") from error
    if not _public(ip):
        raise Undelivered(f"{host} leads to an address that is not public.")
    return str(ip)


def _split(url: str) -> SplitResult:
    bad = Invalid("A webhook needs an https address: https://host/path.", code="bad_url")
    if not _VISIBLE.fullmatch(url) or len(url) > LONGEST_URL or "\\" in url:
        raise bad
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise bad from None
    schemes = {"https", "http"} if settings.WEBHOOKS_ALLOW_PRIVATE else {"https"}
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise bad
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Invalid("No user name, password or #fragment in the address.", code="bad_url")
    return parts


def _literal(host: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    """The address that the host is, also in the spellings that the C library takes (2130706433,
    0x7f.1): those are for nobody but who wants to get around a filter."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _public(ip: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> bool:
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv6Address) and (
        ip not in _GLOBAL_UNICAST or ip.sixtofour is not None or ip.teredo is not None
    ):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
