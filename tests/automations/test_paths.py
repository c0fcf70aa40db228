"""JMESPath in mappings and in braces: what it finds, what is refused, and that nothing explodes."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.automations.expressions import paths, templates
from apps.automations.expressions.errors import Failed, NotAllowed
from apps.automations.values import DEEPEST, MOST_BYTES, TooLarge, json_of
from apps.common.errors import Invalid
from tests.automations.drawing import memory_below, short

VALUES: dict[str, Any] = {
    "inputs": {"data": {"n": 1, "list": [3, 1, 2]}, "names": ["a", "b"], "empty": None},
    "nodes": {"a.b": {"ok": True}, "шаг-1": 7},
    "params": {"to": "x/y", "rate": 1.5},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs.data", {"n": 1, "list": [3, 1, 2]}),
        ("inputs.nothing.at.all", None),
        ("sort(inputs.data.list)", [1, 2, 3]),
        ('nodes."a.b".ok', True),
        ('nodes."шаг-1"', 7),
        ("{n: inputs.data.n, to: params.to}", {"n": 1, "to": "x/y"}),
        ("inputs.data.list[?@ > `1`]", [3, 2]),
        ("join('-', inputs.names)", "a-b"),
        ("to_string(inputs.data.list)", "[3,1,2]"),
        ("contains(inputs.names, 'a')", True),
        ("contains(params.to, 'x')", True),
        ("contains(params.to, `1`)", False),
        ("inputs.data == inputs.data", True),
        ("inputs.names[::-1]", ["b", "a"]),
    ],
    ids=short,
)
def test_it_finds_what_the_language_says(text: str, expected: Any) -> None:
    assert paths.evaluate(text, VALUES) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "inputs.", "inputs[", "a b", "'", "nothing(@)", "inputs.\0"),
        "[" * 450,
        "(" * 499,
        "[@,@]" + "|[@,@]" * 22,
        "[@,@][]" * 23,
        "join('', [@,@])|" * 10 + "@",
        "!" * 480 + "@",
        "a" * 501,
        "||".join(["a"] * 40),
    ],
    ids=short,
)
def test_what_asks_for_too_much_is_refused_before_it_runs(text: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        paths.check(text)
    assert refused.value.code == "expression_not_allowed"


@pytest.mark.parametrize(
    "text",
    [
        "sort(inputs.names[0])",
        "abs('a')",
        "length(`1`)",
        "inputs.names[::0]",
        "ceil(to_number('inf'))",
        "sum(inputs.names)",
        "join(',', inputs.data.list)",
        "max_by(inputs.names, &length(@)) | abs(@)",
    ],
    ids=short,
)
def test_what_its_values_do_not_have_is_a_failure(text: str) -> None:
    with pytest.raises(Failed) as failed:
        paths.evaluate(text, VALUES)
    assert failed.value.code == "expression_failed"
    assert failed.value.detail


def test_it_knows_what_an_expression_reads() -> None:
    text = 'nodes.a.x || inputs.y[?nodes.q] | {z: params, w: length(nodes."b c".nodes.d)}'
    assert sorted(paths.roots_of("nodes.a.x || inputs.y[?nodes.q]")) == ["inputs", "nodes"]
    assert sorted(paths.nodes_of('nodes.a.x || length(nodes."b c".nodes.d)')) == ["a", "b c"]
    assert paths.nodes_of("map(&nodes.q, inputs)") == []
    assert paths.roots_of(text) == ["inputs", "nodes"] or set(paths.roots_of(text)) == {
        "inputs",
        "nodes",
    }


WIDE = {
    "inputs": {"list": list(range(150_000)), "text": "x" * 900_000, "rows": [{"a": 1}] * 40_000}
}
#: Doubles its value twelve times over, within sixty parts.
DOUBLED = "inputs" + "|{a:@,b:@}" * 9
BOMBS = [
    DOUBLED,
    f"to_string({DOUBLED})",
    "inputs|{a:@,b:@}|{a:@,b:@}|{a:@,b:@}|{a:@,b:@}|{a:@,b:@}|a == b",
    "join(inputs.text, map(&to_string(@), inputs.list))",
    "inputs.list[?contains(`[1,2,3]`, @)] | [@,@] | [@,@]",
    "sort_by(inputs.rows, &to_string(@))",
    "inputs.rows[*].{a:a,b:a,c:a,d:a,e:a,f:a,g:a,h:a}",
    "inputs.list[*].[@] | []",
    "reverse(inputs.text)",
    "to_number(inputs.text)",
]


def exploded(text: str) -> None:
    paths.check(text)
    try:
        json_of(paths.evaluate(text, WIDE))
    except Invalid as refused:
        assert refused.code in ("expression_failed", "output_too_large")


@pytest.mark.parametrize("text", BOMBS, ids=short)
def test_a_bomb_takes_neither_long_nor_much(text: str) -> None:
    began = time.process_time()
    exploded(text)
    assert time.process_time() - began < 3
    with memory_below(100_000_000):
        exploded(text)


# --- values ---------------------------------------------------------------------------------------
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_what_is_json_is_written_and_read_again_the_same(value: Any) -> None:
    assert json.loads(json_of(value)) == value


def test_the_limits_of_a_value_are_exact() -> None:
    json_of("x" * (MOST_BYTES - 2))
    for value in ("x" * (MOST_BYTES - 1), "é" * (MOST_BYTES // 2), [0] * (MOST_BYTES // 2)):
        with pytest.raises(TooLarge) as refused:
            json_of(value)
        assert refused.value.code == "output_too_large"


def test_a_value_nested_too_deep_is_refused() -> None:
    value: Any = 1
    for _level in range(DEEPEST):
        value = [value]
    json_of(value)
    with pytest.raises(TooLarge):
        json_of([value])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, {"a": {1}}, object()])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        json_of([value])
    assert refused.value.code == "value_not_json"


# --- templates ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("{{ inputs.data.n }}", 1),
        ("{{inputs.data}}", {"n": 1, "list": [3, 1, 2]}),
        ("{{ inputs.empty }}", None),
        ("n={{ inputs.data.n }}, to {{ params.to }}", "n=1, to x/y"),
        ("{{ inputs.data.list }}!", "[3,1,2]!"),
        ("{{ {a: {b: params.rate}} }}", {"a": {"b": 1.5}}),
        ("x {{ {a: {b: params.rate}} }}", 'x {"a":{"b":1.5}}'),
        (" {{ params.to }}", " x/y"),
        ("{ {not} }", "{ {not} }"),
        ("}} {{ params.to }} }}", "}} x/y }}"),
        ({"{{ a }}": ["{{ params.to }}", 1, None]}, {"{{ a }}": ["x/y", 1, None]}),
    ],
)
def test_expressions_in_strings_are_filled_in(value: Any, expected: Any) -> None:
    assert templates.filled_in(value, VALUES) == expected


def test_what_an_expression_finds_is_not_looked_through_again() -> None:
    values = {"inputs": "{{ secrets.KEY }}", "secrets": {"KEY": "hidden"}}
    assert templates.filled_in("{{ inputs }} and {{inputs}}", values) == (
        "{{ secrets.KEY }} and {{ secrets.KEY }}"
    )


@pytest.mark.parametrize(
    "text", ["{{", "{{ }}", "a {{ b", "{{ b }", "{{ " + "a" * 600 + " }}"], ids=short
)
def test_an_expression_without_an_end_is_refused(text: str) -> None:
    with pytest.raises(NotAllowed):
        templates.filled_in(text, VALUES)


def test_nothing_within_a_longer_text_is_a_failure() -> None:
    with pytest.raises(Failed) as failed:
        templates.filled_in("/users/{{ inputs.id }}/delete", VALUES)
    assert "inputs.id is missing" in str(failed.value.detail)


def test_a_text_that_grows_beyond_a_value_is_refused() -> None:
    with pytest.raises(TooLarge):
        templates.filled_in("{{ inputs.text }}{{ inputs.text }}", WIDE)


@pytest.mark.parametrize(
    "text", ["{{" + "}" * 400, "{{ a" + "{{" * 200, "{{ (" + "}}" * 200], ids=short
)
def test_braces_without_sense_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    for _times in range(50):
        with pytest.raises(NotAllowed):
            templates.parts_of(text)
    assert time.process_time() - began < 2


# --- limits that expressions share ----------------------------------------------------------------
def test_expressions_may_share_their_steps() -> None:
    rows = [{"a": 1}] * 1000
    steps = paths.Steps()
    with pytest.raises(Failed):
        for _ in range(400):
            paths.evaluate("inputs[*].[a]", {"inputs": rows}, steps)
    # Alone it is far from the limit.
    assert paths.evaluate("inputs[0].a", {"inputs": rows}) == 1


def test_what_they_find_counts_together() -> None:
    values, steps = {"inputs": "x" * 400_000}, paths.Steps()
    assert templates.filled_in({"a": "{{ inputs }}", "b": "so {{ inputs }}"}, values, steps)
    with pytest.raises(TooLarge):
        templates.filled_in("{{ inputs }}", values, steps)
    assert templates.filled_in(["{{ inputs }}"] * 3, values)


def test_secrets_are_read_by_their_whole_name_only() -> None:
    values = {"inputs": 1, "secrets": {"KEY": "k-0123456789"}}
    assert paths.evaluate("secrets.KEY", values) == "k-0123456789"
    assert templates.filled_in("Bearer {{ secrets.KEY }}", values) == "Bearer k-0123456789"
    for text in ("secrets", "secrets.*", "@", "@.secrets.KEY", "reverse(to_string(secrets.KEY))"):
        assert "0123456789" not in str(paths.evaluate(text, values))
        assert "9876543210" not in str(paths.evaluate(text, values))
