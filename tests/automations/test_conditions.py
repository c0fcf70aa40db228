"""Conditions: what they may say, what they come to, and what is refused before it runs."""

import time
from typing import Any

import pytest

from apps.automations.expressions.conditions import check, evaluate, nodes_of
from apps.automations.expressions.errors import Failed, NotAllowed
from tests.automations.drawing import memory_below, short

VALUES: dict[str, Any] = {
    "inputs": {
        "status": 200,
        "items": [1, 2, 3],
        "pop": "no method",
        "name": "Ada",
        "none": None,
        "flag": True,
        "texts": ["a", "b"],
        "nested": {"class": {"a.b": 5}},
        "amount": "12.50",
    },
    "nodes": {"шаг-1": {"ok": False}},
    "params": {},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs.status == 200", True),
        ("inputs.status != 200", False),
        ("200 <= inputs.status < 300", True),
        ("inputs['status'] > 199.5", True),
        ("inputs.items[0] == 1 and inputs.items[-1] == 3", True),
        ("len(inputs.items) == 3", True),
        ("inputs.pop == 'no method'", True),
        ("'b' in inputs.texts", True),
        ("'z' not in inputs.texts", True),
        ("'d' in inputs.name", True),
        ("'status' in inputs", True),
        ("inputs.none is None and inputs.none == null", True),
        ("inputs.flag == true and inputs.flag is True", True),
        ("inputs.flag == 1", False),
        ("1 in [True]", False),
        ("not nodes['шаг-1'].ok", True),
        ('inputs.nested["class"]["a.b"] // 2 + 1 == 3', True),
        ("lower(inputs.name) == 'ada' and upper('x') == 'X'", True),
        ("number(inputs.amount) * 2 == 25", True),
        ("number('1e3') == 1000 and number(' 7 ') == 7", True),
        ("text(inputs.status) == '200' and text(true) == 'true'", True),
        ("get(inputs, 'missing') is None", True),
        ("get(inputs, 'missing', 3) == 3 and get(null, 'x', 1) == 1", True),
        ("startswith(inputs.name, 'A')", True),
        ("abs(-2) == 2 and min(1, 2) == 1 and max(inputs.items) == 3", True),
        ("inputs.items", True),
        ("params", False),
        ("-1 + 3 % 2 == 0", True),
        ("  true  ", True),
    ],
    ids=short,
)
def test_it_is_what_python_and_json_say(text: str, expected: bool) -> None:
    assert evaluate(text, VALUES) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "inputs.status = 200",
        "1; 2",
        "x := 1",
        "().__class__",
        "inputs.pop('x')",
        "'a'.ljust(10 ** 9)",
        "9 ** 9",
        "1 << 99",
        "1 & 1",
        "~1",
        "f'{inputs}'",
        "[x for x in inputs]",
        "(lambda: 1)()",
        "{'a': 1}",
        "{1}",
        "inputs.items[0:2]",
        "1 if true else 2",
        "len(*inputs)",
        "len(value=inputs)",
        "get(inputs, 'a')('b')",
        "__import__('os')",
        "open",
        "len",
        "inputs2.x",
        "secrets.KEY",
        "import os",
        "b'x' == b'x'",
        "...",
        "1j",
        "await inputs",
        "true\0",
        "(" * 300 + ")" * 300,
        "-" * 900 + "1",
        "1" * 1001,
        " or ".join(["1"] * 201),
        "9" * 900 + "." + "1 +" * 5,
    ],
    ids=short,
)
def test_what_is_no_condition_is_refused_before_it_runs(text: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        check(text)
    assert refused.value.code == "expression_not_allowed"
    assert refused.value.detail


def test_a_comparison_with_one_sign_is_told_what_it_lacks() -> None:
    with pytest.raises(NotAllowed, match="compared with =="):
        check("inputs.status = 200")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inputs.missing > 1", "missing is missing; there are: amount, flag"),
        ("params.a", "there are: -"),
        ("inputs.status.x", "number has no x"),
        ("inputs.none.x", "null has no x"),
        ("inputs.items[9]", "no item 9"),
        ("inputs.items['a']", "array has no a"),
        ("inputs.name[0]", "string has no 0"),
        ("inputs.name < 1", "no answer"),
        ("1 / 0", "no answer"),
        ("1 % 0", "no answer"),
        ("'a' * 1000000000", "not string"),
        ("'%1000000000d' % 1", "not string"),
        ("inputs.items * 99999", "not array"),
        ("true + 1", "not boolean"),
        ("1e308 * 10 > 1", "too large"),
        ("number('x')", "x is not a number"),
        ("number('nan')", "nan is not a number"),
        ("number('1_000')", "1_000 is not a number"),
        ("lower(1)", "number is not a text"),
        ("text(inputs)", "object is not one text"),
        ("len(5)", "number has no length"),
        ("min()", "no answer"),
        ("max(1, 'a')", "no answer"),
        ("min([])", "no answer"),
        ("1 in 'a'", "cannot be in"),
        ("len(1, 2)", "no answer"),
    ],
    ids=short,
)
def test_what_its_values_do_not_have_is_a_failure_in_words(text: str, words: str) -> None:
    with pytest.raises(Failed) as failed:
        evaluate(text, VALUES)
    assert failed.value.code == "expression_failed"
    assert words in str(failed.value.detail)


def test_it_names_the_nodes_it_reads() -> None:
    assert nodes_of("nodes.a.b == nodes['c d'].x and nodes.a and inputs.nodes.z") == ["a", "c d"]


BIG: dict[str, Any] = {"list": list(range(150_000)), "text": "x" * 900_000}
BOMBS = [
    " == ".join(["inputs"] * 60),
    " and ".join(["inputs == params"] * 40),
    "*".join(["99999999"] * 99) + " > 0",
    " and ".join(["-1 not in inputs.list"] * 30),
    "upper(lower(" * 20 + "inputs.text" + "))" * 20 + " == 1",
    "number(inputs.text) > 1",
]


def exploded(text: str) -> None:
    check(text)
    try:
        evaluate(text, {"inputs": BIG, "params": {**BIG, "list": list(BIG["list"])}})
    except Failed:
        pass


@pytest.mark.parametrize("text", BOMBS, ids=short)
def test_a_bomb_takes_neither_long_nor_much(text: str) -> None:
    began = time.process_time()
    exploded(text)
    assert time.process_time() - began < 3
    with memory_below(100_000_000):
        exploded(text)
