"""What runs, on which ports, with which environment. `make run` and the browser and fault tests
build their stack from here, so both run the same processes.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import Process, StartError
from deploy.local.servers import Postgres, Temporal, Valkey

ROOT = Path(__file__).resolve().parent.parent.parent

PORTS: dict[str, int] = {
    "WEB_PORT": 8000,
    "TEMPORAL_PORT": 7233,
    "TEMPORAL_UI_PORT": 8233,
    "HEALTH_PORT": 8081,
    "METRICS_PORT": 9093,
    "CONSUMER_HEALTH_PORT": 8082,
    "POSTGRES_PORT": 54320,
    "REDIS_PORT": 63790,
    "INFERENCE_PORT": 8002,
    "SMTP_PORT": 8025,
    "BRIDGE_PORT": 50051,
}
#: A URL in the environment stands in for a server of ours, whose ports are then not needed.
REPLACED_BY = {
    "DATABASE_URL": ("POSTGRES_PORT",),
    "REDIS_URL": ("REDIS_PORT",),
    "TEMPORAL_ADDRESS": ("TEMPORAL_PORT", "TEMPORAL_UI_PORT"),
}

#: What a management command must see as the stack does, when the caller set it himself.
TUNING = (
    *(*REPLACED_BY, "TEMPORAL_", "POSTGRES_", "WORKER_", "RELAY_", "LOG_", "APP_", "LIVE_"),
    *("EMAIL_", "SITE_URL", "WEBHOOK", "NOTIFY_", "PAYMENT", "KAFKA_", "INFERENCE_"),
    *("AUTOMATIONS_", "BRIDGE_", "DIRECTORY_"),
)

#: Something for `database` nodes to read, where the caller names nothing.
AUTOMATIONS_TABLES = "bookings_trip:r"

#: From the one that people meet to the ones it leans on: the order of an orderly stop.
APPS = ("web", "consumer", "worker", "relay", "simulators")


@dataclass(frozen=True)
class Servers:
    """The three servers of a stack; None where a URL in the environment replaces one."""

    postgres: Postgres | None
    valkey: Valkey | None
    temporal: Temporal | None

    @property
    def all(self) -> list[Process]:
        """In the order of starting: PostgreSQL last, its initdb runs while the others come up."""
        return [server for server in (self.temporal, self.valkey, self.postgres) if server]


def read_ports(environ: Mapping[str, str]) -> dict[str, int]:
    """The ports by variable; StartError names a variable whose value is not a port."""
    ports = {}
    for variable, default in PORTS.items():
        raw = environ.get(variable, "").strip() or str(default)
        if not (raw.isascii() and raw.isdecimal()) or not 0 < int(raw) < 65536:
            raise StartError(f"{variable} must be a port between 1 and 65535, not {raw!r}")
        ports[variable] = int(raw)
    return ports


def needed_ports(ports: Mapping[str, int], environ: Mapping[str, str]) -> dict[str, int]:
    """Those that processes of this stack will listen on."""
    spared = {port for url, names in REPLACED_BY.items() if environ.get(url) for port in names}
    return {name: port for name, port in ports.items() if name not in spared}


def environment(
    ports: Mapping[str, int], servers: Servers, *, base: Mapping[str, str], settings: str
) -> dict[str, str]:
    """What every process of the stack is told; explicit values in `base` for tuning stay."""
    env = dict(base)
    env["DJANGO_SETTINGS_MODULE"] = settings
    env["PYTHONUNBUFFERED"] = "1"
    env.update({name: str(port) for name, port in ports.items()})
    if servers.postgres:
        env["DATABASE_URL"] = servers.postgres.url
        env.setdefault("AUTOMATIONS_DATABASE_URL", servers.postgres.automations_url)
        env.setdefault("AUTOMATIONS_TABLES", AUTOMATIONS_TABLES)
    if servers.valkey:
        env["REDIS_URL"] = servers.valkey.url
    if servers.temporal:
        env["TEMPORAL_ADDRESS"] = servers.temporal.address
        if servers.temporal.headless:
            env["TEMPORAL_UI_URL"] = ""
        else:
            env["TEMPORAL_UI_URL"] = f"http://127.0.0.1:{ports['TEMPORAL_UI_PORT']}"
    outside = f"http://127.0.0.1:{ports['INFERENCE_PORT']}"
    env["EXECUTOR_URL"] = f"{outside}/executor"
    env["PAYMENT_SERVICE_URL"] = f"{outside}/payments"
    env["PAYSTACK_URL"] = f"{outside}/paystack"
    # What a caller names is used; the simulated one else.
    if not env.get("AI_BASE_URL"):
        env["AI_BASE_URL"] = f"{outside}/ai/v1"
    env["INFERENCE_SERVICE_URL"] = outside
    env["BRIDGE_GRPC_ADDR"] = f"127.0.0.1:{ports['BRIDGE_PORT']}"
    # What a caller names is used; the mail server of the simulators else.
    if not env.get("EMAIL_URL"):
        env["EMAIL_URL"] = f"smtp://127.0.0.1:{ports['SMTP_PORT']}"
    if not env.get("SITE_URL"):
        env["SITE_URL"] = f"http://127.0.0.1:{ports['WEB_PORT']}"
    env.setdefault("OUTBOUND_ALLOWED_HOSTS", "127.0.0.1,localhost")
    # All queues share one process here: as many slots as each asks for would be 300 threads.
    env.setdefault("WORKER_THREADS", "40")
    # Automations call other programs, and one that hangs must not hold up the others.
    env.setdefault("TEMPORAL_MAX_CONCURRENT_ACTIVITIES", "5")
    return env


def app_argv(kind: str, ports: Mapping[str, int]) -> list[str]:
    """The command of one of APPS."""
    manage = [sys.executable, str(ROOT / "manage.py")]
    return {
        "web": [
            *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--lifespan", "on"),
            *("--host", "127.0.0.1", "--port", str(ports["WEB_PORT"]), "--no-access-log"),
            # Open websockets would hold an orderly stop for ever.
            *("--timeout-graceful-shutdown", "5"),
        ],
        "consumer": [*manage, "consumeevents"],
        "worker": [*manage, "runworker"],
        "relay": [*manage, "runrelay"],
        "simulators": [
            *(sys.executable, "-m", "apps.simulators", "--port", str(ports["INFERENCE_PORT"])),
            *("--smtp-port", str(ports["SMTP_PORT"])),
            *("--bridge-port", str(ports["BRIDGE_PORT"])),
            "--paystack-webhook",
            f"http://127.0.0.1:{ports['WEB_PORT']}/api/v1/webhooks/paystack",
        ],
    }[kind]


class App(Process):
    """One of our own processes. It dies hard with the launcher: what it had in hand is found again
    from the database and from Temporal, and its port is free at once for the next start."""

    death_signal = signal.SIGKILL
    stop_seconds = 35.0  # a worker drains for up to 30 s


def make_app(
    kind: str,
    *,
    ports: Mapping[str, int],
    env: Mapping[str, str],
    run_dir: Path,
    log_dir: Path,
    name: str = "",
) -> App:
    """The process of that kind, not yet started; `name` tells a second one of a kind apart."""
    name = name or kind
    return App(
        name=name,
        argv=app_argv(kind, ports),
        env=env,
        cwd=ROOT,
        run_dir=run_dir,
        log=log_dir / f"{name}.log",
    )


def management(words: Sequence[str]) -> list[str]:
    """The command line of a management command."""
    return [sys.executable, str(ROOT / "manage.py"), *words]


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """COUNTERSIGN_DATA, or `.local` in the project."""
    return Path(environ.get("COUNTERSIGN_DATA") or ROOT / ".local").expanduser().absolute()
