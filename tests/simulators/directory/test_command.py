"""`manage.py simdirectory`: what it tells, and what it refuses."""

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.pix.bridge.problems import DirectoryUnavailable
from deploy.local.processes import free_port
from tests.directory import OTHER, OURS, SILENT, SimulatedDirectory
from tests.simulators.directory.acting import PHONE, account, create


def told(*words: str) -> list[str]:
    out = StringIO()
    call_command("simdirectory", *words, stdout=out)
    return out.getvalue().splitlines()


def test_the_clock_is_put_forward(directory: SimulatedDirectory) -> None:
    assert re.fullmatch(r"It is \d{4}-.* UTC there, as here\.", told("clock")[0])
    before = directory.now()
    assert told("clock", "--advance", "7d1h")[0].endswith("7 days, 1:00:00 ahead.")
    assert (directory.now() - before).days == 7


def test_a_stranger_claims_a_key(directory: SimulatedDirectory) -> None:
    create(directory)
    (line,) = told("claim", "--key", PHONE, "--claimer", SILENT)
    assert f"OWNERSHIP of {PHONE} from {OURS} to {SILENT}, OPEN" in line
    with pytest.raises(CommandError, match="ClaimAlreadyExistsForKey"):
        told("claim", "--key", PHONE)
    create(directory, "joao@example.com", key_type="EMAIL")
    assert "PORTABILITY" in told("claim", "--key", "joao@example.com")[0]
    with pytest.raises(CommandError, match="NotFound"):
        told("claim", "--key", "nobody@example.com")
    with pytest.raises(CommandError, match="ParticipantInvalid"):
        told("claim", "--key", PHONE, "--claimer", "99999999")


def test_a_stranger_reports_an_infraction(directory: SimulatedDirectory) -> None:
    (line,) = told("infraction", "--counterparty", OTHER, "--amount", "12.3")
    assert f"against {OTHER}, OPEN" in line
    with pytest.raises(CommandError, match="InfractionReportInvalid"):
        told("infraction", "--situation", "MAGIC")


def test_entries_are_tampered_with(directory: SimulatedDirectory) -> None:
    for number in range(5):
        create(directory, f"+55119000000{number:02}", account=account(number=str(number)))
    lines = told("tamper", "--changed", "2", "--missing", "1", "--extra", "3")
    assert lines == [f"{OURS}: 2 changed, 1 removed, 3 added, without an event."]
    assert len(directory.dump()) == 7
    with pytest.raises(CommandError, match="only"):
        told("tamper", "--missing", "8")
    with pytest.raises(CommandError, match="how many"):
        told("tamper")


def test_calls_go_wrong_as_told(directory: SimulatedDirectory) -> None:
    lost = told("faults", "--lose-answer", "Entries.Create")
    assert lost == ["Entries.Create: loses its answer (the next 1)"]
    with pytest.raises(DirectoryUnavailable):
        create(directory)
    assert told("faults") == ["Nothing goes wrong."]
    assert told("faults", "--status", "503", "--next", "3") == [
        "every operation: answers 503 (the next 3)"
    ]
    told("faults", "--delay", "0.01", "--operation", "Claims.Get")
    assert len(told("show")) > len(told("faults")) == 2
    assert told("faults", "--clear") == ["Nothing goes wrong."]


def test_it_shows_what_it_holds(directory: SimulatedDirectory) -> None:
    create(directory)
    told("claim", "--key", PHONE)
    told("infraction")
    lines = told("show")
    verifier = directory.verifier("PHONE")
    assert f"{OURS} Banco Countersign (ours): PHONE 1 {verifier}" in lines
    assert f"{OTHER} Banco Segundo (ours): no keys" in lines
    assert any(line.startswith("claim ") for line in lines)
    assert any(line.startswith("infraction ") for line in lines)
    assert "Entries.Create: 1 calls" in lines


@pytest.mark.parametrize(
    "words",
    [
        ["clock", "--advance", "-7d"],
        ["clock", "--advance", "7"],
        ["clock", "--advance", "٧d"],
        ["clock", "--advance", "9999999d"],
        ["claim"],
        ["claim", "--key", ""],
        ["claim", "--key", "a\nb"],
        ["claim", "--key", "x" * 201],
        ["claim", "--key", "\ud800"],
        ["claim", "--key", PHONE, "--type", "GIFT"],
        ["claim", "--key", PHONE, "--claimer", "1234567²"],
        ["infraction", "--amount", "1e9"],
        ["tamper", "--changed", "-1"],
        ["tamper", "--changed", "99999999"],
        ["tamper", "--changed", "1", "--key-type", "IBAN"],
        ["tamper", "--changed", "1", "--participant", "'; DROP"],
        ["faults", "--status", "418"],
        ["faults", "--status", "200"],
        ["faults", "--lose-answer", "Claims.Steal"],
        ["faults", "--lose-answer", "Claims.Get", "--operation", "Claims.List"],
        ["faults", "--delay", "inf"],
        ["faults", "--delay", "9999"],
        ["dance"],
        [],
    ],
)
def test_what_it_does_not_understand_it_refuses(
    directory: SimulatedDirectory, words: list[str]
) -> None:
    with pytest.raises(CommandError):
        told(*words)
    assert directory.show().faults == []


def test_without_a_simulator_it_says_so(directory: SimulatedDirectory, settings: Any) -> None:
    settings.BRIDGE_GRPC_ADDR = f"127.0.0.1:{free_port()}"
    with pytest.raises(CommandError, match="There is no simulated directory"):
        told("show")
    settings.SIMULATORS_ALLOWED = False
    with pytest.raises(CommandError, match="refuse simulators"):
        told("show")
