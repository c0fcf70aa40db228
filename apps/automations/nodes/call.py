"""What a node with an effect is given for one try."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.automations.secrets import Secrets


@dataclass(frozen=True)
class Call:
    """One try of a node with an effect.

    `data`: the node's data as the definition has it, expressions not filled in. `values`: what its
    expressions may name (`inputs`, `nodes`, `params`). `key`: the idempotency key of the effect,
    `<execution>:<node>`, the same at every try. `seconds`: the limit of the whole try. `stopped()`
    tells whether the call is to be cut off. `number`: which try it is, from 1.
    """

    data: Mapping[str, Any]
    values: Mapping[str, Any]
    key: str
    seconds: float
    secrets: Secrets
    stopped: Callable[[], bool]
    number: int = 1
