"""Which node runs when: the graphs that others got wrong, and random ones against the rule."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.automations.checking import issues_of, plan_of
from apps.automations.contracts import NodeStatus, NodeType, OnError, Outcome
from apps.automations.contracts.graph import (
    COMPLETED,
    NodeState,
    Plan,
    PlanEdge,
    PlanNode,
    Progress,
)
from tests.automations.drawing import call, condition, graph, node, printed_alike

FAILS, TRUE, FALSE = "fails", NodeState(NodeStatus.COMPLETED, Outcome.TRUE), "false"


def played(
    definition: dict[str, Any],
    ends: Mapping[str, Any],
    choose: Callable[[list[int]], int] = lambda ready: ready[0],
) -> tuple[dict[str, str], list[str], Progress]:
    """Run a definition with these ends of its nodes; return the statuses, and which ran, in order.

    `ends`: "fails", an outcome, or the state; whatever is not named completes.
    """
    assert issues_of(definition) == []
    ids = [one["id"] for one in definition["nodes"]]
    progress = Progress(plan_of(definition))
    ran = []
    while not progress.finished:
        index = choose(progress.ready)
        progress.begin(index)
        ran.append(ids[index])
        progress.settle(index, state_of(progress.plan.nodes[index], ends.get(ids[index])))
    return {ids[i]: str(s.status) for i, s in enumerate(progress.states)}, ran, progress


def state_of(planned: PlanNode, end: Any) -> NodeState:
    if end == FAILS:
        return planned.failed()
    if isinstance(end, str):
        return NodeState(NodeStatus.COMPLETED, Outcome(end))
    default = {NodeType.CONDITION: TRUE}.get(planned.type, COMPLETED)
    return end or default


BRANCHES = {"on_error": "branch"}
C = condition("true")
REPORTS = [
    # A join after a branch runs once, though one of its parents is skipped.
    ("c>a:true c>b:false a>j b>j", {"c": C}, {}, "a=completed b=skipped j=completed"),
    ("c>a:true c>b:false a>j b>j j>k", {"c": C}, {}, "b=skipped k=completed"),
    # A join of arms of unequal length.
    ("s>a s>b b>c a>j c>j", {}, {}, "j=completed"),
    # Every target of a branch that is not taken is left out.
    (
        "c>a:true c>b:true c>d:false",
        {"c": C},
        {"c": FALSE},
        "a=skipped b=skipped d=completed",
    ),
    # Any edge that is taken is enough.
    (
        "c1>c2:true c1>p c2>x:true x>p",
        {"c1": C, "c2": C},
        {"c2": FALSE},
        "p=completed x=skipped",
    ),
    (
        "c1>c2:true c1>p c2>x:true x>p",
        {"c1": C, "c2": C},
        {"c1": FALSE},
        "c2=skipped p=skipped x=skipped",
    ),
    # A failure beside a branch that is not taken is not lost.
    ("f>j c>s:true s>j", {"c": C}, {"f": FAILS, "c": FALSE}, "j=blocked s=skipped f=failed"),
    ("c>a:true", {"c": C}, {"c": FALSE}, "a=skipped"),
    # Failures: what comes after is blocked, and nothing else.
    ("a>b b>c a>d", {}, {"b": FAILS}, "b=failed c=blocked d=completed"),
    ("a>b b>c", {"b": call(on_error="continue")}, {"b": FAILS}, "b=failed c=completed"),
    (
        "h>ok h>e:error",
        {"h": call(**BRANCHES)},
        {"h": FAILS},
        "h=failed ok=skipped e=completed",
    ),
    ("h>ok h>e:error", {"h": call(**BRANCHES)}, {}, "h=completed ok=completed e=skipped"),
    # A decision whose failure is passed on counts as a no.
    (
        "c>y:true c>n:false c>u",
        {"c": condition("true", on_error="continue")},
        {"c": FAILS},
        "y=skipped n=completed u=skipped",
    ),
    (
        "p>y p>r:rejected",
        {"p": node("approval", title="Pay?", group="reviewers")},
        {"p": "rejected"},
        "y=skipped r=completed",
    ),
    # Two edges between the same nodes are one parent.
    ("c>j:true c>j:false", {"c": C}, {"c": FALSE}, "j=completed"),
    ("f>j f>j a>j", {}, {"f": FAILS}, "j=blocked"),
    ("a b c", {}, {"b": FAILS}, "a=completed b=failed c=completed"),
]


@pytest.mark.parametrize(("edges", "nodes", "ends", "expected"), REPORTS)
@pytest.mark.parametrize("last", [False, True])
def test_it_settles_each_node_once_and_as_the_rule_says(
    edges: str, nodes: dict[str, Any], ends: dict[str, Any], expected: str, last: bool
) -> None:
    statuses, ran, progress = played(graph(edges, **nodes), ends, lambda ready: ready[-last])
    assert dict(part.split("=") for part in expected.split()).items() <= statuses.items()
    assert len(ran) == len(set(ran))
    assert progress.done == len(statuses)
    assert progress.ready == []


def test_what_it_says_of_changes_and_of_the_result() -> None:
    definition = graph("c>a:true c>b:false b>d a>j d>j f", c=C)
    progress = Progress(plan_of(definition))
    c, a, b, d, j, f = range(6)
    assert progress.ready == [c, f]
    assert progress.settle(c, TRUE) == [c, b, d]
    assert progress.settle(c, TRUE) == []
    assert progress.ready == [a, f]
    progress.begin(a, NodeStatus.WAITING)
    assert progress.ready == [f]
    assert (progress.sinks, progress.parents(j), progress.failure) == ([j, f], [a, d], None)
    progress.settle(a, COMPLETED)
    assert progress.taken(j) == [a]
    assert progress.settle(f, progress.plan.nodes[f].failed()) == [f]
    assert progress.failure == f
    assert progress.cancel() == [j]
    assert progress.finished


def test_another_attempt_runs_what_failed_and_what_it_blocked_and_nothing_else() -> None:
    definition = graph("s>a s>f f>x x>j a>j h>e:error", h=call(**BRANCHES))
    ends = {"f": FAILS, "h": FAILS}
    statuses, _ran, progress = played(definition, ends)
    ids = list(statuses)
    assert [ids[i] for i in progress.retry()] == ["f", "x", "j"]
    assert (progress.finished, progress.failure, [ids[i] for i in progress.ready]) == (
        False,
        None,
        ["f"],
    )
    for name in ("f", "x", "j"):
        assert [ids[i] for i in progress.ready] == [name]
        progress.settle(ids.index(name), COMPLETED)
    assert progress.finished
    assert progress.failure is None
    # The failure that the graph itself handles stays what it was.
    assert progress.states[ids.index("h")].status is NodeStatus.FAILED
    assert progress.retry() == []


def test_what_a_process_left_between_a_node_and_what_follows_is_settled() -> None:
    plan = plan_of(graph("c>a:true c>b:false b>d f>g", c=C))
    states = [NodeState()] * 6
    states[0] = TRUE
    states[4] = plan.nodes[4].failed()
    again = Progress(plan, states)
    assert [str(state.status) for state in again.states] == [
        *("completed", "pending", "skipped", "skipped", "failed", "blocked")
    ]
    assert again.ready == [1]


# --- random graphs --------------------------------------------------------------------------------
OUTCOMES = {
    NodeType.TRANSFORM: ("success", FAILS),
    NodeType.CONDITION: ("true", "false", FAILS),
}


@st.composite
def plans(draw: Any) -> tuple[Plan, list[Any]]:
    count = draw(st.integers(1, 12))
    nodes, ends = [], []
    for _number in range(count):
        kind = draw(st.sampled_from(sorted(OUTCOMES)))
        nodes.append(PlanNode(kind, draw(st.sampled_from(sorted(OnError)))))
        ends.append(draw(st.sampled_from(OUTCOMES[kind])))
    edges = []
    if count > 1:
        for _number in range(draw(st.integers(0, 3 * count))):
            target = draw(st.integers(1, count - 1))
            source = draw(st.integers(0, target - 1))
            outcome = draw(st.sampled_from(["success", "true", "false", "error"]))
            edges.append(PlanEdge(source, target, Outcome(outcome)))
    order = draw(st.permutations(range(count)))
    return (
        Plan(
            tuple(nodes[i] for i in order),
            tuple(PlanEdge(order.index(e.source), order.index(e.target), e.outcome) for e in edges),
        ),
        [ends[i] for i in order],
    )


def by_the_rule(plan: Plan, ends: list[Any]) -> list[NodeState]:
    """The rule, word for word, node by node from the roots."""
    states: list[NodeState | None] = [None] * len(plan.nodes)
    while None in states:
        for index, planned in enumerate(plan.nodes):
            into = [edge for edge in plan.edges if edge.target == index]
            if states[index] or any(states[edge.source] is None for edge in into):
                continue
            sources = [(edge, states[edge.source]) for edge in into]
            if any(source and source.blocks for _edge, source in sources):
                states[index] = NodeState(NodeStatus.BLOCKED)
            elif into and not any(s and s.outcome == e.outcome for e, s in sources):
                states[index] = NodeState(NodeStatus.SKIPPED)
            else:
                states[index] = state_of(planned, ends[index])
    return [state for state in states if state]


@settings(max_examples=300, deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_any_graph_in_any_order_comes_to_what_the_rule_says(
    drawn: tuple[Plan, list[Any]], chance: Any
) -> None:
    plan, ends = drawn
    progress = Progress(plan)
    running: list[int] = []
    ran: list[int] = []
    while not progress.finished:
        # As many at a time as there are, ending in any order; now and then from the rows.
        for index in progress.ready:
            progress.begin(index)
            running.append(index)
        index = running.pop(chance.randrange(len(running)))
        ran.append(index)
        progress.settle(index, state_of(plan.nodes[index], ends[index]))
        if chance.random() < 0.2:
            progress = Progress(plan, progress.states)
    assert progress.states == by_the_rule(plan, ends)
    assert len(ran) == len(set(ran))


@pytest.mark.parametrize("shape", ["deep", "wide", "dense"])
def test_the_largest_graphs_take_no_time(shape: str) -> None:
    count = 2_000
    pairs = {
        "deep": [(i, i + 1) for i in range(count - 1)],
        "wide": [(0, i) for i in range(1, count - 1)]
        + [(i, count - 1) for i in range(1, count - 1)],
        "dense": [(i, i + step) for step in (1, 2, 3) for i in range(count - step)],
    }[shape]
    began = time.process_time()
    progress = Progress(
        Plan((PlanNode(NodeType.TRANSFORM),) * count, tuple(PlanEdge(*pair) for pair in pairs))
    )
    while not progress.finished:
        for index in progress.ready:
            progress.begin(index)
            progress.settle(index, COMPLETED)
    assert time.process_time() - began < 2
    assert progress.done == count


def test_it_decides_the_same_under_any_hash_seed() -> None:
    script = """
import json, sys
from apps.automations.contracts import NodeStatus, NodeType, Outcome
from apps.automations.contracts.graph import NodeState, Plan, PlanEdge, PlanNode, Progress
plan = Plan(
    (PlanNode(NodeType.CONDITION),) * 40,
    tuple(PlanEdge(i, j, Outcome.TRUE if j % 2 else Outcome.FALSE) for i in range(40)
          for j in (i + 1, i + 2, i + 5) if j < 40),
)
progress, log = Progress(plan), []
while not progress.finished:
    index = progress.ready[-1]
    log.append([index, progress.settle(index, NodeState(NodeStatus.COMPLETED, Outcome.TRUE))])
print(json.dumps(log))
"""
    assert json.loads(printed_alike(script))
