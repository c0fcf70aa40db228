"""Settings as a process gets them: each case is an interpreter of its own with its environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings import env
from tests.support import patient

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "config.settings.production",
    "SECRET_KEY": "q9W!e8R@t7Y#u6I$o5P%a4S^d3F&g2H*j1K(l0Z)x9C-v8B=n7M",
    "ALLOWED_HOSTS": "countersign.example",
    "DATABASE_URL": "postgres://countersign:secret@db.example:5432/countersign",
    "REDIS_URL": "redis://redis.example:6379/0",
    "TEMPORAL_ADDRESS": "temporal.example:7233",
    "EXECUTOR_URL": "https://executor.example/v1",
    "PAYMENT_SERVICE_URL": "https://payments.example",
    "PAYSTACK_SECRET_KEY": "sk_live_0123456789",
}


def _run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the code with nothing in the environment but this."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )


def _read(*names: str, **environment: str) -> list[Any]:
    """The settings' values in a fresh process; fails the test when it does not start."""
    values = ", ".join(f"settings.{name}" for name in names)
    code = f"import json; from django.conf import settings; print(json.dumps([{values}]))"
    done = _run(code, {"DJANGO_SETTINGS_MODULE": "config.settings.local", **environment})
    assert done.returncode == 0, done.stderr
    read: list[Any] = json.loads(done.stdout)
    return read


def _refusal(**environment: str) -> str:
    """Why the settings do not load; fails the test when they do."""
    code = "from django.conf import settings; settings.DEBUG"
    done = _run(code, {"DJANGO_SETTINGS_MODULE": "config.settings.local", **environment})
    assert done.returncode != 0, "the settings were accepted"
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last, done.stderr
    return last


# --- production ---------------------------------------------------------------------------------
def test_production_starts_with_a_whole_environment_and_without_simulators_and_demo() -> None:
    values = _read(
        "DEBUG", "DEMO_LOGINS", "SIMULATORS_ALLOWED", "INSTALLED_APPS", "HEALTH_HOST", **PRODUCTION
    )
    assert values[:3] == [False, False, False]
    assert "apps.simulators" not in values[3]
    assert values[4] == "0.0.0.0"


@pytest.mark.parametrize(
    "variable",
    [
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "DATABASE_URL",
        "REDIS_URL",
        "TEMPORAL_ADDRESS",
        "EXECUTOR_URL",
        "PAYMENT_SERVICE_URL",
        "PAYSTACK_SECRET_KEY",
    ],
)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_production_names_what_is_missing(variable: str, how: str) -> None:
    environment = dict(PRODUCTION)
    if how == "absent":
        del environment[variable]
    else:
        environment[variable] = ""
    assert variable in _refusal(**environment)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "true"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 60),
        ("SECRET_KEY", "local-only-not-a-secret-" + "0123456789" * 4),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "countersign.example,*"),
        ("SECURE_TLS", "perhaps"),
        ("FAILPOINTS_DIR", "/tmp/points"),
        ("PAYSTACK_SECRET_KEY", "sk_test_demo"),
    ],
)
def test_production_refuses_what_is_only_good_for_a_demo(variable: str, value: str) -> None:
    assert variable in _refusal(**{**PRODUCTION, variable: value})


@pytest.mark.parametrize("module", ["local", "test"])
def test_production_refuses_the_keys_of_the_other_settings(module: str) -> None:
    (key,) = _read(
        "SECRET_KEY",
        DJANGO_SETTINGS_MODULE=f"config.settings.{module}",
        DATABASE_URL=PRODUCTION["DATABASE_URL"],
    )
    assert "SECRET_KEY" in _refusal(**{**PRODUCTION, "SECRET_KEY": key})


@pytest.mark.parametrize("weak", ["short", "a" * 60, "x1Y2z3" * 10 + "not-a-secret"])
def test_a_former_key_must_be_as_strong_as_the_key(weak: str) -> None:
    strong = PRODUCTION["SECRET_KEY"][::-1]
    text = _refusal(**{**PRODUCTION, "SECRET_KEY_FALLBACKS": f"{strong},{weak}"})
    assert "SECRET_KEY_FALLBACKS" in text
    assert weak not in text
    kept = _read("SECRET_KEY_FALLBACKS", **{**PRODUCTION, "SECRET_KEY_FALLBACKS": strong})
    assert kept == [[strong]]


def test_production_never_repeats_a_secret_in_a_refusal() -> None:
    text = _refusal(**{**PRODUCTION, "SECRET_KEY": "tooshortsecret"})
    assert "tooshortsecret" not in text


def test_djangos_own_deployment_check_finds_nothing() -> None:
    code = (
        "import sys; from django.core.management import execute_from_command_line;"
        "execute_from_command_line(['manage.py', 'check', '--deploy', '--fail-level', 'WARNING'])"
    )
    done = _run(code, PRODUCTION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout + done.stderr


def test_cookies_and_redirects_follow_tls() -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT")
    assert _read(*names, **PRODUCTION) == [True, True, True]
    assert _read(*names, **PRODUCTION, SECURE_TLS="false") == [False, False, False]


def test_production_refuses_the_keys_of_simulators_and_ai_without_tls() -> None:
    names = ("AUTOMATIONS_WEBHOOK_SECRETS[0]", "AI_API_KEY")
    demo, key = _read(*names)
    assert "AUTOMATIONS_WEBHOOK_SECRET" in _refusal(**PRODUCTION, AUTOMATIONS_WEBHOOK_SECRET=demo)
    assert "AI_API_KEY" in _refusal(**PRODUCTION, AI_API_KEY=key)
    plain = {**PRODUCTION, "AI_BASE_URL": "http://ai.example:8000/v1"}
    assert "AI_BASE_URL" in _refusal(**plain)
    read = ("AI_BASE_URL", "AI_MODEL", "AUTOMATIONS_WEBHOOK_SECRETS")
    assert _read(*read, **plain, OUTBOUND_ALLOWED_HOSTS="ai.example") == [
        *("http://ai.example:8000/v1", "", [])
    ]


# --- the directory's bridge ----------------------------------------------------------------------
FAR = {
    "BRIDGE_GRPC_ADDR": "bridge.example:443",
    "BRIDGE_GRPC_TLS": "true",
    "BRIDGE_GRPC_TLS_CA_FILE": "/tls/ca.pem",
    "BRIDGE_GRPC_TLS_CERT_FILE": "/tls/cert.pem",
    "BRIDGE_GRPC_TLS_KEY_FILE": "/tls/key.pem",
}


@pytest.mark.parametrize("missing", [name for name in FAR if name != "BRIDGE_GRPC_ADDR"])
def test_production_speaks_to_a_bridge_elsewhere_over_tls_with_a_certificate(missing: str) -> None:
    environment = {**PRODUCTION, **FAR}
    del environment[missing]
    assert missing in _refusal(**environment) or "go together" in _refusal(**environment)


def test_production_speaks_to_a_bridge_elsewhere_or_beside_it() -> None:
    names = ("BRIDGE_GRPC_ADDR", "BRIDGE_GRPC_TLS", "BRIDGE_GRPC_TIMEOUT")
    assert _read(*names, **PRODUCTION, **FAR) == ["bridge.example:443", True, 30.0]
    assert _read(*names, **PRODUCTION) == ["localhost:50051", False, 30.0]
    assert "BRIDGE_GRPC_TLS" in _refusal(**{**PRODUCTION, **FAR, "BRIDGE_GRPC_TLS": "false"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BRIDGE_GRPC_ADDR", "bridge.example"),
        ("BRIDGE_GRPC_ADDR", "http://bridge.example:443"),
        ("BRIDGE_GRPC_ADDR", "bridge.example:0"),
        ("BRIDGE_GRPC_ADDR", "bridge.example:65536"),
        ("BRIDGE_GRPC_ADDR", "bridge.example:٤٤٣"),
        ("BRIDGE_GRPC_TIMEOUT", "0"),
        ("BRIDGE_GRPC_TLS_CERT_FILE", "/tls/cert.pem"),
        ("BRIDGE_GRPC_TLS_CA_FILE", "/tls/ca.pem"),
        ("DIRECTORY_BUCKETS", "[]"),
        ("DIRECTORY_BUCKETS", '{"ENTRIES_WRITE": 1200}'),
        ("DIRECTORY_BUCKETS", '{"ENTRIES_WRITE": "0/10"}'),
        ("DIRECTORY_BUCKETS", '{"ENTRIES_WRITE": "10/-1"}'),
    ],
)
def test_a_bad_value_of_the_bridge_stops_the_start(variable: str, value: str) -> None:
    assert variable in _refusal(**{variable: value})


def test_buckets_are_read_as_calls_a_minute_and_at_once() -> None:
    read = _read("DIRECTORY_BUCKETS", DIRECTORY_BUCKETS='{"ENTRIES_WRITE": "0.5/1200"}')
    assert read == [{"ENTRIES_WRITE": [0.5, 1200]}]


# --- secrets of automations ---------------------------------------------------------------------
def test_secrets_are_read_with_their_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OUR_TOKEN": "$tok-0123456789\n",
        "OUR_TOKEN_HOSTS": "API.example, api.example:8443",
        "OUR_other_1": "ünïcode-value",
        "OUR_EMPTY": " ",
    }.items():
        monkeypatch.setenv(name, value)
    assert env.secrets("OUR_") == {
        "TOKEN": ("$tok-0123456789", {"api.example", "api.example:8443"}),
        "other_1": ("ünïcode-value", frozenset()),
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OUR_1X", b"hunter2hunter2"),
        ("OUR_A-B", b"hunter2hunter2"),
        ("OUR_A", b"hunter2\xff"),
        ("OUR_B_HOSTS", b"https://hunter3/"),
    ],
)
def test_a_bad_secret_is_named_and_not_repeated(
    variable: str, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_B", "hunter2hunter2")
    monkeypatch.setenv(variable, os.fsdecode(value))
    with pytest.raises(ImproperlyConfigured, match=variable) as told:
        env.secrets("OUR_")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("value", ["hunter2", "whsec_hunter2", "whsec_aHVudGVyMg==", "hunter2,"])
def test_a_bad_webhook_secret_is_not_repeated(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", value)
    with pytest.raises(ImproperlyConfigured, match="OUR_SECRET") as told:
        env.webhook_secrets("OUR_SECRET")
    assert "hunter2" not in str(told.value)
    assert "aHVu" not in str(told.value)


@pytest.mark.parametrize("value", ["ai.example", "https://user:hunter2@ai.example/v1", "ftp://a/"])
def test_a_bad_address_of_http_is_not_repeated(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_URL", value)
    with pytest.raises(ImproperlyConfigured, match="OUR_URL") as told:
        env.http_url("OUR_URL")
    assert "hunter2" not in str(told.value)


def test_a_host_is_listed_with_or_without_its_port() -> None:
    hosts = frozenset({"a.example", "b.example:8000", "[::1]:8000"})
    listed = [
        "http://a.example/x",
        "http://A.example:9",
        "http://b.example:8000/",
        "http://[::1]:8000",
    ]
    assert all(env.listed(url, hosts) for url in listed)
    assert not any(env.listed(url, hosts) for url in ["http://b.example/", "http://[::1]/"])


# --- names and values ---------------------------------------------------------------------------
@pytest.mark.parametrize("alias", ["TEMPORAL_HOST", "TEMPORAL_WORKER_TEMPORAL_HOST"])
def test_an_alias_is_read_and_ours_wins_over_it(alias: str) -> None:
    assert _read("TEMPORAL_ADDRESS", **{alias: "old:1"}) == ["old:1"]
    assert _read("TEMPORAL_ADDRESS", **{alias: "old:1"}, TEMPORAL_ADDRESS="new:2") == ["new:2"]
    assert _read("TEMPORAL_ADDRESS", **{alias: "old:1"}, TEMPORAL_ADDRESS="") == ["old:1"]


def test_the_other_aliases_are_read() -> None:
    assert _read("LOG_LEVEL", APP_LOG_LEVEL="WARN") == ["warning"]
    (database,) = _read(
        "DATABASES['default']",
        TEMPORAL_WORKER_POSTGRES_HOST="old-db",
        TEMPORAL_WORKER_POSTGRES_DB="old-name",
        POSTGRES_SSLMODE="require",
    )
    assert (database["HOST"], database["NAME"]) == ("old-db", "old-name")
    assert database["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"TEMPORAL_WORKER_POSTGRES_HOST": "old-db"}, "payments"),
        ({"POSTGRES_HOST": "db"}, "countersign"),
        ({"POSTGRES_HOST": "db", "TEMPORAL_WORKER_POSTGRES_HOST": "old-db"}, "countersign"),
        ({"POSTGRES_HOST": "", "TEMPORAL_WORKER_POSTGRES_HOST": "old-db"}, "payments"),
        ({"TEMPORAL_WORKER_POSTGRES_HOST": "old-db", "POSTGRES_DB": "ours"}, "ours"),
        ({"POSTGRES_HOST": "db", "TEMPORAL_WORKER_POSTGRES_DB": "theirs"}, "theirs"),
    ],
)
def test_the_alias_of_the_host_brings_its_database(
    variables: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for variable in ("POSTGRES_HOST", "POSTGRES_DB"):
        for known in (variable, *env.ALIASES[variable]):
            monkeypatch.delenv(known, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert env.database()["NAME"] == name


def test_a_database_url_wins_over_its_parts() -> None:
    (database,) = _read(
        "DATABASES['default']",
        DATABASE_URL="postgres://u:p%40ss@url-host:6000/name",
        POSTGRES_HOST="part-host",
    )
    assert (database["HOST"], database["PORT"], database["PASSWORD"]) == ("url-host", 6000, "p@ss")
    pool = database["OPTIONS"]["pool"]
    assert (pool["min_size"], pool["max_size"], pool["timeout"]) == (5, 25, 10.0)


def test_defaults_are_the_contracts() -> None:
    assert _read(
        *("TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUES"),
        *("MAX_CONCURRENT_WORKFLOWS", "MAX_CONCURRENT_ACTIVITIES"),
        *("WORKFLOW_POLLERS", "ACTIVITY_POLLERS", "METRICS_PORT", "HEALTH_PORT"),
        *("APP_ENVIRONMENT", "LOG_LEVEL", "HEALTH_HOST"),
    ) == [
        *("localhost:7233", "default", []),
        *(100, 200),
        *(10, 20, 9093, 8081),
        *("development", "info", "127.0.0.1"),
    ]


def test_a_comma_list_drops_blanks() -> None:
    assert _read("TEMPORAL_TASK_QUEUES", TEMPORAL_TASK_QUEUE=" a, ,b,") == [["a", "b"]]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAX_CONCURRENT_WORKFLOWS", "many"),
        ("MAX_CONCURRENT_WORKFLOWS", "1"),
        ("MAX_CONCURRENT_ACTIVITIES", "0"),
        ("MAX_CONCURRENT_ACTIVITIES", "-5"),
        ("HEALTH_PORT", "70000"),
        ("METRICS_PORT", "9093.5"),
        ("POSTGRES_MAX_CONNS", "x"),
        ("POSTGRES_MIN_CONNS", "26"),
        ("POSTGRES_POOL_TIMEOUT", "nan"),
        ("TEMPORAL_TLS", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("APP_LOG_LEVEL", "loud"),
        ("WORKER_DRAIN_SECONDS", "inf"),
        ("WORKER_DRAIN_SECONDS", "-1"),
        ("WORKER_DRAIN_SECONDS", "1m 30s"),
        ("POSTGRES_POOL_TIMEOUT", "50ms"),
        ("TEMPORAL_WORKFLOW_TIMEOUT_MINUTES", "30m"),
        ("RELAY_MAX_IN_FLIGHT", "0"),
        ("AUDIT_SEAL_SECONDS", "0"),
        ("AUDIT_ANCHOR_SECONDS", "-1"),
        ("PAYSTACK_CURRENCIES", "naira"),
        ("TOPUP_MAX", "1,000"),
        ("TOPUP_MAX", "0.00"),
        ("TOPUP_WAIT_SECONDS", "0"),
        ("DATABASE_URL", "mysql://u@h/n"),
        ("DATABASE_URL", "not a url"),
        ("DATABASE_URL", "postgres://u@h:port/n"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_the_variable(variable: str, value: str) -> None:
    assert variable in _refusal(**{variable: value})


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("500ms", 0.5),
        ("1m30s", 90),
        ("24h", 86_400),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        (".5s", 0.5),
        ("0s", 0),
        ("1h1m1s1ms1us1ns", 3661.001001001),
        ("0.3ms", 0.0003),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("30", 30),
        ("2.5", 2.5),
        ("1e3", 1000),
        (" 30s ", 30),
        ("", 7),
    ],
)
def test_a_time_is_a_number_of_seconds_or_a_duration_of_go(
    written: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_TIMEOUT", written)
    assert env.seconds("OUR_TIMEOUT", 7) == seconds


@pytest.mark.parametrize(
    "written",
    [
        *("30x", "-5s", "-5", "1m 30s", "1m-30s", "s", "m30", "1m30", "30S", "1d", "1,5s", "1,000"),
        *("NaN", "inf", "1e400", "1e3s", "1e10", "9" * 400 + "h", "280000h", "1_000", "0x10"),
        *("\u0663\u0660", "\u0663\u0660s", "30\u017f", "5\u043cs", "30s\n1", "30.5.1s", "..s"),
    ],
)
def test_a_time_that_is_neither_is_refused_by_its_name(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_TIMEOUT", written)
    with pytest.raises(ImproperlyConfigured, match="OUR_TIMEOUT"):
        env.seconds("OUR_TIMEOUT", 7)


@pytest.mark.parametrize("written", ["30m", "500ms", "1,5", "NaN", "inf", "\u0663\u0660", "1_0"])
def test_a_plain_number_has_no_unit(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_MINUTES", written)
    with pytest.raises(ImproperlyConfigured, match="OUR_MINUTES"):
        env.number("OUR_MINUTES", 7)


def test_a_bad_database_address_is_not_repeated_with_its_password() -> None:
    assert "hunter2" not in _refusal(DATABASE_URL="mysql://u:hunter2@h/n")
    assert "hunter2" not in _refusal(DATABASE_URL="postgres://u:hunter2@h:port/n")


def test_our_runworker_wins_over_that_of_channels() -> None:
    code = (
        "import django; django.setup(); from django.core.management import get_commands;"
        "print(get_commands()['runworker'])"
    )
    done = _run(code, {"DJANGO_SETTINGS_MODULE": "config.settings.local"})
    assert done.stdout.strip() == "workers", done.stderr


def test_a_secret_may_begin_with_a_dollar_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """django-environ would read it as the name of another variable, and print it when there is
    none."""
    from config.settings import env

    monkeypatch.setenv("POSTGRES_PASSWORD", "$k9-not-a-variable")
    assert env.text("POSTGRES_PASSWORD") == "$k9-not-a-variable"


# --- automations ----------------------------------------------------------------------------------
OWN = "postgres://automations:s3cret@db.example/countersign"


def test_the_tables_of_automations_are_read_with_their_schemas() -> None:
    assert _read(
        *("AUTOMATIONS_DATABASE_URL", "AUTOMATIONS_TABLES"),
        AUTOMATIONS_DATABASE_URL=OWN,
        AUTOMATIONS_TABLES="orders:rw, sales.invoices:r",
    ) == [OWN, {"public.orders": "rw", "sales.invoices": "r"}]
    assert _read("AUTOMATIONS_DATABASE_URL", "AUTOMATIONS_TABLES") == ["", {}]


@pytest.mark.parametrize(
    "tables",
    ["orders", "orders:w", "orders:rwx", "Orders:r", "a.b.c:r", "o;:r", "a:r,public.a:rw", "ö:r"],
)
def test_bad_tables_of_automations_stop_the_start(tables: str) -> None:
    assert "AUTOMATIONS_TABLES" in _refusal(AUTOMATIONS_TABLES=tables)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://automations:s3cret@db.example/x",
        "postgres://db.example/s3cret",
        "postgres://automations:s3cret@[db.example/x",
        "user=automations password=s3cret",
        "postgres://countersign:s3cret@elsewhere.example/countersign",
    ],
)
def test_a_bad_login_of_automations_stops_the_start_and_is_not_told(url: str) -> None:
    said = _refusal(**{**PRODUCTION, "AUTOMATIONS_DATABASE_URL": url})
    assert "AUTOMATIONS_DATABASE_URL" in said
    assert "s3cret" not in said


def test_events_of_pix_keys_go_to_redis_here_and_to_pulsar_in_production() -> None:
    assert _read("DICT_EVENTS_SINK") == ["redis"]
    assert _read("DICT_EVENTS_SINK", "PULSAR_URL", "PULSAR_TOPIC", **PRODUCTION) == [
        "pulsar",
        "pulsar://localhost:6650",
        "persistent://public/default/dict-events",
    ]
    assert _read("DICT_EVENTS_SINK", **PRODUCTION, DICT_EVENTS_SINK="kafka") == ["kafka"]
    assert "DICT_EVENTS_SINK" in _refusal(DICT_EVENTS_SINK="sqs")
