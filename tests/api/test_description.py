"""The OpenAPI description: guarded, stable, and equal to the committed one."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts.management.commands.exportopenapi import SNAPSHOT, description
from apps.accounts.models import User
from tests.api.conftest import problem_of

pytestmark = pytest.mark.django_db


def _operations() -> list[dict[str, Any]]:
    paths = json.loads(description())["paths"].values()
    return [operation for path in paths for operation in path.values()]


def test_the_description_is_for_known_callers(client: Client, person: User, key: str) -> None:
    url = "/api/v1/openapi.json"
    problem_of(client.get(url), 401, "not_authenticated")
    problem_of(client.get(url, headers={"X-API-Key": "x"}), 401, "not_authenticated")
    assert client.get(url, headers={"X-API-Key": key}).json()["info"]["title"] == "Countersign"
    client.force_login(person)
    assert client.get(url).status_code == 200


def test_its_page_sends_people_to_sign_in_and_comes_from_our_own_files(
    client: Client, person: User
) -> None:
    response = client.get("/api/v1/docs")
    assert response.status_code == 302
    assert response["Location"] == "/login/?next=/api/v1/docs"
    client.force_login(person)
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assert b"https://" not in page.content
    assert b"/static/ninja/swagger-ui-bundle.js" in page.content


def test_the_committed_description_is_the_codes(settings: Any) -> None:
    committed = (settings.BASE_DIR / SNAPSHOT).read_text()
    assert committed == description(), "run: manage.py exportopenapi"


def test_the_command_writes_and_checks(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    with pytest.raises(CommandError, match="exportopenapi"):
        call_command("exportopenapi", "--check")
    call_command("exportopenapi")
    call_command("exportopenapi", "--check")
    (tmp_path / SNAPSHOT).write_text("{}")
    with pytest.raises(CommandError, match="exportopenapi"):
        call_command("exportopenapi", "--check")


def test_operation_ids_are_unique_and_do_not_name_modules() -> None:
    ids = [operation["operationId"] for operation in _operations()]
    assert len(ids) == len(set(ids)) > 5
    assert not [name for name in ids if name.startswith("apps_")]


def test_every_operation_wants_a_key_or_a_session_and_documents_its_problems() -> None:
    for operation in _operations():
        assert operation["security"] == [{"ApiKey": []}, {"Session": []}]
        for status in ("400", "401", "403", "404", "409", "413", "422", "503"):
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


def test_the_contracted_addresses_are_there() -> None:
    paths = json.loads(description())["paths"]
    assert {
        ("/api/v1/interventions", "post"),
        ("/api/v1/interventions/{intervention_id}", "get"),
        ("/api/v1/interventions/{intervention_id}/cancel", "post"),
        ("/api/v1/budgets/{code}", "get"),
        ("/api/v1/approvals", "get"),
        ("/api/v1/approvals/{request_id}", "get"),
        ("/api/v1/approvals/{request_id}/decide", "post"),
    } <= {(path, method) for path, methods in paths.items() for method in methods}
