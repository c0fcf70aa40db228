"""Every issue of a definition, with its code and its place; all at once."""

import time
from typing import Any

import pytest

from apps.automations.checking import MOST_ISSUES, issues_of, plan_of
from apps.automations.contracts import NodeType, Outcome
from apps.automations.definition import schema
from tests.automations.drawing import call, condition, graph, node


def told(definition: Any) -> list[tuple[str, str]]:
    return [(issue.code, issue.path) for issue in issues_of(definition)]


def with_node(**changed: Any) -> dict[str, Any]:
    """A definition whose second node is this."""
    definition = graph("a>b")
    definition["nodes"][1].update(changed)
    return definition


def test_a_definition_as_drawing_tools_write_it_has_no_issue() -> None:
    definition = graph("a>b b>c:TRUE c>d", b=condition("inputs.n > 1"), d=call())
    definition["viewport"] = {"x": 1}
    definition["nodes"][0]["position"] = {"x": 0.5, "y": 3}
    definition["edges"][0].update(sourceHandle=None, animated=True)
    definition["edges"][1].update(sourceHandle="True", label="looks nice")
    assert issues_of(definition) == []
    plan = plan_of(definition)
    assert [edge.outcome for edge in plan.edges] == [
        *(Outcome.SUCCESS, Outcome.TRUE, Outcome.SUCCESS)
    ]


def test_labels_stand_for_outcomes_and_none_for_the_first_of_them() -> None:
    definition = graph(
        "c>x c>y:False p>x p>y:rejected h>x h>y:Error",
        c=condition("true"),
        p=node("approval", title="Pay?", group="reviewers"),
        h=call(on_error="branch"),
    )
    assert [str(edge.outcome) for edge in plan_of(definition).edges] == [
        *("true", "false", "approved", "rejected", "success", "error")
    ]


ISSUES = [
    (None, [("wrong_type", "")]),
    ([], [("wrong_type", "")]),
    ({}, [("missing", "/name"), ("missing", "/nodes")]),
    ({"name": "x", "nodes": []}, [("too_short", "/nodes")]),
    (
        {"name": "", "nodes": {}, "edges": 1},
        [("too_short", "/name"), ("wrong_type", "/nodes"), ("wrong_type", "/edges")],
    ),
    (with_node(id=7), [("wrong_type", "/nodes/1/id"), ("dangling_edge", "/edges/0/target")]),
    (with_node(id=""), [("too_short", "/nodes/1/id"), ("dangling_edge", "/edges/0/target")]),
    (with_node(id="a"), [("duplicate_id", "/nodes/1/id"), ("dangling_edge", "/edges/0/target")]),
    (with_node(type="shell"), [("unknown_type", "/nodes/1")]),
    (with_node(type=None), [("unknown_type", "/nodes/1")]),
    (with_node(type="api_call", data={}), [("missing", "/nodes/1/data/url")]),
    (with_node(data=[]), [("wrong_type", "/nodes/1/data")]),
    (with_node(data={"mapping": {"x": 1}}), [("wrong_type", "/nodes/1/data/mapping/x")]),
    (with_node(data={"mapping": {}, "maping": {}}), [("unknown_key", "/nodes/1/data/maping")]),
    (
        with_node(data={"mapping": {}, "on_error": "ignore", "attempts": 0}),
        [("not_a_choice", "/nodes/1/data/on_error"), ("out_of_range", "/nodes/1/data/attempts")],
    ),
    (
        with_node(**node("delay", delay_seconds=-1)),
        [("out_of_range", "/nodes/1/data/delay_seconds")],
    ),
    (
        with_node(**node("delay", delay_seconds="5")),
        [("bad_format", "/nodes/1/data/delay_seconds")],
    ),
    (
        with_node(**node("delay", delay_seconds=True)),
        [("wrong_type", "/nodes/1/data/delay_seconds")],
    ),
    (with_node(**node("delay", delay_seconds="{{ params.wait }}")), []),
    (
        with_node(**node("ai_agent", prompt="Hello", base_url="https://evil.example")),
        [("unknown_key", "/nodes/1/data/base_url")],
    ),
    (
        with_node(**call(method="brew", headers={"a b": "c", "d": "e\r\nf"})),
        [
            ("not_a_choice", "/nodes/1/data/method"),
            ("bad_format", "/nodes/1/data/headers/a b"),
            ("bad_format", "/nodes/1/data/headers/d"),
        ],
    ),
    (with_node(**call(method="post")), []),
    (
        with_node(**node("database", operation="select", table="t", query={"wher": 1})),
        [
            ("unknown_key", "/nodes/1/data/query/wher"),
            ("database_not_configured", "/nodes/1/data"),
        ],
    ),
    (
        with_node(**node("database", operation="select", table="T;", query="SELECT {{ no }}")),
        [
            ("bad_format", "/nodes/1/data/table"),
            ("database_not_configured", "/nodes/1/data"),
            ("expression_not_allowed", "/nodes/1/data/query"),
        ],
    ),
    (graph("a>a"), [("self_edge", "/edges/0")]),
    (graph("a>b:yes"), [("unknown_label", "/edges/0/label")]),
    (graph("a>b:true"), [("unknown_label", "/edges/0/label")]),
    (graph("a>b:error"), [("unknown_label", "/edges/0/label")]),
    (graph("a>b:error", a=call(on_error="branch")), []),
    (
        graph("r>a a>b b>c c>a"),
        [("cycle", "/edges/3")],
    ),
    (
        graph("a>b b>a b>x x>y c>y"),
        [("unreachable", "/nodes/2"), ("cycle", "/edges/1")],
    ),
    (
        graph("a", a=condition("inputs.x = 1")),
        [("expression_not_allowed", "/nodes/0/data/condition")],
    ),
    (
        graph("a", a=node(mapping={"x": "inputs.[", "y": "{{ inputs.y }}", "z": "input.z"})),
        [
            ("expression_not_allowed", "/nodes/0/data/mapping/x"),
            ("expression_not_allowed", "/nodes/0/data/mapping/y"),
            ("unknown_name", "/nodes/0/data/mapping/z"),
        ],
    ),
    (
        graph("a", a=node(mapping={"x": "secrets.KEY"})),
        [("secret_not_allowed", "/nodes/0/data/mapping/x")],
    ),
    (graph("a", a=node(mapping={"x": "inputs.secrets.KEY"})), []),
    (
        graph("a", a=call(headers={"Authorization": "Bearer {{ secrets.KEY }}"})),
        [],
    ),
    (
        graph("a", a=node("ai_agent", prompt="Say {{ secrets.KEY }}")),
        [("secret_not_allowed", "/nodes/0/data/prompt")],
    ),
    (
        graph("a", a=call(body={"list": [{"x": "{{ inputs.x }"}]})),
        [("expression_not_allowed", "/nodes/0/data/body/list/0/x")],
    ),
    (
        graph("a", a=node(mapping={"x": "keys(nodes)", "y": "nodes"})),
        [
            ("expression_not_allowed", "/nodes/0/data/mapping/x"),
            ("expression_not_allowed", "/nodes/0/data/mapping/y"),
        ],
    ),
    (
        graph("a>b", b=condition("len(nodes) > 1 or nodes[inputs.x]")),
        [("expression_not_allowed", "/nodes/1/data/condition")],
    ),
    (
        graph("a>b", b=condition("nodes.a.x == nodes['c'].x"), a=node(mapping={"x": "nodes.d.y"})),
        [("unknown_node", "/nodes/0/data/mapping/x"), ("unknown_node", "/nodes/1/data/condition")],
    ),
]


@pytest.mark.parametrize(("definition", "expected"), ISSUES)
def test_each_issue_has_its_code_and_its_place(definition: Any, expected: Any) -> None:
    assert told(definition) == expected


def test_all_issues_are_told_at_once_in_the_order_of_the_document() -> None:
    definition = graph("a>b b>a a>z z>q", a=condition("("), b=call(url="{{ x }}", colour="red"))
    definition["edges"][3]["target"] = "nowhere"
    definition["nodes"].append({"id": "a", "type": "transform", "data": {"mapping": {}}})
    issues = issues_of(definition)
    assert [(issue.code, issue.node or issue.edge) for issue in issues] == [
        ("expression_not_allowed", "a"),
        ("unknown_key", "b"),
        ("unknown_name", "b"),
        ("unreachable", "z"),
        ("duplicate_id", "a"),
        ("cycle", "e1"),
        ("dangling_edge", "e3"),
    ]
    assert all(issue.detail for issue in issues)
    assert {type(value) for issue in issues for value in issue.as_json().values()} <= {
        str,
        type(None),
    }


def test_a_cycle_is_told_with_its_path_and_several_one_by_one() -> None:
    issues = issues_of(graph("r>a a>b b>c c>a r>d d>e e>d"))
    cycles = [str(issue.detail) for issue in issues if issue.code == "cycle"]
    assert len(cycles) == 2
    assert any(
        "a → b → c → a" in one or "b → c → a → b" in one or "c → a → b → c" in one for one in cycles
    )


@pytest.mark.parametrize("id", ["a.b", "it's", "шаг-1", "节点", "🚀", "a b", "é"])
def test_ids_of_any_script_are_named_in_expressions(id: str) -> None:
    definition = {
        "name": "x",
        "nodes": [
            {"id": id, **node()},
            {"id": "end", **condition(f"nodes[{id!r}] == nodes[{id!r}]")},
            {"id": "map", **node(mapping={"x": f'nodes."{id}"'})},
        ],
        "edges": [{"source": id, "target": "end"}],
    }
    assert issues_of(definition) == []


@pytest.mark.parametrize("id", ["a\0", "a\n", "e\u0301", "\u202ea", " a", "x" * 101])
def test_ids_that_look_like_others_are_refused(id: str) -> None:
    definition = graph("a")
    definition["nodes"][0]["id"] = id
    assert [issue.path for issue in issues_of(definition)] == ["/nodes/0/id"]


def test_what_is_too_large_is_told_as_that_alone() -> None:
    definition = {"name": "x", "nodes": [7] * 2_001, "edges": [7] * 6_001}
    assert told(definition) == [("too_large", "/nodes"), ("too_large", "/edges")]


def test_many_issues_end_with_how_many_more_there_are() -> None:
    definition = graph("a")
    definition["nodes"][0]["data"] |= {f"k{number}": 1 for number in range(MOST_ISSUES + 10)}
    issues = issues_of(definition)
    assert len(issues) == MOST_ISSUES + 1
    assert (issues[-1].code, str(issues[-1].detail)) == ("more_issues", "There are 10 more.")


def test_the_largest_definition_is_checked_in_a_moment() -> None:
    nodes = [
        {"id": f"n{i}", **node(mapping={"x": f"nodes.n0.x || inputs.y{i}"})} for i in range(2_000)
    ]
    edges = [
        {"source": f"n{i}", "target": f"n{i + step}"}
        for step in (1, 2, 3)
        for i in range(2_000 - step)
    ]
    began = time.process_time()
    assert issues_of({"name": "x", "nodes": nodes, "edges": edges}) == []
    assert time.process_time() - began < 5


def test_the_schema_names_every_type() -> None:
    document = str(schema())
    assert all(f"'{type}'" in document for type in NodeType)


# --- databases ------------------------------------------------------------------------------------
def database(operation: str, table: str, query: Any = None, **data: Any) -> dict[str, Any]:
    given = {} if query is None else {"query": query}
    return graph("a", a=node("database", operation=operation, table=table, **given, **data))


WHERE, VALUES = {"id": 1}, {"code": "{{ params.code }}"}
PARAMETER = "SELECT %(x)s"
OF_DATABASES = [
    (database("select", "prices"), []),
    (database("select", "public.prices", {"where": WHERE, "order_by": ["-id"], "limit": 5}), []),
    (database("select", "sales.invoices", "SELECT 1"), []),
    (database("insert", "orders", {"values": VALUES}), []),
    (database("update", "orders", {"values": VALUES, "where": WHERE}), []),
    (database("delete", "orders", {"where": WHERE}), []),
    (database("select", "prices", PARAMETER, parameters={"x": "{{ params.x }}"}), []),
    (database("select", "prices", "SELECT 'a%%' || '%%(y)s'"), []),
    (database("select", "users"), [("table_not_allowed", "/table")]),
    (database("select", "invoices"), [("table_not_allowed", "/table")]),
    (database("insert", "prices", {"values": VALUES}), [("table_read_only", "/table")]),
    (database("update", "orders", {"values": VALUES}), [("where_missing", "/query")]),
    (database("delete", "orders", {"where": {}}), [("where_missing", "/query")]),
    (database("delete", "orders"), [("where_missing", "/query")]),
    (database("insert", "orders", {}), [("values_missing", "/query")]),
    (
        database("insert", "orders", {"values": VALUES, "where": WHERE}),
        [("query_not_allowed", "/query/where")],
    ),
    (
        database("select", "orders", {"values": VALUES}, parameters=WHERE),
        [("query_not_allowed", "/query/values"), ("query_not_allowed", "/parameters")],
    ),
    (database("delete", "orders", "DELETE FROM orders"), [("query_not_allowed", "/query")]),
    (
        database("select", "prices", "SELECT '{{ params.x }}'"),
        [("expression_not_allowed", "/query")],
    ),
    (database("select", "prices", PARAMETER), [("unknown_parameter", "/query")]),
    (database("select", "prices", "SELECT 5 % 2"), [("query_not_allowed", "/query")]),
    (database("select", "prices", "SELECT %s"), [("query_not_allowed", "/query")]),
    (
        database("select", "prices", PARAMETER, parameters={"x": "{{ nobody.x }}"}),
        [("unknown_name", "/parameters/x")],
    ),
]


@pytest.mark.parametrize(("definition", "expected"), OF_DATABASES)
def test_a_database_node_keeps_to_the_tables_of_the_settings(
    definition: Any, expected: Any, settings: Any
) -> None:
    settings.AUTOMATIONS_DATABASE_URL = "postgres://automations@db.example/orders"
    settings.AUTOMATIONS_TABLES = {
        "public.orders": "rw",
        "public.prices": "r",
        "sales.invoices": "r",
    }
    assert told(definition) == [(code, f"/nodes/0/data{path}") for code, path in expected]
