"""Generated requests, good and bad, against the committed description: no failure, and every
answer is one that the description promises."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from django.contrib.auth.models import Group
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone

from apps.accounts import scopes
from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.services import api_key_create
from apps.approvals.models import ApprovalRequest
from apps.approvals.rules import rule_put
from apps.approvals.services import request_open
from apps.interventions.models import Budget, Policy
from apps.interventions.services.batches import batch_request
from apps.interventions.services.requests import intervention_request
from tests.api.conftest import TESTER
from tests.support import FULL_SIZE
from tests.wallets.conftest import World as Wallets

SNAPSHOT = Path(__file__).resolve().parents[2] / "docs" / "contracts" / "openapi.json"
METHODS = {"get", "put", "post", "delete", "patch", "options", "head", "trace"}
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, item in json.loads(SNAPSHOT.read_text())["paths"].items()
    for method in item
    if method in METHODS
]


@cache
def _schema() -> Any:
    """Loaded by the tests that need it: its cases cost each worker that collects them seconds."""
    import schemathesis
    from schemathesis.checks import load_all_checks
    from schemathesis.config import GenerationConfig

    load_all_checks()
    schema: Any = schemathesis.openapi.from_dict(json.loads(SNAPSHOT.read_text()))
    schema.app = get_wsgi_application()
    schema.config.generation = GenerationConfig(with_security_parameters=False)
    return schema


@cache
def _operations() -> dict[str, Any]:
    """By method and path, as the description names them."""
    found = [result.ok() for result in _schema().get_all_operations()]
    return {operation.label: operation for operation in found}


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """As Django's own client does: a request must not close the connection that holds the test's
    transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def world(db: None) -> dict[str, Any]:
    """A policy, a budget, something requested, something to sign; keys of who may do it all."""
    people = demo_people_ensure()
    policy = Policy.objects.create(code="demo-relief", name="Relief", currency="NGN")
    Budget.objects.create(
        code="demo-2026", name="Demo", currency="NGN", total=Decimal("10000000.00")
    )
    rule_put(
        kind="intervention",
        scope=policy.code,
        currency="NGN",
        bands=[{"above": None, "tiers": [{"group": "reviewer", "quorum": 1}]}],
        by=TESTER,
    )
    now = timezone.now()
    intervention, _ = intervention_request(
        policy=policy.code,
        budget="demo-2026",
        amount=Decimal("20000.00"),
        currency="NGN",
        target="clinic",
        justification="needed",
        by=people["requester"],
        via="api",
        as_of=now,
    )
    request = request_open(
        key="fuzz",
        kind="intervention",
        scope=policy.code,
        title="Relief for a clinic",
        subject_type="intervention",
        subject_id=str(intervention.pk),
        workflow_id=intervention.workflow_id,
        requested_by=people["requester"],
        amount=Decimal("20000.00"),
        currency="NGN",
        payload={"target": "clinic"},
        as_of=now,
    )
    assert isinstance(request, ApprovalRequest)
    batch, _ = batch_request(
        policy=policy.code,
        budget="demo-2026",
        currency="NGN",
        items=[{"amount": "12.00", "target": "clinic", "justification": "needed"}, {}],
        by=people["requester"],
        via="api",
        as_of=now,
    )
    wallets = Wallets(people)
    wallets.rider()
    adjustment = wallets.ask()
    people["admin"].groups.add(Group.objects.get(name="reviewer"))
    _, key = api_key_create(user=people["admin"], name="fuzz", scopes=[scopes.ALL], by=TESTER)
    return {
        "key": key,
        "names": {
            "intervention_id": str(intervention.pk),
            "request_id": str(request.pk),
            "batch_id": str(batch.pk),
            "adjustment_id": str(adjustment.pk),
            "user_id": "ada",
            "userId": "ada",
            "code": "demo-2026",
            "policy": policy.code,
            "budget": "demo-2026",
            "currency": "NGN",
            "amount": "12.00",
            "payload_hash": request.payloads.get().hash,
        },
    }


def test_every_operation_is_asked() -> None:
    assert sorted(_operations()) == sorted(OPERATIONS)
    assert len(OPERATIONS) > 40


# What the cases are drawn from takes seconds to make: in one worker it is made once.
@pytest.mark.xdist_group("fuzz")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_request_makes_the_api_fail_or_break_its_description(
    operation: str, world: dict[str, Any]
) -> None:
    # What `schema.parametrize()` does while tests are collected, for one operation.
    from hypothesis import HealthCheck, settings
    from schemathesis import checks
    from schemathesis.generation.feedback import FeedbackSources
    from schemathesis.pytest._test_builder import build_operation_test
    from schemathesis.python._constants.orchestrator import make_constants_value_source

    all_checks = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.unsupported_method,
    ]

    @settings(
        # Beside the cases that cover the description; `make large` looks longer.
        max_examples=200 if FULL_SIZE else 5,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def holds(case: Any) -> None:
        if case.meta.generation.mode.is_positive:
            _aim(case, world)
        case.call_and_validate(headers={"X-API-Key": world["key"]}, checks=all_checks)

    build_operation_test(
        config=_schema().config,
        operation=_operations()[operation],
        test_func=holds,
        given_kwargs={},
        feedback=FeedbackSources(constants_value_source=make_constants_value_source(_schema())),
    )()


def _aim(case: Any, world: dict[str, Any]) -> None:
    """Random names find nothing: every second good request is about something that is there."""
    size = crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "replace"))
    if size % 2:
        return
    for name in set(case.path_parameters or {}) & set(world["names"]):
        case.path_parameters[name] = world["names"][name]
    if isinstance(case.body, dict):
        case.body = {name: world["names"].get(name, value) for name, value in case.body.items()}
        if "verdict" in case.body and size % 4:
            case.body |= {"verdict": "approve", "reason": "it is needed"}
