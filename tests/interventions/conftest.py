"""People, a policy with its rule, a budget; and the way from a request to its end."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.demo_users import PEOPLE, demo_people_ensure
from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide, rule_put
from apps.engine import effects
from apps.interventions.models import Budget, Intervention
from apps.interventions.services import approval, budgets, execution, outcomes, policies, requests
from tests.database import Image

#: No signature up to 10,000.00; one above; two tiers above 500,000.00.
BANDS: list[dict[str, Any]] = [
    {"above": "10000.00", "tiers": [{"group": "reviewer", "quorum": 1}], "expires_hours": 72},
    {
        "above": "500000.00",
        "tiers": [
            {"group": "reviewer", "quorum": 1},
            {"group": "senior reviewer", "quorum": 1},
        ],
        "expires_hours": 72,
    },
]


@dataclass
class World:
    """Everything that a test of this domain starts from."""

    people: dict[str, User]

    @property
    def requester(self) -> User:
        return self.people["requester"]

    def policy(self, code: str, *, reversible: bool = True, bands: Any = BANDS) -> None:
        policies.policy_put(
            code=code,
            name=code.title(),
            currency="NGN",
            reversible=reversible,
            max_amount=Decimal("1000000.00"),
            by=None,
            via="command",
        )
        with transaction.atomic():
            rule_put(kind="intervention", scope=code, currency="NGN", bands=bands, by=None)

    def budget(self, code: str, amount: str) -> Budget:
        budgets.budget_open(code=code, name=code.title(), currency="NGN", by=None, via="command")
        budgets.budget_allocate(
            code=code, amount=Decimal(amount), key=f"{code}:first", by=None, via="command"
        )
        return Budget.objects.get(code=code)

    def ask(self, **changes: Any) -> Intervention:
        """A new intervention over NGN 5,000.00, which needs no signature, unless changed."""
        intervention, created = requests.intervention_request(**(self.body() | changes))
        assert created
        return intervention

    def body(self) -> dict[str, Any]:
        return {
            "policy": "relief",
            "budget": "main",
            "amount": Decimal("5000.00"),
            "currency": "NGN",
            "target": "Village cooperative",
            "justification": "Seeds before the rains.",
            "by": self.requester,
            "via": "api",
            "as_of": timezone.now(),
        }

    def open(self, intervention: Intervention) -> Any:
        return approval.approval_open(
            intervention.pk,
            workflow_id=intervention.workflow_id,
            as_of=timezone.now(),
        )

    def decide(
        self, intervention: Intervention, verdict: str = "approve", by: str = "reviewer", **kw: Any
    ) -> ApprovalRequest:
        """Sign what is open for the intervention, whatever kind it is."""
        request = ApprovalRequest.objects.get(subject_id=str(intervention.pk), status="open")
        return request_decide(
            request_id=request.pk,
            by=self.people[by],
            verdict=verdict,
            reason="Checked the papers.",
            payload_hash=request.payloads.get(number=request.payload_number).hash,
            via="api",
            as_of=timezone.now(),
        )

    def validate(self, intervention: Intervention) -> None:
        policies.policy_validate(
            intervention_id=intervention.pk, workflow_id=intervention.execution_workflow_id
        )

    def reserve(self, intervention: Intervention) -> None:
        """The saga up to the reservation."""
        self.open(intervention)
        self.validate(intervention)
        policies.policy_details(intervention_id=intervention.pk)
        budgets.budget_reserve(intervention_id=intervention.pk)

    def execute(self, intervention: Intervention) -> None:
        """The saga up to the executor's receipt."""
        self.reserve(intervention)
        effects.begin(execution.EXECUTION, intervention.pk)
        effects.finish(execution.EXECUTION, intervention.pk, "R-1")

    def finish(self, intervention: Intervention) -> None:
        """The whole saga."""
        self.execute(intervention)
        outcomes.feature_update(intervention_id=intervention.pk)
        outcomes.stakeholders_notify(intervention_id=intervention.pk)
        outcomes.outcome_record(intervention_id=intervention.pk)


def make_world() -> World:
    """Policies `relief` (reversible) and `grant` (not), budget `main` over NGN 10,000,000.00."""
    world = World(demo_people_ensure())
    world.policy("relief")
    world.policy("grant", reversible=False)
    world.budget("main", "10000000.00")
    return world


def world_of(image: Image) -> World:
    """What `make_world` makes, a hundred milliseconds sooner."""
    image.put()
    people = User.objects.select_related("senior").in_bulk(
        [person.username for person in PEOPLE], field_name="username"
    )
    return World({person.username: people[person.username] for person in PEOPLE})


@pytest.fixture
def world(world_image: Image, db: None) -> World:
    return world_of(world_image)


@pytest.fixture
def shared_world(world_image: Image, transactional_db: None) -> World:
    """As `world`, committed: threads and workers see it."""
    return world_of(world_image)


@pytest.fixture
def sink() -> Iterator[Any]:
    from tests.interventions.stage import running_sink

    with running_sink() as running:
        yield running


@pytest.fixture
async def stage(
    shared_world: World, temporal_client: Any, task_queue: str, sink: Any, settings: Any
) -> AsyncIterator[Any]:
    """The dev server, a worker of this process, the sink over HTTP; timeouts of seconds."""
    from apps.engine.namespace import engine_ensure
    from tests.interventions.stage import Stage

    quick(settings, sink.url)
    await engine_ensure(temporal_client)
    stage = Stage(world=shared_world, client=temporal_client, queue=task_queue, sink=sink)
    async with stage.working():
        yield stage


@pytest.fixture
async def skipping_stage(
    shared_world: World, time_skipping: Any, task_queue: str, sink: Any, settings: Any
) -> AsyncIterator[Any]:
    """The same on the time-skipping server: days pass at once."""
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

    from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE
    from tests.interventions.stage import Stage

    quick(settings, sink.url)
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await time_skipping.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=time_skipping.client.namespace,
            search_attributes={SUBJECT_ATTRIBUTE: keyword, KIND_ATTRIBUTE: keyword},
        )
    )
    stage = Stage(
        world=shared_world,
        client=time_skipping.client,
        queue=task_queue,
        sink=sink,
        environment=time_skipping,
    )
    async with stage.working():
        yield stage


def quick(settings: Any, executor_url: str) -> None:
    settings.EXECUTOR_URL = executor_url
    settings.EXECUTOR_TIMEOUT_SECONDS = 5.0
    settings.ACTIVITY_TIMEOUT_SECONDS = 20.0
    settings.ACTIVITY_HEARTBEAT_SECONDS = 3.0
    settings.SAGA_DEADLINE_SECONDS = 60.0
