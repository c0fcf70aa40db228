"""The story that the fault tests tell: somebody asks, somebody signs, the money moves once."""

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from temporalio.client import Client, WorkflowHandle

from tests.stack import Stack
from tests.support import eventually

TERMINAL = {"executed", "failed", "rejected", "expired", "cancelled"}
POLICY = "demo-relief"
BUDGET = "demo-2026"


@dataclass
class Answer:
    """An HTTP answer: status and parsed body."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)


class Story:
    """Acts for the demo people against one stack, over the API only."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._keys: dict[str, str] = {}

    def key(self, user: str) -> str:
        """An API key for the person, made once."""
        if user not in self._keys:
            self._keys[user] = self.stack.api_key(user)
        return self._keys[user]

    def call(self, method: str, path: str, *, user: str, body: Any = None, key: str = "") -> Answer:
        """One call to the API as that person, with that `Idempotency-Key`; errors of HTTP are
        answers, broken pipes raise."""
        request = urllib.request.Request(
            f"{self.stack.web_url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "X-API-Key": self.key(user),
                "Content-Type": "application/json",
                **({"Idempotency-Key": key} if key else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, json.loads(response.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read() or b"{}"))

    def insist(
        self, method: str, path: str, *, user: str, body: Any = None, key: str = ""
    ) -> Answer:
        """As `call`, again and again while the site is away: what a careful client does."""

        def attempt() -> Answer | None:
            try:
                answer = self.call(method, path, user=user, body=body, key=key)
            except (OSError, http.client.HTTPException):
                return None
            return None if answer.status in {502, 503, 504} else answer

        return eventually(attempt, timeout=40, every=0.2)

    # --- what people do -------------------------------------------------------------------------
    def ask(
        self,
        amount: str = "25000.00",
        *,
        key: str = "",
        target: str = "Kano relief",
        policy: str = POLICY,
        budget: str = BUDGET,
    ) -> str:
        """The requester asks; returns the intervention's id."""
        body = {
            "policy": policy,
            "budget": budget,
            "amount": amount,
            "currency": "NGN",
            "target": target,
            "justification": "Roofs before the rains",
            "idempotency_key": key,
        }
        if not key:
            del body["idempotency_key"]
        answer = self.insist("POST", "/interventions", user="requester", body=body)
        assert answer.status in {200, 201}, answer
        return str(answer.body["id"])

    def request_of(self, intervention: str) -> dict[str, Any]:
        """The approval request of an intervention, once it is open."""

        def find() -> dict[str, Any] | None:
            request_id = self.state(intervention)["approval"]
            if not request_id:
                return None
            answer = self.call("GET", f"/approvals/{request_id}", user="reviewer")
            return answer.body if answer.status == 200 else None

        return eventually(find, timeout=30)

    def decide(self, request: dict[str, Any], *, user: str = "reviewer", verdict: str) -> Answer:
        """Sign the payload as it was shown."""
        return self.insist(
            "POST",
            f"/approvals/{request['id']}/decide",
            user=user,
            body={
                "verdict": verdict,
                "reason": "Seen and checked",
                "payload_hash": request["payload_hash"],
            },
        )

    def approve(self, intervention: str) -> None:
        """The reviewer approves it."""
        self.settle(intervention, "approve")

    def settle(self, intervention: str, verdict: str) -> None:
        """The reviewer decides; that an earlier try, whose answer was lost, counted is success."""
        answer = self.decide(self.request_of(intervention), verdict=verdict)
        lost = answer.status == 409 and answer.body["code"] == "already_decided"
        assert answer.status == 200 or lost, answer

    # --- what is seen ---------------------------------------------------------------------------
    def state(self, intervention: str) -> dict[str, Any]:
        """The intervention as the API shows it."""
        answer = self.insist("GET", f"/interventions/{intervention}", user="admin")
        assert answer.status == 200, answer
        return answer.body

    def step(self, intervention: str, name: str) -> str:
        """Status of a saga step, empty when it has not begun."""
        steps = {step["name"]: step["status"] for step in self.state(intervention)["steps"]}
        return str(steps.get(name, ""))

    def ended(self, intervention: str, timeout: float = 60) -> dict[str, Any]:
        """The intervention in its terminal status."""

        def look() -> dict[str, Any] | None:
            state = self.state(intervention)
            return state if state["status"] in TERMINAL else None

        return eventually(look, timeout=timeout, every=0.1)

    def budget(self) -> dict[str, Decimal]:
        """Total, reserved, spent, available."""
        answer = self.insist("GET", f"/budgets/{BUDGET}", user="admin")
        return {
            name: Decimal(answer.body[name]) for name in ("total", "reserved", "spent", "available")
        }

    # --- the outside world ----------------------------------------------------------------------
    @cached_property
    def sink(self) -> str:
        """Address of the executor simulator."""
        return f"http://127.0.0.1:{self.stack.ports['INFERENCE_PORT']}/executor"

    def behave(self, **behaviour: Any) -> None:
        """Tell the executor how to behave, e.g. `delay_seconds=2`."""
        request = urllib.request.Request(
            f"{self.sink}/behaviour",
            method="POST",
            data=json.dumps(behaviour).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200

    def effects(self, key: str) -> int:
        """How often the outside world did it under this idempotency key."""
        with urllib.request.urlopen(f"{self.sink}/effects?key={key}", timeout=5) as response:
            body = json.loads(response.read())
        return int(body["executions"])

    def all_effects(self) -> dict[str, dict[str, Any]]:
        """What the outside world did, by idempotency key."""
        with urllib.request.urlopen(f"{self.sink}/effects", timeout=5) as response:
            return dict(json.loads(response.read())["effects"])

    def in_the_engine(self, act: Callable[[WorkflowHandle[Any, Any]], Any], workflow: str) -> None:
        """Do something to a workflow behind our back, e.g. `WorkflowHandle.cancel`."""

        async def run() -> None:
            temporal = self.stack.private.temporal
            assert temporal is not None
            client = await Client.connect(temporal.address)
            await act(client.get_workflow_handle(workflow))

        asyncio.run(run())

    def quiet(self, timeout: float = 60) -> None:
        """Return when no saga runs, as those of the demo do at first: they pass points too. One
        whose workflow somebody terminated does not."""
        query = """
            SELECT NOT EXISTS (SELECT 1 FROM interventions_intervention i
                               WHERE i.status IN ('pending', 'approved', 'executing')
                                 AND NOT EXISTS (
                                   SELECT 1 FROM engine_workflowrun w
                                   WHERE w.subject_id = i.id::text AND w.status = 'terminated'))
               AND NOT EXISTS (SELECT 1 FROM engine_enginecommand
                               WHERE state IN ('pending', 'leased'))
        """
        eventually(lambda: self.stack.sql(query)[0][0], timeout=timeout, every=0.1)

    # --- what must always hold ------------------------------------------------------------------
    def prove(self, *interventions: str) -> None:
        """Executed once each, ledger exact to the cent."""
        for intervention in interventions:
            state = self.state(intervention)
            kinds = sorted(line["kind"] for line in state["ledger"])
            assert state["status"] == "executed", state
            assert kinds == ["commit", "reserve"], state["ledger"]
            assert self.effects(f"{intervention}:execute") == 1
        self.prove_ledger()

    def prove_ledger(self) -> None:
        """Balances are the sums of the ledger."""
        rows = self.stack.sql(
            """
            SELECT b.code, b.total, b.reserved, b.spent,
                   coalesce(sum(e.amount) FILTER (WHERE e.kind IN ('allocate', 'transfer_in')), 0)
                     - coalesce(sum(e.amount) FILTER (WHERE e.kind = 'transfer_out'), 0),
                   coalesce(sum(e.amount) FILTER (WHERE e.kind = 'reserve'), 0)
                     - coalesce(sum(e.amount) FILTER (WHERE e.kind IN ('release', 'commit')), 0),
                   coalesce(sum(e.amount) FILTER (WHERE e.kind = 'commit'), 0)
            FROM interventions_budget b LEFT JOIN interventions_budgetentry e ON e.budget_id = b.id
            GROUP BY b.id
            """
        )
        assert rows
        for code, total, reserved, spent, allocated, held, committed in rows:
            assert (total, reserved, spent) == (allocated, held, committed), code

    def prove_audit(self) -> None:
        """The audit chain verifies. Nothing is taken out of it: once, in the end, is enough."""
        self.stack.manage("verifyaudit")

    def prove_reservations(self) -> None:
        """No money is set aside for what has ended, or for what no living workflow carries."""
        orphans = self.stack.sql(
            """
            SELECT i.id, i.status FROM interventions_intervention i
            JOIN interventions_budgetentry r ON r.intervention_id = i.id AND r.kind = 'reserve'
            WHERE NOT EXISTS (SELECT 1 FROM interventions_budgetentry e
                              WHERE e.intervention_id = i.id AND e.kind IN ('release', 'commit'))
              AND (i.settled_at IS NOT NULL OR NOT EXISTS (
                   SELECT 1 FROM engine_workflowrun w
                   WHERE w.workflow_id = i.executor_id AND w.status = 'running'))
            """
        )
        assert orphans == []

    def prove_mails(self) -> None:
        """No e-mail reached the mail server twice."""
        with urllib.request.urlopen(self.sink.replace("/executor", "/mail"), timeout=5) as answer:
            mails = json.loads(answer.read())["mails"]
        ids = [mail["message_id"] for mail in mails]
        assert len(ids) == len(set(ids))
