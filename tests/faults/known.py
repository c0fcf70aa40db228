"""Which named points there are, by reading the code."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from temporalio import activity

from apps.bookings.contracts import Step as BookingStep
from apps.interventions.contracts import Step as InterventionStep
from workers.registry import QUEUES

ROOT = Path(__file__).resolve().parents[2]


#: Steps of all domains by the names that the code has for them.
STEPS = {step.name: step.value for steps in (InterventionStep, BookingStep) for step in steps}


def known_points() -> set[str]:
    """Every point that the code has, by reading it. Fails for a name it cannot work out."""
    found: set[str] = set()
    for call in _calls("failpoint", "failpoint_async"):
        name = call.args[0]
        if isinstance(name, ast.Constant):
            found.add(str(name.value))
        else:
            prefixes, suffix = _family(ast.unparse(name))
            found |= {f"{prefix}.{suffix}" for prefix in prefixes}
    return found


def activity_names() -> set[str]:
    """What the workers register."""
    definition = activity._Definition
    return {
        str(definition.must_from_callable(fn).name)
        for spec in QUEUES.values()
        for fn in spec.activities
    }


def saga_steps() -> set[str]:
    """Steps that are one `saga_step` of their domain."""
    return _steps("saga_step", "step") | _steps("booking_step", "step")


def effect_steps() -> set[str]:
    """Steps that call another program."""
    return _steps("Effect", "step")


def reversal_steps() -> set[str]:
    """Steps that have such a call undone."""
    return _steps("Effect", "reversal")


def _steps(called: str, argument: str) -> set[str]:
    names = {
        keyword.value.attr
        for call in _calls(called)
        for keyword in call.keywords
        if keyword.arg == argument and isinstance(keyword.value, ast.Attribute)
    }
    return {STEPS[name] for name in names}


#: Points whose name is made up from what they surround.
FAMILIES: dict[str, Callable[[], set[str]]] = {
    "{name}.before": activity_names,
    "{name}.after": activity_names,
    "{step}.uncommitted": saga_steps,
    **{f"{{effect.step}}.{at}": effect_steps for at in ("begun", "answered", "uncommitted")},
    **{f"{{effect.reversal}}.{at}": reversal_steps for at in ("begun", "answered", "uncommitted")},
}


def _family(written: str) -> tuple[set[str], str]:
    pattern = written.removeprefix("f").strip("'\"")
    assert pattern in FAMILIES, f"no family of failpoints is written {written}"
    return FAMILIES[pattern](), pattern.rpartition(".")[2]


def _calls(*names: str) -> Iterator[ast.Call]:
    for folder in ("apps", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            if not any(f"{name}(" in text for name in names):
                continue
            for node in ast.walk(ast.parse(text)):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in names
                ):
                    yield node
