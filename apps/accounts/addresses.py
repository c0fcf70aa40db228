"""The client's IP address."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's IP address; empty when there is none (a Unix socket).

    Behind TRUSTED_PROXIES proxies it is the address that the outermost of them saw. Entries further
    left in X-Forwarded-For are written by the client and are ignored.
    """
    trusted: int = settings.TRUSTED_PROXIES
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if 0 < trusted <= len(seen) and (address := _clean(seen[-trusted])):
        return address
    return _clean(request.META.get("REMOTE_ADDR", ""))


def network_of(address: str) -> str:
    """The network that counts as one client. IPv6: the /64, because a customer owns all of it."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)


def _clean(text: str) -> str:
    """The address in its one spelling, without port and zone."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
