"""`api_call`: what is sent, what comes back, and where no call goes."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apps.automations.definition import LONGEST_URL
from apps.simulators.echo import EchoSink
from tests.automations.effects import KEY, refused, told, tried
from tests.outbound.serving import answering, connecting, http_answer, server, silent
from tests.simulators.running import running
from tests.support import within


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with running({"echo": EchoSink().answer}) as url:
        yield f"{url}/echo"


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1"}


def heard(echo: str, **data: Any) -> dict[str, Any]:
    """What the other program was sent."""
    found: dict[str, Any] = tried("api_call", **{"url": echo, **data})["data"]
    return found


# --- what is sent ---------------------------------------------------------------------------------
def test_expressions_are_filled_into_the_address_the_headers_and_the_body(echo: str) -> None:
    sent = heard(
        echo,
        method="post",
        url=f"{echo}/orders/{{{{ params.order }}}}?by={{{{ inputs.who }}}}",
        headers={"X-Order": "{{ params.order }}", "X-Who": "by {{ inputs.who }}"},
        body={"order": "{{ params.order }}", "all": "{{ inputs }}", "plain": 1.5},
        params={"order": 7},
        inputs={"who": "Zoë & Co"},
    )
    assert (sent["method"], sent["path"]) == ("POST", "orders/7")
    assert sent["query"] == {"by": "Zoë "}
    assert (sent["headers"]["x-order"], sent["headers"]["x-who"]) == ("7", "by ZoÃ« & Co")
    assert sent["json"] == {"order": 7, "all": {"who": "Zoë & Co"}, "plain": 1.5}


@pytest.mark.parametrize(
    ("body", "content", "kind"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}', "application/json"),
        ([], "[]", "application/json"),
        (0, "0", "application/json"),
        ("a=1&b=ü", "a=1&b=ü", "text/plain; charset=utf-8"),
        ("", "", "text/plain; charset=utf-8"),
        ("{{ inputs }}", '{"n":2}', "application/json"),
        (None, "", None),
    ],
)
def test_a_text_is_sent_as_it_is_and_everything_else_as_json(
    echo: str, body: Any, content: str, kind: str | None
) -> None:
    sent = heard(echo, method="PUT", body=body, inputs={"n": 2})
    assert (sent["body"], sent["headers"].get("content-type")) == (content, kind)


def test_the_authors_content_type_counts(echo: str) -> None:
    kind = "application/x-www-form-urlencoded"
    sent = heard(echo, method="POST", body="a=1", headers={"content-TYPE": kind})
    assert sent["headers"]["content-type"] == kind


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(echo: str, method: str) -> None:
    assert heard(echo, method=method)["method"] == method


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (KEY, KEY),
        ("exec-1:step 1 (a/b)", "exec-1:step 1 (a/b)"),
        ("exec-1:шаг", "exec-1:%D1%88%D0%B0%D0%B3"),
        ("exec-1:100%", "exec-1:100%25"),
    ],
)
def test_every_try_has_the_key_of_the_effect_whatever_the_author_says(
    echo: str, key: str, written: str
) -> None:
    for number in (1, 2):
        sent = heard(echo, key=key, number=number, headers={"idempotency-key": "mine"})
        assert sent["headers"]["idempotency-key"] == written


@pytest.mark.parametrize(
    ("value", "given", "sent"),
    [
        ("{{ inputs }}", 5, "5"),
        ("{{ inputs }}", 0.25, "0.25"),
        ("{{ inputs }}", "a\tb", "a\tb"),
        ("{{ inputs }}", "", ""),
        ("{{ inputs }}", True, None),
        ("{{ inputs }}", {"a": 1}, None),
        ("{{ inputs.no }}", {}, None),
        ("{{ inputs }}", "a\r\nHost: evil.example", None),
        ("x {{ inputs }}", "a\nb", None),
        ("{{ inputs }}", "a\0b", None),
        ("{{ inputs }}", "a\x1bb", None),
    ],
)
def test_a_header_is_a_line_of_text_or_a_number(
    echo: str, value: str, given: Any, sent: str | None
) -> None:
    data = {"url": echo, "headers": {"X-A": value}, "inputs": given}
    if sent is None:
        assert told("api_call", **data) == ("Invalid", "bad_header")
    else:
        assert heard(**{"echo": echo, **data})["headers"]["x-a"] == sent


@pytest.mark.parametrize("name", ["Host", "transfer-encoding", "Connection", "content-length"])
def test_headers_of_the_connection_are_not_the_authors(echo: str, name: str) -> None:
    said = told("api_call", url=echo, headers={name: "1"})
    assert said == ("Invalid", "header_not_allowed")


def test_names_and_paths_of_all_scripts_are_written_as_addresses_are(
    echo: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"xn--bcher-kva.example"}
    port = int(echo.split(":")[2].partition("/")[0])
    asked = answering(monkeypatch, "127.0.0.1")
    sent = heard(
        echo,
        url=f"http://bücher.example:{port}/echo/{{{{ inputs }}}}?done=%C3%BC",
        inputs="ein Weg/grün",
    )
    assert (sent["path"], sent["query"]) == ("ein Weg/grün", {"done": "ü"})
    assert asked == ["xn--bcher-kva.example"]


# --- what comes back ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        (b"application/json", b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b"application/problem+json; charset=utf-8", b"[]", []),
        (b"application/json", b'{"a": NaN}', '{"a": NaN}'),
        (b"application/json", b'{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        (b"application/json", b'"\\u0000"', '"\\u0000"'),
        (b"application/json", b"1" * 400, "1" * 400),
        (b"application/json", b"[" * 150 + b"]" * 150, "[" * 150 + "]" * 150),
        (b"application/json", b"[" * 50_000, "[" * 50_000),
        (b"application/json", b"", None),
        (b"text/html", b'{"a": 1}', '{"a": 1}'),
        (b"text/plain", "grün".encode(), "grün"),
        (b"text/plain; charset=ISO-8859-1", b"gr\xfcn", "grün"),
        (b'text/plain; charset="utf-16"', "grün".encode("utf-16"), "grün"),
        (b"text/plain; charset=rot13", b"abc", "abc"),
        (b"text/plain; charset=nothing", b"abc", {"base64": "YWJj"}),
        (b"text/plain", b"a\0b", {"base64": "YQBi"}),
        (b"image/png", b"\x89PNG\xff", {"base64": base64.b64encode(b"\x89PNG\xff").decode()}),
    ],
)
def test_json_is_a_value_text_a_text_and_the_rest_base64(
    kind: bytes, body: bytes, data: Any
) -> None:
    with server(http_answer(body, kind=kind)) as port:
        assert tried("api_call", url=f"http://127.0.0.1:{port}/")["data"] == data


def test_headers_are_told_in_lower_case_without_cookies() -> None:
    more = b"X-One: 1\r\nVary: a\r\nVARY: b\r\nSet-Cookie: session=secret\r\n"
    with server(http_answer(b"{}", more=more)) as port:
        output = tried("api_call", url=f"http://127.0.0.1:{port}/")
    headers = {k: v for k, v in output["headers"].items() if k in ("x-one", "vary")}
    assert headers == {"x-one": "1", "vary": "a, b"}
    assert "session=secret" not in json.dumps(output)


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304])
def test_what_is_no_failure_is_an_answer(echo: str, status: int) -> None:
    assert tried("api_call", url=f"{echo}?status={status}&size=0")["status"] == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 451])
def test_a_refusal_is_final(echo: str, status: int) -> None:
    error = refused("api_call", url=f"{echo}?status={status}")
    assert (type(error).__name__, error.code) == ("Invalid", "call_refused")
    assert error.detail.startswith(f"It answered {status}: ")
    assert len(error.detail) < 400


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_an_outage_is_tried_again(echo: str, status: int) -> None:
    assert told("api_call", url=f"{echo}?status={status}") == ("Unavailable", "call_unavailable")


def test_twice_an_outage_and_then_an_answer(echo: str) -> None:
    data = {"url": f"{echo}?status=503&times=2", "key": "exec-2:n"}
    for _ in range(2):
        assert told("api_call", **data) == ("Unavailable", "call_unavailable")
    assert tried("api_call", **data)["status"] == 200


def test_five_megabytes_are_too_much(echo: str) -> None:
    said = told("api_call", url=f"{echo}?size=5000000")
    assert said == ("Invalid", "output_too_large")
    assert len(tried("api_call", url=f"{echo}?size=1000000")["data"]) == 1_000_000


# --- where no call goes ---------------------------------------------------------------------------
HOSTS = [
    *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "10.0.0.8"),
]


@pytest.mark.parametrize("type", ["api_call", "webhook"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", HOSTS)
def test_an_address_that_is_not_public_is_not_reached(
    settings: Any, type: str, scheme: str, host: str
) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = frozenset()
    with silent() as state:
        url = f"{scheme}://{host}:{state.port}/"
        assert told(type, url=url) == ("Invalid", "address_not_allowed")
        # From the run's own values too.
        said = told(type, url="{{ params.url }}", params={"url": url})
        assert said == ("Invalid", "address_not_allowed")
        assert state.links == []


@pytest.mark.parametrize("type", ["api_call", "webhook"])
def test_a_listed_address_in_another_spelling_is_not_listed(type: str) -> None:
    with silent() as state:
        said = told(type, url=f"https://2130706433:{state.port}/")
        assert (said, state.links) == (("Invalid", "address_not_allowed"), [])


@pytest.mark.parametrize("type", ["api_call", "webhook"])
def test_a_name_that_leads_to_a_private_address_is_not_reached(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "127.0.0.1")
    tried_to_connect = connecting(monkeypatch)
    said = told(type, url="https://innocent.example/")
    assert (said, tried_to_connect) == (("Invalid", "address_not_allowed"), [])


@pytest.mark.parametrize("type", ["api_call", "webhook"])
def test_a_name_that_changes_its_mind_is_asked_once(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, "93.184.216.34", "127.0.0.1")
    tried_to_connect = connecting(monkeypatch)
    said = told(type, url="https://rebind.example/")
    assert said == ("Unavailable", "not_reachable")
    assert (asked, tried_to_connect) == (["rebind.example"], [("93.184.216.34", 443)])


def test_a_redirect_is_an_answer_and_is_not_followed(echo: str) -> None:
    with silent() as state:
        place = f"http://127.0.0.1:{state.port}/"
        output = tried("api_call", url=f"{echo}?status=302&location={place}")
        assert (output["status"], output["headers"]["location"]) == (302, place)
        assert state.links == []


@pytest.mark.parametrize(
    "url",
    [
        "{{ inputs }}",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user:word@example.org/",
        f"https://example.org/{'a' * LONGEST_URL}",
        "https://example.org/\nx",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    assert told("api_call", url=url, inputs=7) == ("Invalid", "bad_url")


# --- what ends a call -----------------------------------------------------------------------------
def test_a_drip_ends_with_the_time_of_the_try() -> None:
    drip = [b"%c" % byte for byte in http_answer(b"x" * 500)]
    with server(*drip, pause=0.05) as port, within(3):
        said = told("api_call", url=f"http://127.0.0.1:{port}/", seconds=0.5)
    assert said == ("Unavailable", "timed_out")


def test_a_server_that_hangs_is_cut_off() -> None:
    over = threading.Event()
    threading.Timer(0.3, over.set).start()
    with silent() as state, within(2):
        said = told("api_call", url=f"http://127.0.0.1:{state.port}/", stopped=over.is_set)
    assert said == ("Unavailable", "cut_off")


def test_nobody_there_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = told("api_call", url=f"http://127.0.0.1:{port}/")
    assert said == ("Unavailable", "not_reachable")


def test_the_expressions_of_a_node_have_their_limits_together() -> None:
    """Each alone would be within them."""
    many = {f"k{n}": "{{ inputs.rows[*].[a] }}" for n in range(400)}
    inputs = {"rows": [{"a": 1}] * 1000}
    said = told("api_call", url="https://example.org/", body=many, inputs=inputs)
    assert said == ("Failed", "expression_failed")
    large = {f"k{n}": "{{ inputs }}" for n in range(400)}
    said = told("api_call", url="https://example.org/", body=large, inputs="x" * 900_000)
    assert said == ("TooLarge", "output_too_large")


def test_calls_share_no_connection() -> None:
    """What one left behind in a connection would be read by the next."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
    with server(http_answer(b'"mine"') + smuggled) as port:
        for _ in range(2):
            assert tried("api_call", url=f"http://127.0.0.1:{port}/")["data"] == "mine"
