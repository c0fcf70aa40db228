"""Many executions while workers, or the site, are killed at random: each completes, and each call
outside has one effect."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from tests.automations.drawing import call, delay, graph, transform
from tests.faults.automations import effects, ended, execute, outside, prove
from tests.faults.story import Story
from tests.support import FULL_SIZE, eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900 if FULL_SIZE else 300)]

Record = Callable[[str, object], None]

EXECUTIONS = 100 if FULL_SIZE else 12
KILLS = 8 if FULL_SIZE else 2
EFFECTS = 3


def document(story: Story) -> dict[str, Any]:
    """Calls one after the other and side by side, with a join."""
    echo = f"{outside(story)}/echo"
    return graph(
        "a>b a>c a>d b>e c>e d>e",
        a=transform(n="params.n"),
        b=call(f"{echo}/b?delay=0.2", method="POST"),
        c=call(f"{echo}/c?status=503&times=1", method="POST"),
        d=delay(0.3),
        e=call(f"{echo}/e", method="POST", body="{{ nodes.b.data.query }}"),
    )


@pytest.mark.parametrize(("runner", "victim"), [("engine", "worker"), ("local", "web")])
def test_whoever_is_killed_each_call_has_one_effect(
    story: Story, record_property: Record, runner: str, victim: str
) -> None:
    story.quiet()
    code = f"crowd-{runner}-{uuid4().hex[:6]}"
    made = story.insist(
        "POST",
        "/automations",
        user="editor",
        body={"code": code, "title": code, "runner": runner, "definition": document(story)},
    )
    assert made.status in (200, 201), made
    began = time.monotonic()
    bodies = [{"definition_id": code, "params": {"n": n}} for n in range(EXECUTIONS)]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(execute, story, body) for body in bodies]
        for _number in range(KILLS):
            # In this thread: a process ends with the thread that has started it.
            Event().wait(random.uniform(0.5, 3.0))
            story.stack.kill9(victim)
            story.stack.restart(victim)
        ids = [one.result() for one in asked]
    eventually(lambda: all(ended(story, one) for one in ids), timeout=240, every=0.5)
    prove(story, ids)
    names = [
        name
        for (name,) in story.stack.sql(
            "SELECT workflow_id FROM automations_execution WHERE id::text = ANY(%s)", ids
        )
    ]
    keys = {f"{name}:{node}" for name in names for node in "bce"}
    done = {key: counts for key, counts in effects(story).items() if key in keys}
    assert len(done) == EFFECTS * EXECUTIONS
    again = sum(counts["requests"] > 2 for counts in done.values())
    record_property(
        "table",
        [
            "Automations",
            f"{EXECUTIONS} executions, {victim} killed {KILLS} times",
            runner,
            f"{again} keys sent again, {time.monotonic() - began:.0f} s",
        ],
    )
