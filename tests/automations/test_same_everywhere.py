"""The same graphs on the engine and without it: the same statuses, outputs and results, as the rule
says; and every history replays, whatever the order of hashes."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.automations.checking import plan_of
from apps.automations.contracts import TASK_QUEUE, OnError
from apps.automations.local_runner import LocalRunner
from apps.automations.models import Execution, NodeRun
from tests.automations.drawing import condition, delay, failing, graph, transform
from tests.automations.runs import nodes_of, requested
from tests.automations.test_graph import FAILS, by_the_rule
from tests.automations.test_workflow import begun
from tests.stage import EngineStage, orm
from tests.support import FULL_SIZE, eventually, within

pytestmark = pytest.mark.django_db(transaction=True)

RANDOM = 200 if FULL_SIZE else 20
#: The most events of a history before the server suggests, and then forces, a new run.
MOST_EVENTS = 10_240


def shapes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Graphs by a word for each."""
    yes, no = condition("params.n == 7"), condition("params.n == 8")
    gives = transform(n="params.n", got="inputs")
    yield "a line", graph("a>b b>c c>d", a=gives, b=gives, c=gives, d=gives)
    yield "a diamond", graph("a>b a>c b>d c>d", a=gives, b=gives, c=gives, d=gives)
    yield "wide", graph(" ".join(f"a>w{n} w{n}>z" for n in range(30)), a=gives, z=gives)
    yield "deep", graph(" ".join(f"d{n}>d{n + 1}" for n in range(60)), d0=gives)
    yield "nested conditions", graph("c>d:true d>e:false e>f:true d>x:true", c=yes, d=no, e=yes)
    yield "a join after a skip", graph("c>a:true c>b:false a>j b>j j>k", c=yes, j=gives, k=gives)
    yield "unequal arms", graph("s>a s>b b>c a>j c>j", s=gives, j=gives)
    yield "two roots", graph("a>j b>j", a=gives, b=gives, j=gives)
    yield "a failure", graph("f>b b>c a>d", f=failing())
    for policy in ("continue", "branch"):
        drawn = graph("f>b f>n:false", f=failing(on_error=policy), n=gives)
        if policy == "branch":
            drawn = graph("f>b f>e:error", f=failing(on_error=policy), e=gives)
        yield f"a failure that is handled: {policy}", drawn
    yield "no time at all", graph("a>d d>b", d=delay(0))
    for seed in range(RANDOM):
        yield f"random {seed}", drawn_at_random(random.Random(seed))


def drawn_at_random(chance: random.Random) -> dict[str, Any]:
    """A graph of up to 14 nodes with conditions, failures and every policy."""
    ids = [f"n{number}" for number in range(chance.randint(2, 14))]
    nodes: dict[str, Any] = {}
    for id in ids:
        policy = chance.choice(list(OnError))
        kind = chance.choice(["transform", "yes", "no", "failing"])
        nodes[id] = {
            "transform": lambda _policy, id=id: transform(me=f"'{id}'", got="inputs"),
            "yes": lambda policy: condition("params.n == 7", on_error=policy),
            "no": lambda policy: condition("params.n == 8", on_error=policy),
            "failing": lambda policy: failing(on_error=policy),
        }[kind](policy)
    edges = []
    for place, target in enumerate(ids[1:], start=1):
        for source in {chance.choice(ids[:place]) for _number in range(chance.randint(0, 3))}:
            edges.append(f"{source}>{target}{_label(nodes[source], chance)}")
    # Sets have no order of their own; the definition has.
    return graph(" ".join(sorted(edges)), **nodes)


def _label(source: dict[str, Any], chance: random.Random) -> str:
    labels = [""]
    if source["type"] == "condition":
        labels += [":true", ":false"]
    if source["data"].get("on_error") == "branch":
        labels += [":error"]
    return chance.choice(labels)


def expected(document: dict[str, Any]) -> dict[str, str]:
    """What the rule says of each node."""
    ends = [_end(node) for node in document["nodes"]]
    states = by_the_rule(plan_of(document), ends)
    ids = [node["id"] for node in document["nodes"]]
    return {id: str(state.status) for id, state in zip(ids, states, strict=True)}


def _end(node: dict[str, Any]) -> Any:
    text = node["data"].get("condition")
    return {None: None, "params.n == 7": "true", "params.n == 8": "false"}.get(text, FAILS)


def told(execution: Execution) -> dict[str, Any]:
    """Everything that must be the same, whoever ran it."""
    execution.refresh_from_db()
    rows = NodeRun.objects.filter(execution=execution).order_by("index")
    return {
        "status": execution.status,
        "result": execution.result,
        "error": (execution.error_code, execution.error_detail),
        "nodes": nodes_of(execution),
        # Without the moment at which a delay was over.
        "outputs": dict(rows.exclude(type="delay").values_list("node_id", "output")),
        "tries": dict(rows.values_list("node_id", "tries")),
    }


@pytest.fixture
async def stage(engine_stage: Any, people: dict[str, User]) -> EngineStage:
    stage: EngineStage = engine_stage(TASK_QUEUE)
    return stage


async def on_the_engine(
    stage: EngineStage, by: User, documents: list[dict[str, Any]]
) -> tuple[list[Execution], list[Any]]:
    """Run them all; return the executions and their histories."""
    async with stage.working():
        rows = [await begun(stage, by, document, {"n": 7}) for document in documents]
        handles = [stage.client.get_workflow_handle(row.workflow_id) for row in rows]
        await asyncio.gather(*(one.result() for one in handles), return_exceptions=True)
    return rows, [await one.fetch_history() for one in handles]


def without_the_engine(by: User, documents: list[dict[str, Any]]) -> list[Execution]:
    rows = [requested(by, document, {"n": 7}) for document in documents]
    ids = [row.pk for row in rows]
    runner = LocalRunner()
    runner.start()
    try:
        open_rows = Execution.objects.unsettled().filter(pk__in=ids)
        eventually(lambda: not open_rows.exists(), timeout=60)
    finally:
        runner.stop(60)
    return rows


def replays(histories: list[Any], folder: Path) -> None:
    """AssertionError unless all replay under two orders of hashes."""
    for number, history in enumerate(histories):
        assert len(history.events) < MOST_EVENTS
        (folder / f"{number}.json").write_text(history.to_json())
    script = (
        "import asyncio, sys, django; django.setup()\n"
        "from pathlib import Path\n"
        "from apps.engine.leaving import leave\n"
        "from tests.histories import replay\n"
        "from workers.workflows.automations import WorkflowExecution\n"
        "for path in sorted(Path(sys.argv[1]).glob('*.json')):\n"
        "    failed = asyncio.run(replay.replay(replay.read(path), [WorkflowExecution]))\n"
        "    assert failed is None, (path, failed)\n"
        "leave()\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)],
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": ".",
                "DJANGO_SETTINGS_MODULE": "config.settings.test",
            },
        )
        for seed in ("1", "2")
    ]
    assert [one.wait() for one in running] == [0, 0]


async def test_thirty_graphs_come_to_the_same_on_the_engine_and_without_it(
    stage: EngineStage, people: dict[str, User], settings: Any, tmp_path: Path
) -> None:
    drawn = dict(shapes())
    assert len(drawn) >= 30
    documents = list(drawn.values())
    carried, histories = await on_the_engine(stage, people["editor"], documents)
    settings.ENABLE_TEMPORAL_FEATURES = False
    ran = await orm(without_the_engine, people["editor"], documents)
    for name, one, other, document in zip(drawn, carried, ran, documents, strict=True):
        assert await orm(told, one) == await orm(told, other), name
        assert await orm(nodes_of, one) == expected(document), name
    await asyncio.to_thread(replays, histories, tmp_path)


@pytest.mark.parametrize("shape", ["wide 2000", "deep 1000"])
async def test_large_graphs_run_answer_and_replay(
    stage: EngineStage, people: dict[str, User], settings: Any, tmp_path: Path, shape: str
) -> None:
    if shape.startswith("wide"):
        document = graph(" ".join(f"a>w{n} w{n}>z" for n in range(1998)))
    else:
        document = graph(" ".join(f"d{n}>d{n + 1}" for n in range(999)))
    async with stage.working():
        execution = await begun(stage, people["editor"], document)
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        ending = asyncio.ensure_future(handle.result())
        seen = []
        while not ending.done():
            with within(2):
                seen.append((await handle.query("get_status"))["progress"])
        await ending
        history = await handle.fetch_history()
    total = len(document["nodes"])
    assert seen[-1]["total"] in (0, total)
    found = await orm(told, execution)
    assert set(found["nodes"].values()) == {"completed"}
    assert len(found["nodes"]) == total
    await asyncio.to_thread(replays, [history], tmp_path)
    settings.ENABLE_TEMPORAL_FEATURES = False
    [other] = await orm(without_the_engine, people["editor"], [document])
    again = await orm(told, other)
    assert json.loads(again["result"] or "null") == json.loads(found["result"] or "null")
    assert again["nodes"] == found["nodes"]
