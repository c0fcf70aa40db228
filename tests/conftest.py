"""Fixtures for every room. The servers themselves come from tests/servers.py."""

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deploy.local.servers import temporal_program
from tests import threads
from tests.proxy import Proxy
from tests.stack import (
    MakeServers,
    MakeStack,
    PrivateServers,
    Stack,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from temporalio.client import Client
    from temporalio.testing import WorkflowEnvironment

    from tests.database import Image, Kept
    from tests.directory import SimulatedDirectory
    from tests.stage import EngineStage

CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Stacks that run now: their logs join the report of a test that fails.
_running: list[Stack] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What begins from here on is the test's own."""
    threads.note()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure against real processes is explained by their logs."""
    report = yield
    if report.failed:
        for stack in _running:
            report.sections.append((f"logs of the stack on {stack.web_url}", stack.logs()))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tables that tests recorded (`record_property("table", [title, row, column, cell])`), with -s
    and in `make faults`: what every step comes to under every failure."""
    if config.option.capture != "no" and os.environ.get("TESTS_AT_FULL_SIZE") != "1":
        return
    tables: dict[str, dict[str, dict[str, str]]] = {}
    reports = [report for group in terminalreporter.stats.values() for report in group]
    for report in reports:
        for name, value in getattr(report, "user_properties", []):
            if name == "table" and report.when == "call":
                title, row, column, cell = value
                tables.setdefault(title, {}).setdefault(row, {})[column] = cell
    for title, rows in tables.items():
        terminalreporter.section(title)
        columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
        lines = [["", *columns]]
        lines += [[row, *(rows[row].get(column, "") for column in columns)] for row in rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(columns) + 1)]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            terminalreporter.write_line("  ".join(padded).rstrip())


# --- database -----------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: Any
) -> None:
    """This worker's database is a copy of one that is migrated."""
    from django.db import connection

    from tests.database import migrated_database

    with django_db_blocker.unblock():
        connection.settings_dict["TEST"]["TEMPLATE"] = migrated_database()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator["Kept"]:
    """As pytest-django's; after a test that commits, what was there before it is put back. Rows
    that a query does not sort come in any order."""
    from django.db.models import QuerySet
    from django.test import TransactionTestCase

    from tests.database import Kept
    from tests.unordered import any_order

    with django_db_blocker.unblock():
        kept = Kept()

    def put_back(case: TransactionTestCase) -> None:
        try:
            threads.ended()
        finally:
            kept.put_back()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", put_back)
        patch.setattr(QuerySet, "_fetch_all", any_order(QuerySet._fetch_all))
        shutdown = threads.remembered(ThreadPoolExecutor.shutdown)
        patch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
        yield kept


@pytest.fixture(scope="session")
def world_image(django_db_setup: "Kept", django_db_blocker: Any) -> "Image":
    """What `make_world` of the interventions writes, made once and then copied."""
    from tests.database import Image
    from tests.interventions.conftest import make_world

    with django_db_blocker.unblock():
        return Image("world", django_db_setup, make_world)


# --- Temporal -----------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def temporal_address() -> str:
    """host:port of the session's Temporal."""
    return os.environ["TEMPORAL_ADDRESS"]


@pytest.fixture(scope="session")
def temporal_namespace() -> str:
    """This xdist worker's own namespace; the settings name the same one."""
    return os.environ["TEMPORAL_NAMESPACE"]


@pytest.fixture
async def temporal_client(temporal_address: str, temporal_namespace: str) -> "Client":
    """A client of this test's event loop, with the converter that the project uses."""
    from temporalio.client import Client
    from temporalio.contrib.pydantic import pydantic_data_converter

    return await Client.connect(
        temporal_address, namespace=temporal_namespace, data_converter=pydantic_data_converter
    )


@pytest.fixture
async def time_skipping() -> AsyncIterator["WorkflowEnvironment"]:
    """Temporal's test server: thirty days pass at once. It has no visibility and no schedules."""
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.testing import WorkflowEnvironment

    server = Path(temporal_program()).with_name("temporal-test-server")
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(server), data_converter=pydantic_data_converter
    ) as environment:
        yield environment


@pytest.fixture
def task_queue(request: pytest.FixtureRequest) -> str:
    """A queue that no other test uses."""
    return f"{request.node.name[:40]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def engine_stage(
    transactional_db: None, temporal_client: "Client", task_queue: str
) -> Callable[[str], "EngineStage"]:
    """`engine_stage("visits")`: a worker of this process for what that queue runs, not yet at work,
    and a relay that the test turns by hand."""
    from apps.engine.namespace import engine_ensure
    from tests.stage import EngineStage

    await engine_ensure(temporal_client)
    return lambda serves: EngineStage(client=temporal_client, queue=task_queue, serves=serves)


@pytest.fixture
def side_by_side() -> Callable[..., list[Any]]:
    """`side_by_side(fn, n)` calls fn(0) … fn(n-1) at once; results, or the exceptions raised."""

    from django.db import connections

    def run(fn: Callable[[int], Any], n: int) -> list[Any]:
        def one(number: int) -> Any:
            try:
                return fn(number)
            except Exception as error:
                return error
            finally:
                connections.close_all()

        with ThreadPoolExecutor(n) as threads:
            return list(threads.map(one, range(n)))

    return run


# --- processes ----------------------------------------------------------------------------------
@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own that a server under another user can enter."""
    path = new_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_proxy() -> Iterator[Callable[[str], Proxy]]:
    """`make_proxy("127.0.0.1:7233")` puts a proxy in front of it."""
    made: list[Proxy] = []

    def build(target: str) -> Proxy:
        made.append(Proxy(target))
        return made[-1]

    yield build
    for proxy in made:
        proxy.close()


@pytest.fixture(scope="session")
def cluster_template(django_db_blocker: Any) -> Path:
    """A migrated PostgreSQL data folder with the demo, shared by the session's xdist workers."""
    from tests.database import migrated_cluster

    with django_db_blocker.unblock():
        return migrated_cluster()


@pytest.fixture
def private_servers(request: pytest.FixtureRequest) -> Iterator[MakeServers]:
    """`private_servers(temporal=False)` starts servers that the test may freeze and kill;
    `migrated=True` begins with the migrated demo database."""
    made: list[tuple[PrivateServers, Path]] = []

    def build(*, migrated: bool = False, **which: bool) -> PrivateServers:
        template = request.getfixturevalue("cluster_template") if migrated else None
        path = new_folder()
        servers = PrivateServers(path, template=template, **which)
        made.append((servers, path))
        servers.start()
        return servers

    yield build
    for servers, path in made:
        servers.close()
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_stack(cluster_template: Path) -> Iterator[MakeStack]:
    """`make_stack()` is a whole stack of the test's own, ready; `make_stack("web", "relay")` starts
    only those (and does not wait), `env={…}` overrides settings of all its processes."""
    made: list[Stack] = []

    def build(*kinds: str, env: dict[str, str] | None = None) -> Stack:
        return _start_stack(cluster_template, made, kinds, env)

    yield build
    for stack in made:
        _end_stack(stack)


@contextmanager
def running_stack(template: Path, env: dict[str, str]) -> Iterator[Stack]:
    """A whole stack, ready, for a folder of tests; ended without ceremony."""
    made: list[Stack] = []
    try:
        yield _start_stack(template, made, (), env)
    finally:
        for one in made:
            _end_stack(one)


def _start_stack(
    template: Path, made: list[Stack], kinds: tuple[str, ...], env: dict[str, str] | None
) -> Stack:
    stack = Stack(new_folder(), template=template, env=env)
    made.append(stack)
    _running.append(stack)
    stack.start(*kinds)
    if not kinds:
        stack.wait_ready()
    return stack


def _end_stack(stack: Stack) -> None:
    _running.remove(stack)
    stack.close()


def new_folder() -> Path:
    """A new folder that a server under another user can enter."""
    path = Path(tempfile.mkdtemp(prefix="countersign-test-"))
    path.chmod(0o711)
    return path


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a broker of this xdist worker's own. Fetched at its first use."""
    from deploy.local.kafka import running_kafka

    folder = Path(tempfile.mkdtemp(prefix="countersign-kafka-"))
    try:
        with running_kafka(folder) as address:
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def directory_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SimulatedDirectory"]:
    """The simulated directory of this xdist worker."""
    from tests.directory import serving

    yield from serving(tmp_path_factory.mktemp("directory"))


@pytest.fixture
def directory(
    directory_server: "SimulatedDirectory", settings: Any
) -> Iterator["SimulatedDirectory"]:
    """The simulated directory of Pix keys, empty but for what strangers have, without lag and
    limits; the settings name it."""
    from apps.pix.bridge import channel, limits

    settings.BRIDGE_GRPC_ADDR = directory_server.address
    directory_server.reset()
    limits.reset()
    yield directory_server
    channel.close()


# --- browser ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A real browser. For a module, not longer: Playwright keeps an event loop in this thread, and
    tests with one of their own, or with the ORM, could not run beside it."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    with sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            message = "no browser: set CHROMIUM_PATH, or run make chromium"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        options: dict[str, Any] = {"executable_path": path} if path else {}
        browser = playwright.chromium.launch(headless=True, args=CHROMIUM_ARGS, **options)
        yield browser
        browser.close()


def find_chromium() -> str | None:
    """CHROMIUM_PATH, else one on PATH; the headless shell takes the least processor time."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    names += ("google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)
