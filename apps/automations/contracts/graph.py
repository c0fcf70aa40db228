"""Which node of a graph runs when, and which never does. Standard library only, and a pure function
of what it was told: the workflow and the local runner both decide by it, and a replay decides the
same.

Every list is in the order of the definition.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from apps.automations.contracts import NodeStatus, NodeType, OnError, Outcome, outcome_of_failure

PENDING = NodeStatus.PENDING


@dataclass(frozen=True)
class PlanNode:
    """What the scheduler knows of a node; its place in the plan is its name here."""

    type: NodeType
    on_error: OnError = OnError.FAIL

    def failed(self) -> "NodeState":
        """Return the state of this node after a failure that no attempt mended."""
        return NodeState(NodeStatus.FAILED, outcome_of_failure(self.type, self.on_error))


@dataclass(frozen=True)
class PlanEdge:
    """An edge between two places of the plan, and the outcome of `source` that takes it."""

    source: int
    target: int
    outcome: Outcome = Outcome.SUCCESS


@dataclass(frozen=True)
class Plan:
    """A valid definition without its data: no cycle, every edge between nodes that are there."""

    nodes: tuple[PlanNode, ...]
    edges: tuple[PlanEdge, ...] = ()

    @cached_property
    def parents(self) -> tuple[dict[int, set[Outcome]], ...]:
        """Of each node: the nodes with an edge to it, and which of their outcomes take one."""
        found: tuple[dict[int, set[Outcome]], ...] = tuple({} for _node in self.nodes)
        for edge in self.edges:
            found[edge.target].setdefault(edge.source, set()).add(edge.outcome)
        return found

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Of each node: the nodes that an edge leads to."""
        pairs = dict.fromkeys((edge.source, edge.target) for edge in self.edges)
        found: list[list[int]] = [[] for _node in self.nodes]
        for source, target in pairs:
            found[source].append(target)
        return tuple(map(tuple, found))

    def taken(self, index: int, states: "States") -> list[int]:
        """Return the parents that have taken an edge to the node: their outputs are its inputs."""
        return [p for p, taking in self.parents[index].items() if states[p].outcome in taking]


@dataclass(frozen=True)
class NodeState:
    """Where a node is; once it is settled, which of its edges it has taken."""

    status: NodeStatus = PENDING
    outcome: Outcome = Outcome.NONE

    @property
    def blocks(self) -> bool:
        """Return whether nothing after the node can run."""
        failed = self.status is NodeStatus.FAILED and self.outcome is Outcome.NONE
        return failed or self.status is NodeStatus.BLOCKED


#: The states of nodes by place: those of all, or of some.
States = Sequence[NodeState] | Mapping[int, NodeState]

COMPLETED = NodeState(NodeStatus.COMPLETED, Outcome.SUCCESS)
_SKIPPED, _BLOCKED = NodeState(NodeStatus.SKIPPED), NodeState(NodeStatus.BLOCKED)
_CANCELLED = NodeState(NodeStatus.CANCELLED)


class Progress:
    """How far one execution of a plan has come.

    A node is ready when all its parents have settled, an edge from one of them is taken, and none
    of them blocks. When none is taken it is skipped; as soon as one blocks it is blocked. All edges
    between the same two nodes are one parent, taken if any of them is.
    """

    def __init__(self, plan: Plan, states: Sequence[NodeState] = ()) -> None:
        """Go on from `states`, one for each node; without them nothing has run yet. What the states
        imply is settled at once: a process may have ended between a node and what follows."""
        self.plan = plan
        self.states = list(states) or [NodeState()] * len(plan.nodes)
        self._count()

    # --- reading ---------------------------------------------------------------------------------
    @property
    def ready(self) -> list[int]:
        """The nodes that can run now."""
        return list(self._ready)

    @property
    def finished(self) -> bool:
        """Whether every node has settled."""
        return not self._unsettled

    @property
    def done(self) -> int:
        """How many nodes have settled."""
        return len(self.plan.nodes) - self._unsettled

    @property
    def failure(self) -> int | None:
        """The first node whose failure nothing in the graph handles."""
        return next((i for i in self._failures()), None)

    @property
    def sinks(self) -> list[int]:
        """The nodes that no edge leaves: their outputs are the result."""
        return [i for i, children in enumerate(self.plan.children) if not children]

    def parents(self, index: int) -> list[int]:
        """Return the nodes with an edge to this one."""
        return list(self.plan.parents[index])

    def taken(self, index: int) -> list[int]:
        """Return the parents that have taken an edge to this node: their outputs are its inputs."""
        return self.plan.taken(index, self.states)

    # --- changing --------------------------------------------------------------------------------
    def begin(self, index: int, status: NodeStatus = NodeStatus.RUNNING) -> None:
        """Note that the node runs, or waits."""
        if not self.states[index].status.settled:
            self._set(index, NodeState(status))

    def settle(self, index: int, state: NodeState) -> list[int]:
        """Note the end of a node. Return the nodes whose status this changed: the node itself, then
        what is skipped or blocked by it. A node that has settled stays as it is."""
        if self.states[index].status.settled:
            return []
        self._set(index, state)
        return [index, *self._follow([index])]

    def retry(self) -> list[int]:
        """Set the failures that nothing handles, and what they block, to pending. Return them."""
        again = [
            *self._failures(),
            *(i for i, s in enumerate(self.states) if s.status is NodeStatus.BLOCKED),
        ]
        for index in again:
            self.states[index] = NodeState()
        self._count()
        return sorted(again)

    def cancel(self) -> list[int]:
        """Cancel every node that has not settled. Return them."""
        left = [i for i, state in enumerate(self.states) if not state.status.settled]
        for index in left:
            self._set(index, _CANCELLED)
        return left

    # --- counting --------------------------------------------------------------------------------
    def _count(self) -> None:
        self._unsettled = sum(not state.status.settled for state in self.states)
        self._open = [len(parents) for parents in self.plan.parents]
        self._met = [False] * len(self.states)
        self._ready = [
            i
            for i, state in enumerate(self.states)
            if state.status is PENDING and not self._open[i]
        ]
        self._follow([i for i, state in enumerate(self.states) if state.status.settled])

    def _follow(self, settled: list[int]) -> list[int]:
        """Tell the children of these, and theirs; return those that are skipped or blocked."""
        changed = []
        waiting = deque(settled)
        while waiting:
            source = waiting.popleft()
            for child in self.plan.children[source]:
                if end := self._meet(source, child):
                    self._set(child, end)
                    changed.append(child)
                    waiting.append(child)
        return changed

    def _meet(self, source: int, child: int) -> NodeState | None:
        """Count this parent of the child; return the child's state if it can no longer run."""
        self._open[child] -= 1
        self._met[child] |= self._takes(source, child)
        if self.states[child].status is not PENDING:
            return None
        if self.states[source].blocks:
            return _BLOCKED
        if self._open[child]:
            return None
        if not self._met[child]:
            return _SKIPPED
        insort(self._ready, child)
        return None

    def _set(self, index: int, state: NodeState) -> None:
        before, self.states[index] = self.states[index], state
        self._unsettled -= state.status.settled and not before.status.settled
        if index in self._ready:
            self._ready.remove(index)

    def _takes(self, source: int, target: int) -> bool:
        return self.states[source].outcome in self.plan.parents[target][source]

    def _failures(self) -> Iterator[int]:
        failed = NodeStatus.FAILED
        return (i for i, s in enumerate(self.states) if s.status is failed and s.blocks)
