"""The shape of a definition: nodes with their data by type, and edges.

Unknown members beside `id`, `type` and `data`, and on edges, are those of whoever draws the graph
(`position`, `animated`): they are kept. Inside `data` they are typing errors.
"""

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
)

from apps.automations.contracts import LONGEST_ID, MOST_EDGES, MOST_NODES

LONGEST_URL = 2_000
MOST_HEADERS = 50
MOST_MAPPED = 200
#: A year, in seconds.
LONGEST_DELAY = 31_536_000
#: Rows that a node may read.
MOST_ROWS = 1_000


def _plain_id(text: str) -> str:
    if any(unicodedata.category(character)[0] == "C" for character in text):
        raise ValueError("control characters")
    if text != unicodedata.normalize("NFC", text) or text != text.strip():
        raise ValueError("not in its composed form, or with spaces around it")
    return text


def _upper(text: Any) -> Any:
    return text.upper() if isinstance(text, str) else text


NodeId = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_ID), AfterValidator(_plain_id)
]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Url = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Method = Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], BeforeValidator(_upper)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
HeaderValue = Annotated[str, StringConstraints(max_length=4_000, pattern=r"^[^\r\n\x00]*$")]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=MOST_HEADERS)]
#: A string that is one expression, where a number is wanted.
Expression = Annotated[str, StringConstraints(max_length=520, pattern=r"^\s*\{\{.*\}\}\s*$")]


#: A text or something else, chosen by what is given: so only the errors of what was meant are told.
#: Where they are, these tags begin with `<`.
_TEXT, _OTHER = Tag("<text>"), Tag("<other>")
_CHOSEN = Discriminator(lambda given: "<text>" if isinstance(given, str) else "<other>")


class Data(BaseModel):
    """What every node may say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    on_error: Literal["fail", "continue", "branch"] = "fail"
    timeout_seconds: int | None = Field(None, ge=1, le=86_400)
    attempts: int | None = Field(None, ge=1, le=10)


class ApiCallData(Data):
    """An HTTP call: `{status, headers, data}`."""

    url: Url
    method: Method = "GET"
    headers: Headers = {}
    body: JsonValue = None


class ConditionData(Data):
    """A comparison: true or false, and with it which edges are taken."""

    condition: Annotated[str, StringConstraints(min_length=1)]


class TransformData(Data):
    """A new object: each name with what its JMESPath expression finds."""

    transform_type: Literal["mapping"] = "mapping"
    mapping: Annotated[dict[str, str], Field(max_length=MOST_MAPPED)]


class DelayData(Data):
    """A durable wait: `{delayed_seconds, resumed_at}`."""

    delay_seconds: Annotated[
        Annotated[float, Field(ge=0, le=LONGEST_DELAY), _OTHER] | Annotated[Expression, _TEXT],
        _CHOSEN,
    ]


class Query(BaseModel):
    """What a `database` node reads or writes: only these columns, only by parameters."""

    model_config = ConfigDict(extra="forbid", strict=True)

    where: dict[Name, JsonValue] = {}
    values: dict[Name, JsonValue] = {}
    columns: list[Name] = []
    order_by: list[Annotated[str, StringConstraints(pattern=r"^-?[a-z_][a-z0-9_]{0,62}$")]] = []
    limit: int = Field(MOST_ROWS, ge=1, le=MOST_ROWS)


class DatabaseData(Data):
    """Rows of a permitted table: `{rows}` of a select, `{count}` of what writes."""

    operation: Literal["select", "insert", "update", "delete"]
    table: Annotated[
        str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$")
    ]
    query: Annotated[
        Annotated[Query, _OTHER]
        | Annotated[str, StringConstraints(min_length=1, max_length=10_000), _TEXT],
        _CHOSEN,
    ] = Query.model_construct()
    parameters: dict[Name, JsonValue] = {}


class WebhookData(Data):
    """A signed message: `{delivered, status, answer, attempts}`."""

    url: Url
    method: Annotated[Literal["POST", "PUT", "PATCH"], BeforeValidator(_upper)] = "POST"
    payload: JsonValue = None


class AiAgentData(Data):
    """A question to the configured model: `{answer, model, tokens}`."""

    agent_type: Literal["chat", "json"] = "chat"
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class ApprovalData(Data):
    """A person's decision: `{approved, by, reason, at, request_id}`."""

    title: Line
    detail: Annotated[str, StringConstraints(max_length=5_000)] = ""
    group: Annotated[str, StringConstraints(min_length=1, max_length=150)]
    quorum: int = Field(1, ge=1, le=20)
    amount: Annotated[
        Annotated[float | None, _OTHER]
        | Annotated[str, StringConstraints(min_length=1, max_length=520), _TEXT],
        _CHOSEN,
    ] = None
    currency: Annotated[str, StringConstraints(min_length=1, max_length=520)] | None = None


class _Node(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    id: NodeId


class ApiCall(_Node):
    type: Literal["api_call"]
    data: ApiCallData


class Condition(_Node):
    type: Literal["condition"]
    data: ConditionData


class Transform(_Node):
    type: Literal["transform"]
    data: TransformData


class Delay(_Node):
    type: Literal["delay"]
    data: DelayData


class Database(_Node):
    type: Literal["database"]
    data: DatabaseData


class Webhook(_Node):
    type: Literal["webhook"]
    data: WebhookData


class AiAgent(_Node):
    type: Literal["ai_agent"]
    data: AiAgentData


class Approval(_Node):
    type: Literal["approval"]
    data: ApprovalData


Node = Annotated[
    ApiCall | Condition | Transform | Delay | Database | Webhook | AiAgent | Approval,
    Field(discriminator="type"),
]


class Edge(BaseModel):
    """From one node to the next. `sourceHandle` counts before `label`, in any case."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: Annotated[str, StringConstraints(min_length=1, max_length=2 * LONGEST_ID + 50)] | None = (
        None
    )
    source: str
    target: str
    label: str | None = None
    source_handle: str | None = Field(None, alias="sourceHandle")


class Definition(BaseModel):
    """A graph of nodes and edges. `params`: a JSON Schema of what a run is given."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: Annotated[str, StringConstraints(max_length=200)] | None = None
    name: Line
    nodes: Annotated[list[Node], Field(min_length=1, max_length=MOST_NODES)]
    edges: Annotated[list[Edge], Field(max_length=MOST_EDGES)] = []


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a definition."""
    return Definition.model_json_schema()
