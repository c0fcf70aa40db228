"""Reads the environment, with accepted aliases; errors name the variable of an invalid value."""

import base64
import ipaddress
import json
import os
import re
from decimal import Decimal
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_env = environ.Env()

#: The largest number: a billion seconds are 31 years, and still a length of time everywhere.
MOST = 10**9
_DIGITS = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = re.compile(rf"[+-]?{_DIGITS}(?:[eE][+-]?[0-9]+)?")
#: Units of Go's durations → seconds; of a microsecond Go takes both characters that look like µ.
_UNITS = {
    **{"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("1e-3")},
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs"), Decimal("1e-6")),
    "ns": Decimal("1e-9"),
}
_DURATION_STEP = re.compile(f"({_DIGITS})({'|'.join(sorted(_UNITS, key=len, reverse=True))})")
_DURATION = re.compile(f"(?:{_DURATION_STEP.pattern})+")

#: Our name → the names used by the services before. Ours takes precedence.
ALIASES: dict[str, tuple[str, ...]] = {
    "TEMPORAL_ADDRESS": ("TEMPORAL_HOST", "TEMPORAL_WORKER_TEMPORAL_HOST"),
    "POSTGRES_HOST": ("TEMPORAL_WORKER_POSTGRES_HOST",),
    "POSTGRES_DB": ("TEMPORAL_WORKER_POSTGRES_DB",),
    "KAFKA_BOOTSTRAP_SERVERS": ("TEMPORAL_WORKER_KAFKA_BOOTSTRAP_SERVERS",),
    "INFERENCE_SERVICE_URL": ("TEMPORAL_WORKER_INFERENCE_SERVICE_URL",),
    "LOG_LEVEL": ("APP_LOG_LEVEL",),
}


def name_of(variable: str) -> str:
    """Return the name under which the variable is set: its own or an alias; its own if unset."""
    for candidate in (variable, *ALIASES.get(variable, ())):
        if os.environ.get(candidate, "") != "":
            return candidate
    return variable


def _read(kind: str, variable: str, default: Any) -> Any:
    name = name_of(variable)
    # An empty value means "not set": compose files and Helm charts pass empty strings.
    if os.environ.get(name, "") == "":
        return default
    if kind == "str":
        # Not through django-environ, which takes a leading "$" for the name of another variable.
        return os.environ[name]
    try:
        return getattr(_env, kind)(name)
    except (ValueError, TypeError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(
            f"{name} has a value that is not a valid {kind}: {os.environ[name]!r}"
        ) from error


def text(variable: str, default: str = "") -> str:
    """Return the variable as text, or the default when it is absent or empty."""
    return str(_read("str", variable, default))


def integer(variable: str, default: int, *, least: int = 0, most: int = MOST) -> int:
    """Return the variable as a whole number. Raises ImproperlyConfigured outside [least, most]."""
    value = int(_read("int", variable, default))
    if not least <= value <= most:
        raise ImproperlyConfigured(
            f"{name_of(variable)} must be between {least} and {most}, not {value}"
        )
    return value


def seconds(variable: str, default: float, *, least: float = 0.0) -> float:
    """Return the variable as seconds: a plain number, or a duration of Go such as `1m30s`, `500ms`
    or `1.5h`. Raises ImproperlyConfigured outside [least, 10**9]."""
    raw = _raw(variable)
    if not _DURATION.fullmatch(raw):
        return _number(variable, default, least, "number of seconds or duration like 1m30s")
    steps = _DURATION_STEP.findall(raw)
    # Decimals, so that 0.3ms is exactly what it says.
    value = sum((Decimal(count) * _UNITS[unit] for count, unit in steps), Decimal(0))
    return _within(variable, float(value), least)


def number(variable: str, default: float, *, least: float = 0.0) -> float:
    """Return the variable as a number. Raises ImproperlyConfigured outside [least, 10**9]."""
    return _number(variable, default, least, "number")


def _number(variable: str, default: float, least: float, kind: str) -> float:
    raw = _raw(variable)
    # Not through django-environ, which reads "500ms" as 500 and "1e3" as 13.
    if raw and not _NUMBER.fullmatch(raw):
        raise ImproperlyConfigured(
            f"{name_of(variable)} has a value that is not a valid {kind}: {raw!r}"
        )
    return _within(variable, float(raw or default), least)


def _within(variable: str, value: float, least: float) -> float:
    if not least <= value <= MOST:
        raise ImproperlyConfigured(
            f"{name_of(variable)} must be between {least} and {MOST}, not {value}"
        )
    return value


def _raw(variable: str) -> str:
    return text(variable).strip()


def flag(variable: str, default: bool) -> bool:
    """Return the variable as a boolean. Raises ImproperlyConfigured for an unusual spelling."""
    name = name_of(variable)
    raw = os.environ.get(name, "")
    if raw == "":
        return default
    lowered = raw.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}")


def choice(variable: str, default: str, *others: str) -> str:
    """Return the variable, which is the default or one of the others."""
    value = text(variable, default)
    if value not in (default, *others):
        known = ", ".join(sorted((default, *others)))
        raise ImproperlyConfigured(f"{name_of(variable)} must be one of {known}")
    return value


def words(variable: str, default: str = "") -> list[str]:
    """Return the variable as a comma-separated list, without empty items."""
    return [word.strip() for word in text(variable, default).split(",") if word.strip()]


def options(variable: str) -> dict[str, Any]:
    """Return the variable as an object of JSON whose values are texts, numbers, true or false; it
    may hold a password, so no error shows it."""
    try:
        found = json.loads(text(variable, "{}"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(value, str | int | float) for value in found.values()
    ):
        raise ImproperlyConfigured(
            f"{name_of(variable)} must be an object of JSON, of plain values"
        )
    return found


def rates(variable: str) -> dict[str, tuple[float, int]]:
    """Return the variable, an object of JSON such as {"ENTRIES_WRITE": "800/1200"}, as name →
    (calls that come back in a minute, calls that are there at most)."""
    found = {}
    for name, value in options(variable).items():
        figures = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)/(\d{1,9})", str(value), re.ASCII)
        if not figures or not float(figures[1]) or not int(figures[2]):
            raise ImproperlyConfigured(
                f'{name_of(variable)} must be like {{"{name}": "1200/36000"}}, not {value!r}'
            )
        found[name] = (float(figures[1]), int(figures[2]))
    return found


def currencies(variable: str, default: str) -> tuple[str, ...]:
    """Return the variable as a comma-separated list of ISO 4217 codes, at least one."""
    listed = tuple(words(variable, default))
    if not listed or not all(re.fullmatch(r"[A-Z]{3}", code) for code in listed):
        raise ImproperlyConfigured(f"{variable} lists currencies such as NGN,GHS")
    return listed


def amount(variable: str, default: str) -> Decimal:
    """Return the variable as an amount of money above zero, written like 1000000.00."""
    value = text(variable, default)
    if not re.fullmatch(r"\d{1,15}(?:\.\d{1,4})?", value, re.ASCII) or not Decimal(value):
        raise ImproperlyConfigured(f"{variable} must be an amount like 1000000.00, not {value!r}")
    return Decimal(value)


def hosts(variable: str, default: str = "") -> frozenset[str]:
    """Return the variable as a comma-separated list of host or host:port, in lower case. No
    wildcards: an exception for everything would remove the protection."""
    listed = frozenset(word.lower() for word in words(variable, default))
    for host in listed:
        if not re.fullmatch(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", host):
            raise ImproperlyConfigured(f"{name_of(variable)} lists host or host:port, not {host!r}")
    return listed


def tables(variable: str) -> dict[str, str]:
    """Return the variable, a comma-separated list such as `orders:r,sales.invoices:rw`, as table
    with its schema → `r` or `rw`. Without a schema a table is in `public`."""
    listed: dict[str, str] = {}
    for word in words(variable):
        found = re.fullmatch(
            r"(?:([a-z_][a-z0-9_]{0,62})\.)?([a-z_][a-z0-9_]{0,62}):(rw?)", word, re.ASCII
        )
        name = f"{found[1] or 'public'}.{found[2]}" if found else ""
        if not found or name in listed:
            raise ImproperlyConfigured(
                f"{name_of(variable)} lists each table once, as name:r or name:rw, not {word!r}"
            )
        listed[name] = found[3]
    return listed


def own_login(variable: str, *, other_than: str) -> str:
    """Return the variable as a postgres:// address with a user, who must not be `other_than`, or
    empty. It may hold a password, so no error shows it."""
    url = text(variable)
    if not url:
        return ""
    name = name_of(variable)
    try:
        user = conninfo_to_dict(url).get("user")
    except ProgrammingError:
        raise ImproperlyConfigured(f"{name} is not a valid address") from None
    if not url.startswith(("postgres://", "postgresql://")) or not user:
        raise ImproperlyConfigured(f"{name} must be a postgres:// address with a user")
    if user == other_than:
        raise ImproperlyConfigured(f"{name} must have a user of its own, not the application's")
    return url


def secrets(prefix: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the values of all variables that begin with the prefix, by the rest of their names,
    each with the hosts that `<prefix><NAME>_HOSTS` lists. No error shows a value."""
    found = {}
    for variable, value in sorted(os.environ.items()):
        name = variable.removeprefix(prefix)
        if name == variable or name.endswith("_HOSTS") or not value.strip():
            continue
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", name):
            raise ImproperlyConfigured(f"{variable}: {name!r} is not the name of a secret")
        if not _is_text(value):
            raise ImproperlyConfigured(f"{variable} is no text in UTF-8")
        # Files that secrets come from end with a line's end.
        found[name] = (value.strip(), hosts(f"{variable}_HOSTS"))
    return found


def _is_text(value: str) -> bool:
    # Bytes that are no text stand in the environment as halves of characters.
    return not any("\ud800" <= one <= "\udfff" for one in value)


def webhook_secrets(variable: str, default: str = "") -> list[str]:
    """Return the variable as a comma-separated list of `whsec_…`, base64 of 24 to 64 bytes. No
    error shows a value."""
    listed = words(variable, default)
    for secret in listed:
        try:
            size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except ValueError:
            size = 0
        if not secret.startswith("whsec_") or not 24 <= size <= 64:
            raise ImproperlyConfigured(
                f"{variable} must be whsec_ and the base64 of 24 to 64 random bytes"
            )
    return listed


def http_url(variable: str, default: str = "") -> str:
    """Return the variable as an address of HTTP, without a trailing slash."""
    value = text(variable, default).strip().rstrip("/")
    if value and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:_]+(?:/[!-~]*)?", value):
        raise ImproperlyConfigured(f"{variable} must be like https://host/path")
    return value


def host_port(variable: str, default: str) -> str:
    """Return the variable as host:port."""
    value = text(variable, default).strip()
    found = re.fullmatch(
        r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", value, re.ASCII
    )
    if not found or not 0 < int(found[1]) < 65536:
        raise ImproperlyConfigured(f"{name_of(variable)} must be like host:50051, not {value!r}")
    return value


def listed(url: str, hosts: frozenset[str]) -> bool:
    """Return whether the host of the address, or its host:port, is in such a list."""
    place = url.partition("://")[2].partition("/")[0].lower()
    return not hosts.isdisjoint({place, re.sub(r":[0-9]+$", "", place)})


def this_machine(host: str) -> bool:
    """Return whether a host or host:port of such a list is this machine."""
    name = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def required(variable: str) -> str:
    """Return the variable as text. Raises ImproperlyConfigured when it is absent or empty."""
    value = text(variable)
    if not value:
        raise ImproperlyConfigured(f"{variable} must be set")
    return value


def database(default: str = "") -> dict[str, Any]:
    """Return Django's database settings, from DATABASE_URL or from POSTGRES_HOST, …_PORT, …_USER
    and so on.

    psycopg's pool is the real limit of a process: waiters queue in it.
    """
    if os.environ.get("DATABASE_URL", "") or not text("POSTGRES_HOST"):
        url = text("DATABASE_URL", default)
        if not url:
            raise ImproperlyConfigured("DATABASE_URL or POSTGRES_HOST must be set")
        try:
            config = dict(environ.Env.db_url_config(url))
        except ValueError:
            # Without the cause, because it may quote the URL with its password.
            raise ImproperlyConfigured("DATABASE_URL is not a valid address") from None
        if config.get("ENGINE") not in {
            "django.db.backends.postgresql",
            "django.db.backends.postgresql_psycopg2",
        }:
            raise ImproperlyConfigured("DATABASE_URL must be a postgres:// address")
    else:
        config = {
            "HOST": text("POSTGRES_HOST"),
            "PORT": str(integer("POSTGRES_PORT", 5432, least=1, most=65535)),
            "USER": text("POSTGRES_USER", "postgres"),
            "PASSWORD": text("POSTGRES_PASSWORD"),
            # Who has set nothing but the host of the service before had this database.
            "NAME": text(
                "POSTGRES_DB",
                "countersign" if name_of("POSTGRES_HOST") == "POSTGRES_HOST" else "payments",
            ),
        }
    options = dict(config.get("OPTIONS") or {})
    if sslmode := text("POSTGRES_SSLMODE"):
        options["sslmode"] = sslmode
    least = integer("POSTGRES_MIN_CONNS", 5, least=0)
    most = integer("POSTGRES_MAX_CONNS", 25, least=1)
    if least > most:
        raise ImproperlyConfigured(
            f"POSTGRES_MIN_CONNS ({least}) must not exceed POSTGRES_MAX_CONNS ({most})"
        )
    options["pool"] = {
        "min_size": least,
        "max_size": most,
        "timeout": seconds("POSTGRES_POOL_TIMEOUT", 10.0, least=0.1),
        # By default the pool doubles its pauses between attempts, for five minutes: after an outage
        # of 20 s it stays away for another 20 s. After an early end it connects on demand.
        "reconnect_timeout": 2.0,
    }
    config.update(
        ENGINE="django_prometheus.db.backends.postgresql",
        CONN_MAX_AGE=0,
        CONN_HEALTH_CHECKS=True,
        OPTIONS=options,
    )
    return config


def mail(default: str = "") -> dict[str, Any]:
    """Return Django's EMAIL_… settings from EMAIL_URL; without it e-mail is off (EMAIL_ENABLED).

    smtp:// without TLS, smtp+tls:// with STARTTLS, smtp+ssl:// with TLS from the beginning.
    """
    url = text("EMAIL_URL", default)
    if not url:
        return {
            "EMAIL_ENABLED": False,
            "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
        }
    # `smtps` means STARTTLS to the parser, and TLS from the beginning to everybody else.
    if url.partition(":")[0] not in {"smtp", "smtp+tls", "smtp+ssl", "consolemail"}:
        raise ImproperlyConfigured("EMAIL_URL must begin with smtp://, smtp+tls:// or smtp+ssl://")
    try:
        config = dict(environ.Env.email_url_config(url))
    except ValueError:
        # Without the cause, because it may quote the URL with its password.
        raise ImproperlyConfigured("EMAIL_URL is not a valid address") from None
    if url.startswith("smtp"):
        if not config["EMAIL_HOST"]:
            raise ImproperlyConfigured("EMAIL_URL names no host")
        usual = 465 if url.startswith("smtp+ssl") else 587 if url.startswith("smtp+tls") else 25
        config["EMAIL_PORT"] = config["EMAIL_PORT"] or usual
    return {"EMAIL_ENABLED": True, **config}


def sender(variable: str, default: str) -> str:
    """Return the variable as the sender of e-mails: `a@b` or `Name <a@b>`, on one line."""
    value = text(variable, default)
    if not re.fullmatch(r"(?:[^<>\x00-\x1f]*<)?[^\s<>@]+@[A-Za-z0-9.-]+>?", value) or (
        ("<" in value) != value.endswith(">")
    ):
        raise ImproperlyConfigured(f"{variable} must be an e-mail address")
    return value


def site_url(variable: str, default: str) -> str:
    """Return the variable as an origin (`https://host[:port]`), without a trailing slash."""
    value = text(variable, default).rstrip("/")
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", value):
        raise ImproperlyConfigured(f"{variable} must be like https://countersign.example")
    return value
