"""Where calls may go: the public internet, and the hosts in `OUTBOUND_ALLOWED_HOSTS`.

A name is resolved once, the address checked, and that same address connected to. Checking a name
and then connecting by name would be open to DNS rebinding: a different answer the second time.
"""

import ipaddress
import re
import socket
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

import httpx2
from django.conf import settings

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

LONGEST_URL = 500
_VISIBLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
#: All IPv6 space in use today; tunnels inside it would lead to unchecked IPv4 addresses.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Forbidden(Exception):
    """The address may not be called."""


class Unknown(Forbidden):
    """The name leads to no address now."""


def allowed(host: str, port: int, more: Collection[str] = ()) -> bool:
    """Return whether the settings, or `more`, list this host or host:port."""
    name = host_name(host)
    names = {name, f"{name}:{port}"}
    return not names.isdisjoint((*settings.OUTBOUND_ALLOWED_HOSTS, *more))


def host_name(host: str) -> str:
    """Return the host as in `OUTBOUND_ALLOWED_HOSTS`: lower case, IPv6 in brackets."""
    return f"[{host.lower()}]" if ":" in host else host.lower()


def url_checked(url: str) -> str:
    """Return the URL as it is stored, for one that a person enters.

    Raises Invalid `bad_url`, and `private_address` for one that is visibly not on the public
    internet. URLs without TLS are accepted only for hosts that are allowed by name.
    """
    parts = split(url)
    host, port = parts.hostname or "", port_of(parts)
    if not allowed(host, port):
        literal = _literal(host)
        if literal is not None and not _public(literal):
            raise Invalid(_("That address is not on the public internet."), code="private_address")
        if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
            raise Invalid(_("That name is not on the public internet."), code="private_address")
    return url


def split(url: str) -> SplitResult:
    """Return the parts of the URL. Raises Invalid `bad_url`."""
    bad = Invalid(_("It needs an https address: https://host/path."), code="bad_url")
    if not _VISIBLE.fullmatch(url) or len(url) > LONGEST_URL or "\\" in url:
        raise bad
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise bad from None
    if not parts.hostname or port == 0:
        raise bad
    plain = parts.scheme == "http" and allowed(parts.hostname, port_of(parts))
    if parts.scheme != "https" and not plain:
        raise bad
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Invalid(_("No user name, password or #fragment in the address."), code="bad_url")
    return parts


def sendable(text: str, *, longest: int = LONGEST_URL, more: Collection[str] = ()) -> httpx2.URL:
    """Return the URL as it is sent, for one that was put together: the host in ASCII (IDNA), what
    has to be quoted quoted, what is quoted already left alone.

    Raises Invalid `bad_url`; `address_not_allowed` without TLS, except to hosts that the settings
    or `more` allow by name. Where a name leads to is checked when it is connected to (`resolve`).
    """
    bad = Invalid(_("It needs an https address: https://host/path."), code="bad_url")
    if len(text) > longest:
        raise Invalid(
            filled(_("An address has at most {most} characters."), most=longest), code="bad_url"
        )
    try:
        # Some read a backslash as a slash; as a part of the host it is refused below.
        url = httpx2.URL(text.strip(" ").replace("\\", "%5C"))
        host = url.raw_host.decode()
    except (httpx2.InvalidURL, ValueError):
        # Without the cause, because it may quote a part of the address.
        url, host = None, _host_in(text)
    if url is None and is_literal(host):
        raise Invalid(
            _("Addresses are written as 192.0.2.1 or [2001:db8::1]."), code="address_not_allowed"
        )
    if url is None or url.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise bad
    if url.userinfo or url.fragment:
        raise Invalid(_("No user name, password or #fragment in the address."), code="bad_url")
    host, port = place_of(url)
    if url.port == 0 or port > 65535:
        raise bad
    if url.scheme == "http" and not allowed(host, port, more):
        raise Invalid(
            _("Without TLS only hosts that OUTBOUND_ALLOWED_HOSTS lists are called."),
            code="address_not_allowed",
        )
    return url


def place_of(url: httpx2.URL) -> tuple[str, int]:
    """Return the host, in ASCII, and the port that a call of this URL connects to."""
    return url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80)


def port_of(parts: SplitResult) -> int:
    """Return the port to connect to."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def resolve(host: str, port: int, more: Collection[str] = ()) -> list[str]:
    """Return the addresses to connect to, in order: all of a host that is allowed by name, the
    checked one of any other. Raises Forbidden when that may not be used, Unknown when there is
    none."""
    if allowed(host, port, more):
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unknown(f"The name {host} is not known.") from error
        return list(dict.fromkeys(str(one[4][0]) for one in found))
    # Imported here because it loads `requests`, which nothing else of ours needs.
    import requests.exceptions
    from requests_hardened.ip_filter import InvalidIPAddress, get_ip_address

    try:
        ip, _ = get_ip_address(host, port, allow_loopback=False)
    except InvalidIPAddress as error:
        raise Forbidden(f"{host} leads to an address that is not public.") from error
    except (OSError, UnicodeError, ValueError, requests.exceptions.RequestException) as error:
        raise Unknown(f"The name {host} is not known.") from error
    if not _public(ip):
        raise Forbidden(f"{host} leads to an address that is not public.")
    return [str(ip)]


def _host_in(text: str) -> str:
    """Return the host in what is no URL, as far as there is one."""
    try:
        return urlsplit(text).hostname or ""
    except ValueError:
        return ""


def is_literal(host: str) -> bool:
    """Return whether the host is an address, in whatever spelling, and no name to look up."""
    return _literal(host) is not None


def _literal(host: str) -> Address | None:
    """Return the address if the host is one, also in spellings that the C library accepts
    (2130706433, 0x7f.1) and that only serve to get around filters."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _public(ip: Address) -> bool:
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv6Address) and (
        ip not in _GLOBAL_UNICAST or ip.sixtofour is not None or ip.teredo is not None
    ):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
