"""`/ready` of the web in a whole stack whose parts freeze and die. tests/workers/test_readiness.py
has what each process asks."""

import json

import pytest

from tests.stack import Stack
from tests.support import eventually, within

pytestmark = pytest.mark.faults

#: The promise of product.md, for a server that hangs.
WITHIN = 5.0


def test_the_web_names_whoever_is_missing(stack: Stack) -> None:
    stack.wait_ready()

    def reason() -> str:
        with within(WITHIN):
            status, body = stack.get("/ready", timeout=60)
        assert stack.get("/health")[0] == 200
        return "" if status == 200 else str(json.loads(body)["reason"])

    for server, name in (("postgres", "postgres"), ("valkey", "redis"), ("temporal", "temporal")):
        stack.freeze(server)
        assert reason() == name
        stack.thaw(server)
        eventually(lambda: reason() == "", timeout=20)
    # The relay of its own still leads; a worker that was killed is missed within ten seconds.
    stack.kill9("worker")
    eventually(lambda: reason() == "worker", timeout=20)
    stack.kill9("relay")
    eventually(lambda: reason() == "relay", timeout=20)
    stack.restart("worker")
    eventually(lambda: reason() == "", timeout=30)
    stack.restart("relay")
