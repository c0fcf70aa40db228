"""The environment page is a contract: it names every variable that the settings read."""

import re
from pathlib import Path

from config.settings.env import ALIASES

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(
    r"""env\.(?:text|integer|seconds|number|flag|choice|words|options|amount|currencies|required|hosts|tables|own_login|http_url|webhook_secrets|host_port|rates)\(\s*["']([A-Z0-9_]+)["']"""
)


def _read_variables() -> set[str]:
    found: set[str] = set()
    for source in (ROOT / "config" / "settings").glob("*.py"):
        found |= set(READ.findall(source.read_text()))
    return found


def test_every_variable_the_settings_read_is_on_the_environment_page() -> None:
    page = (ROOT / "docs" / "contracts" / "environment.md").read_text()
    variables = _read_variables()
    assert len(variables) > 30, "the scan found too little to mean anything"
    assert sorted(name for name in variables if f"`{name}`" not in page) == []


def test_every_accepted_alias_is_on_the_environment_page() -> None:
    page = (ROOT / "docs" / "contracts" / "environment.md").read_text()
    names = {alias for aliases in ALIASES.values() for alias in aliases}
    waiting_for_their_domain = {
        "TEMPORAL_WORKER_KAFKA_BOOTSTRAP_SERVERS",
        "TEMPORAL_WORKER_INFERENCE_SERVICE_URL",
    }
    assert sorted(n for n in names - waiting_for_their_domain if f"`{n}`" not in page) == []
