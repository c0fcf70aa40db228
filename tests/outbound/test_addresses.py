"""Addresses that were put together: how they are written, and which are refused before anybody
looks a name up."""

from typing import Any

import pytest

from apps.common.errors import Invalid
from apps.outbound.addresses import is_literal, sendable


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://example.org", "https://example.org"),
        (" https://example.org/a ", "https://example.org/a"),
        ("HTTPS://Example.ORG:8443/A", "https://example.org:8443/A"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://example.org/å b?x=ü y", "https://example.org/%C3%A5%20b?x=%C3%BC%20y"),
        ("https://example.org/%C3%A5%20b?x=1%2B1", "https://example.org/%C3%A5%20b?x=1%2B1"),
        ("https://example.org/a\\b", "https://example.org/a%5Cb"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/"),
    ],
)
def test_an_address_is_quoted_where_it_has_to_be_and_only_once(given: str, sent: str) -> None:
    assert str(sendable(given)) == sent
    assert str(sendable(sent)) == sent


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "//example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://example.org:x/",
        "https://user@example.org/",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "https://example.org\\@evil.example/",
        "https://exa mple.org/",
        "https://exa%6dple.org/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://１２７.０.０.１/",
        "https://example.org/\r\nHost: evil.example",
        "https://example.org/\0",
        "https://example.org/\t",
        f"https://example.org/{'a' * 500}",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        sendable(url)
    assert refused.value.code == "bad_url"


def test_the_longest_address_is_the_callers_choice() -> None:
    url = f"https://example.org/{'a' * 1900}"
    assert str(sendable(url, longest=2000)) == url


def test_without_tls_only_hosts_that_are_listed_are_called(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"sink", "127.0.0.1:8002"}
    for url in ("http://sink:9/", "http://127.0.0.1:8002/"):
        assert str(sendable(url)) == url
    assert sendable("http://more/", more=("more:80",)).host == "more"
    for url in ("http://example.org/", "http://127.0.0.1:8003/", "http://2130706433/"):
        with pytest.raises(Invalid) as refused:
            sendable(url)
        assert refused.value.code == "address_not_allowed"


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "::1", "1.1.1.1"])
def test_an_address_in_whatever_spelling_is_not_looked_up(host: str) -> None:
    assert is_literal(host)
    assert not is_literal("localhost")
