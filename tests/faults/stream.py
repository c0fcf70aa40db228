"""Messages of a real stream while its consumer, the worker and Temporal are killed, and the count
of what became of each.

`wanted` follows from what was sent (`stream_sent`) and `found` from the tables, the inference
service, the broker and the engine: the program that is tested has no part in the comparison.
"""

import asyncio
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from apps.simulators.inference import KINDS as STEPS
from deploy.local.processes import free_port
from tests.faults.points import Points
from tests.faults.stream_brokers import Broker
from tests.faults.stream_sent import BLOCKED, GOOD, TWIN, UNSTORABLE, Sent, of
from tests.stack import Stack, fetch
from tests.support import eventually

CONSUMER = "consumer"
#: Where the consumer is killed: with a batch written but not committed, and with one committed of
#: which the broker does not know.
IN_HAND = ("events_take.uncommitted", "stream.taken")
#: So many messages a consumer has in hand: they may come twice.
BATCH = 500
#: While so much is not done, of the whole.
Kill = tuple[float, str]
KILLS: list[Kill] = [(0.75, "worker"), (0.5, "temporal"), (0.25, "worker")]

#: A text that PostgreSQL refuses: no message that a broker carries has one of its own.
REFUSE = (
    "ALTER TABLE payments_intake ADD CONSTRAINT refused_by_a_test"
    f" CHECK (event_id NOT LIKE '%%{UNSTORABLE}%%') NOT VALID"
)
REFUSE_NO_MORE = "ALTER TABLE payments_intake DROP CONSTRAINT IF EXISTS refused_by_a_test"
_BLOCK = "UPDATE payments_rule SET parameters = %s::jsonb WHERE code = %s"
_ALL_RULES = "UPDATE payments_rule SET enabled = TRUE"
_TAKEN = "SELECT count(*) FROM payments_intake WHERE topic = %s"
_OPEN = "SELECT count(*) FROM payments_intake WHERE topic = %s AND done_at IS NULL"
_COMMANDS = """
SELECT count(*) FROM engine_enginecommand c JOIN payments_intake i ON i.event_id = c.workflow_id
 WHERE i.topic = %s AND c.state IN ('pending', 'leased', 'parked')
"""
_KEPT = """
SELECT e.event_id, e.amount_cents, e.status, e.currency, e.fraud_score, e.risk_level,
       e.retry_strategy, e.churn_score, e.churn_risk_level, e.days_to_churn_estimate
  FROM payment_events e JOIN payments_intake i ON i.id = e.intake_id WHERE i.topic = %s
"""
_QUARANTINED = """
SELECT digest, code, stage, state, raw IS NULL FROM payment_events_quarantine
 WHERE topic = ANY(%s)
"""


@dataclass(frozen=True)
class Line:
    """A figure: what it must be (`wanted`, or anything up to `most`), and what it is."""

    what: str
    wanted: int
    found: int
    most: int | None = None

    @property
    def holds(self) -> bool:
        return self.wanted <= self.found <= (self.wanted if self.most is None else self.most)

    def __str__(self) -> str:
        wanted = str(self.wanted) if self.most is None else f"{self.wanted}–{self.most}"
        return f"{self.what:44} {wanted:>13} {self.found:>9}  {'ok' if self.holds else 'WRONG'}"


class StreamRun:
    """Messages on their way through one stack, and who was killed meanwhile."""

    def __init__(self, stack: Stack, points: Points, broker: Broker) -> None:
        self.stack, self.points, self.broker = stack, points, broker
        self.topics = broker.topics
        self.sent: list[Sent] = []
        self.kills: Counter[str] = Counter()
        self._port = free_port()
        self._name = f"{CONSUMER}-{self.topics.events}"

    @contextmanager
    def consuming(self) -> Iterator[None]:
        """With a consumer, and with what makes every kind of message fail as it should."""
        self.stack.sql(REFUSE_NO_MORE)
        self.stack.sql(REFUSE)
        self.stack.sql(_ALL_RULES)
        for code in ("customer_blocklist", "merchant_blocklist"):
            self.stack.sql(_BLOCK, json.dumps({"blocked": [BLOCKED]}), code)
        env = {**self.broker.env, "CONSUMER_HEALTH_PORT": str(self._port)}
        self.stack.spawn(CONSUMER, name=self._name, env=env)
        try:
            yield
        finally:
            self.points.release_all()
            self.stack.stop(self._name)
            del self.stack.apps[self._name]
            self.stack.sql(REFUSE_NO_MORE)

    # --- what happens ---------------------------------------------------------------------------
    def send(self, messages: Sequence[Sent]) -> None:
        """To the broker; they are counted from now on."""
        self.broker.send(messages)
        self.sent += messages

    def kill_consumer(self, point: str, messages: Sequence[Sent]) -> None:
        """Send, and kill the consumer while it holds some of them at the point."""
        self.points.arm(point)
        self.send(messages)
        # After a kill the broker takes its time until it gives the messages to another.
        self.points.wait(point, timeout=90)
        self._kill(self._name, CONSUMER)
        self.points.release(point)
        self.stack.process(self._name).start()

    def kill_in_the_middle(self, kills: Sequence[Kill], *, seconds: float) -> None:
        """Kill each as soon as no more than its share of the good events is open."""
        goods = len(of(self.sent, GOOD))
        for share, victim in kills:
            self._until_left(share * goods, seconds)
            self._kill(victim, victim)
            self.stack.restart(victim)

    def settle(self, *, seconds: float) -> None:
        """Return when the broker has nothing for the group and no event is open."""
        eventually(lambda: self.lag() == 0, timeout=seconds, every=0.5)
        eventually(lambda: self.open() == 0, timeout=seconds, every=0.5)
        eventually(lambda: self._count(_COMMANDS) == 0, timeout=60, every=0.2)
        eventually(lambda: self.running() == 0, timeout=60, every=0.5)

    def _until_left(self, most: float, seconds: float) -> None:
        eventually(lambda: self.left() <= most, timeout=seconds, every=0.05)

    def _kill(self, process: str, victim: str) -> None:
        self.stack.kill9(process)
        self.kills[victim] += 1

    # --- what is seen ---------------------------------------------------------------------------
    def lag(self) -> int:
        return self.broker.lag()

    def open(self) -> int:
        """Events that were taken in and have not ended."""
        return self._count(_OPEN)

    def left(self) -> int:
        """Good events that have no row yet, whether or not they were taken in."""
        rows = self.stack.sql(_TAKEN.replace("topic = %s", "stored AND topic = %s"), *self._events)
        return len(of(self.sent, GOOD)) - int(rows[0][0])

    def running(self) -> int:
        """Workflows of these events that the engine has open."""
        events = self.topics.events.removeprefix("events-")

        async def count() -> int:
            temporal = self.stack.private.temporal
            assert temporal is not None
            client = await Client.connect(temporal.address)
            query = f"WorkflowId STARTS_WITH '{events}:' AND ExecutionStatus = 'Running'"
            return (await client.count_workflows(query)).count

        return asyncio.run(count())

    def ready(self) -> bool:
        """Whether the consumer says that all is well."""
        return fetch(f"http://127.0.0.1:{self._port}/ready")[0] == 200

    @property
    def _events(self) -> tuple[str]:
        return (self.topics.events,)

    def _count(self, query: str) -> int:
        return int(self.stack.sql(query, *self._events)[0][0])

    # --- the count table ------------------------------------------------------------------------
    def table(self, *, in_flight: int) -> list[Line]:
        """Every figure. `in_flight`: so many calls to the inference service may be on their way at
        once, and are made again after a kill."""
        return [
            *self.rows(),
            *self.quarantine(),
            *self.calls(in_flight),
            Line("lag of the group", 0, self.lag()),
            Line("events open", 0, self.open()),
            Line("starts not delivered", 0, self._count(_COMMANDS)),
            Line("workflows that run", 0, self.running()),
            Line("counters wrong (checkquarantine)", 0, self._wrong_counters()),
        ]

    def rows(self) -> Iterator[Line]:
        """Of the table of events."""
        goods = {one.event_id: one for one in of(self.sent, GOOD)}
        rows = self.stack.sql(_KEPT, *self._events)
        right = sum(row[0] in goods and _is_right(row, goods[row[0]]) for row in rows)
        yield Line("good ids: rows with the simulator's scores", len(goods), right)
        yield Line("rows in all", len(goods), len(rows))
        twins, found = of(self.sent, TWIN), "coalesce(sum(twins), 0)"
        counted = self._count(_TAKEN.replace("count(*)", found))
        again = min(len(twins), self.kills[CONSUMER] * BATCH)
        yield Line("twins: counted, no row", len(twins), counted, len(twins) + again)

    def quarantine(self) -> Iterator[Line]:
        """Of the quarantine, by stage and code. Bytes are compared by their digests."""
        wanted = Counter(
            (one.digest, one.becomes, one.stage, "open", one.value is None)
            for one in self.sent
            if one.stage
        )
        found = Counter(self.stack.sql(_QUARANTINED, list(self.topics.both)))
        for stage, code in sorted({(stage, code) for _, code, stage, *_ in wanted}):
            yield Line(
                f"quarantine: {stage} {code}",
                sum(n for row, n in wanted.items() if row[1:3] == (code, stage)),
                sum(min(n, wanted[row]) for row, n in found.items() if row[1:3] == (code, stage)),
            )
        yield Line("quarantine: rows in all", wanted.total(), found.total())

    def calls(self, in_flight: int) -> Iterator[Line]:
        """Of the inference service."""
        wanted = {f"{one.event_id}:{step}" for one in of(self.sent, GOOD) for step in one.scores()}
        run = self.topics.events.removeprefix("events-")
        seen = {
            key: counts
            for step in STEPS
            for key, counts in self.effects(step).items()
            if key.startswith(f"{run}:")
        }
        made = {key for key, counts in seen.items() if counts["effects"] == 1}
        yield Line("effects of scoring: one per key", len(wanted), len(made & wanted))
        yield Line("effects under other keys", 0, len(seen.keys() - wanted))
        calls = sum(counts["requests"] for counts in seen.values())
        kills = self.kills["worker"] + self.kills["temporal"]
        yield Line(
            f"calls again ({kills} kills × {in_flight} in flight at most)",
            *(0, calls - len(wanted), kills * in_flight),
        )

    def effects(self, step: str) -> dict[str, dict[str, int]]:
        """What the inference service did, by key."""
        address = f"http://127.0.0.1:{self.stack.ports['INFERENCE_PORT']}/{step}/effects"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return dict(json.loads(answer.read())["effects"])

    def _wrong_counters(self) -> int:
        """As the command says; it exits with 1 when one is wrong."""
        said = self.stack.manage("checkquarantine", check=False)
        return int(said.split(", ")[-1].split()[0])


def _is_right(row: Sequence[Any], sent: Sent) -> bool:
    """Whether the row is the event that was sent, with its scores."""
    scores, event = sent.scores(), sent.event
    fraud, churn = scores.get("fraud", {}), scores["churn"]
    return tuple(row[1:]) == (
        *(event["amount_cents"], event["status"].lower(), event["currency"].upper()),
        *(fraud.get("fraud_score"), fraud.get("risk_level", "")),
        scores.get("retry"),
        *(churn["churn_score"], churn["churn_risk_level"], churn["days_to_churn_estimate"]),
    )


def survive(
    run: StreamRun,
    messages: Sequence[Sent],
    kills: Sequence[Kill],
    *,
    seconds: float,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Send all of it while the consumer is killed in the middle of it, at each of IN_HAND, and the
    others in the middle of the rest; return when nothing is on its way any more."""
    began = time.monotonic()

    def say(text: str) -> None:
        note(f"{time.monotonic() - began:6.0f} s  {text}")

    parts = len(IN_HAND) + 1
    ends = [len(messages) * (number + 1) // parts for number in range(parts)]
    run.send(messages[: ends[0]])
    eventually(lambda: run.left() < len(of(run.sent, GOOD)), timeout=seconds)
    for point, begin, end in zip(IN_HAND, ends, ends[1:], strict=False):
        run.kill_consumer(point, messages[begin:end])
        say(f"consumer killed at {point}, {run.left()} left of what was sent")
    run.kill_in_the_middle(kills, seconds=seconds)
    say(f"killed: {dict(run.kills)}, lag {run.lag()}, {run.open()} open")
    run.settle(seconds=seconds)
    say("nothing is on its way")
