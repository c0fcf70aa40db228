"""Names in the description: one for each class, because of two with one name only one is there."""

import enum
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from ninja import NinjaAPI, Schema
from pydantic import BaseModel

from config.api import api


def operations(of: NinjaAPI) -> Iterator[Any]:
    for router in of._get_bound_routers():
        for view in router.path_operations.values():
            yield from view.operations


def named(of: NinjaAPI) -> dict[str, set[type]]:
    """By their name, the classes that the description of this API defines."""
    found: dict[str, set[type]] = defaultdict(set)
    seen: set[Any] = set()

    def walk(annotation: Any) -> None:
        for part in get_args(annotation):
            walk(part)
        if not isinstance(annotation, type) or annotation in seen:
            return
        seen.add(annotation)
        if parts := parts_of(annotation):
            found[annotation.__name__].add(annotation)
            for part in parts:
                walk(part)

    for operation in operations(of):
        # The framework's own models around them stand nowhere in the description.
        around = [*operation.models, *operation.response_models.values()]
        for model in around:
            for part in parts_of(model) or ():
                walk(part)
    return found


def parts_of(annotation: Any) -> list[Any] | None:
    """The types of its fields; None if the description does not define it by its name."""
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, BaseModel):
        return [field.annotation for field in annotation.model_fields.values()]
    if issubclass(annotation, enum.Enum):
        return [str]
    if is_dataclass(annotation) or is_typeddict(annotation):
        return list(get_type_hints(annotation).values())
    return None


def twice(of: NinjaAPI) -> dict[str, list[str]]:
    """The names that several classes have, and where these are."""
    return {
        name: sorted(f"{one.__module__}.{one.__qualname__}" for one in classes)
        for name, classes in named(of).items()
        if len(classes) > 1
    }


def test_no_two_classes_of_the_description_have_one_name() -> None:
    assert len(named(api)) > 50
    assert twice(api) == {}


def test_all_that_the_description_defines_is_looked_at() -> None:
    defined = set(api.get_openapi_schema()["components"]["schemas"]) - {"Problem"}
    assert defined - set(named(api)) == set()


def _one() -> Any:
    class Same(Schema):
        one: int

    return Same


def _other() -> Any:
    class Same(Schema):
        other: str

    return Same


def _state(value: str) -> Any:
    return enum.StrEnum("Same", {"ONE": value})


def _plain() -> Any:
    @dataclass
    class Same:
        one: int

    return Same


@pytest.mark.parametrize(
    ("first", "second"),
    [(_one(), _other()), (_state("a"), _state("b")), (_plain(), _state("a"))],
)
def test_two_of_one_name_are_noticed_however_deep_they_stand(first: Any, second: Any) -> None:
    class Deep(Schema):
        parts: list[second | None]

    probe = NinjaAPI(urls_namespace=f"probe-{first}-{second}")

    @probe.post("/one", response=Deep)
    def take(request: Any, body: first) -> Any:
        """Take one, answer the other."""

    assert list(twice(probe)) == ["Same"]
