"""People, keys and clients of the API tests."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts import scopes
from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.audit.contracts import SystemActor

TESTER = SystemActor("tester")


@pytest.fixture
def person(db: None) -> User:
    """Somebody in no group."""
    return User.objects.create_user(username="amaka", password="correct horse")


@pytest.fixture
def key(person: User) -> str:
    """A key of that person with every scope."""
    return api_key_create(user=person, name="t", scopes=[scopes.ALL], by=TESTER)[1]


@pytest.fixture
def client() -> Client:
    """Answers are looked at, exceptions are not raised; CSRF is checked as for a browser."""
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


def problem_of(response: Any, status: int, code: str) -> dict[str, Any]:
    """Assert that the answer is a whole problem document; return it."""
    assert response.status_code == status, response.content[:500]
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"] == f"urn:countersign:problem:{code}"
    assert isinstance(document["title"], str)
    assert isinstance(document["detail"], str)
    return document
