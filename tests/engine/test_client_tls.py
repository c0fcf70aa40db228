"""A real TLS handshake: a proxy with certificates stands in front of Temporal."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

from apps.engine import client as engine_client
from tests.engine.conftest import Background

HOST = "temporal.test"
Settings = Callable[..., None]


class TlsProxy:
    """Ends TLS with ALPN h2, demands a client certificate, and passes the bytes on."""

    def __init__(self, target: str, context: ssl.SSLContext) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._context = context
        self.subjects: list[str] = []
        self.protocols: list[str | None] = []
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secured: Any = writer.get_extra_info("ssl_object")
        self.protocols.append(secured.selected_alpn_protocol())
        names = [value for part in secured.getpeercert()["subject"] for _, value in part]
        self.subjects.append(names[-1])
        to_reader, to_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(_pump(reader, to_writer), _pump(to_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def proxy(
    background: Background, temporal_address: str, authority: trustme.CA
) -> Iterator[TlsProxy]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    one = TlsProxy(temporal_address, context)
    background.run(one.start())
    yield one
    background.run(one.close())


@pytest.fixture
def configure(settings: Any, tmp_path: Path, proxy: TlsProxy, authority: trustme.CA) -> Settings:
    """`configure(client_ca=…, server_ca=…)`: whose certificate we show, and whom we trust."""

    def write(client_ca: trustme.CA | None = None, server_ca: trustme.CA | None = None) -> None:
        shown = (client_ca or authority).issue_cert("worker.test", common_name="worker.test")
        files = {
            "TEMPORAL_TLS_CERT_FILE": shown.cert_chain_pems[0],
            "TEMPORAL_TLS_KEY_FILE": shown.private_key_pem,
            "TEMPORAL_TLS_CA_FILE": (server_ca or authority).cert_pem,
        }
        for setting, blob in files.items():
            path = tmp_path / setting
            blob.write_to_path(str(path))
            setattr(settings, setting, str(path))
        settings.TEMPORAL_ADDRESS = f"127.0.0.1:{proxy.port}"
        settings.TEMPORAL_TLS_SERVER_NAME = HOST

    return write


async def handshake() -> str:
    client = await engine_client.connect(retry_config=engine_client.ONE_TRY)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    return info.server_version


def test_with_the_right_certificate_the_server_answers(
    background: Background, configure: Settings, proxy: TlsProxy
) -> None:
    configure()
    assert background.run(handshake())
    assert set(proxy.subjects) == {"worker.test"}
    assert set(proxy.protocols) == {"h2"}


def test_a_certificate_of_another_authority_is_refused(
    background: Background, configure: Settings, proxy: TlsProxy
) -> None:
    configure(client_ca=trustme.CA())
    with pytest.raises(RuntimeError):
        background.run(handshake())
    assert proxy.subjects == []


def test_without_a_certificate_we_are_refused(
    background: Background, configure: Settings, proxy: TlsProxy, settings: Any
) -> None:
    configure()
    settings.TEMPORAL_TLS_CERT_FILE = settings.TEMPORAL_TLS_KEY_FILE = ""
    with pytest.raises(RuntimeError):
        background.run(handshake())
    assert proxy.subjects == []


def test_a_server_that_we_do_not_trust_is_refused(
    background: Background, configure: Settings
) -> None:
    configure(server_ca=trustme.CA())
    with pytest.raises(RuntimeError):
        background.run(handshake())


def test_a_server_with_another_name_is_refused(
    background: Background, configure: Settings, settings: Any
) -> None:
    configure()
    settings.TEMPORAL_TLS_SERVER_NAME = "somebody.else"
    with pytest.raises(RuntimeError):
        background.run(handshake())


def test_without_any_of_the_settings_there_is_no_tls(settings: Any) -> None:
    assert engine_client.tls_config() is False


def test_an_api_key_switches_tls_on(settings: Any) -> None:
    settings.TEMPORAL_API_KEY = "secret"
    assert engine_client.tls_config()


def test_a_certificate_without_its_key_and_a_missing_file_are_named(
    settings: Any, tmp_path: Path
) -> None:
    settings.TEMPORAL_TLS_CA_FILE = str(tmp_path / "nowhere.pem")
    with pytest.raises(ImproperlyConfigured, match="TEMPORAL_TLS_CA_FILE"):
        engine_client.tls_config()
    (tmp_path / "cert.pem").write_text("x")
    settings.TEMPORAL_TLS_CA_FILE = ""
    settings.TEMPORAL_TLS_CERT_FILE = str(tmp_path / "cert.pem")
    with pytest.raises(ImproperlyConfigured, match="TEMPORAL_TLS_KEY_FILE"):
        engine_client.tls_config()
