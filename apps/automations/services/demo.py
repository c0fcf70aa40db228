"""The demo's automations: one that a person signs, one with branches that meet again, and a draft
with issues."""

from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.automations.models import Automation
from apps.automations.services.definitions import automation_create, version_add

VIA = "demo"


def _node(id: str, type: str, **data: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "data": data}


def _edge(source: str, target: str, label: str = "") -> dict[str, Any]:
    edge = {"id": f"{source}-{target}", "source": source, "target": target}
    return {**edge, "label": label} if label else edge


RELEASE = {
    "name": "Release a large order",
    "nodes": [
        _node("order", "transform", mapping={"id": "params.order", "amount": "params.amount"}),
        _node("large", "condition", condition="inputs.amount > 100000"),
        _node(
            "sign",
            "approval",
            title="Release order {{ nodes.order.id }}",
            detail="It is larger than 100,000.",
            group="reviewer",
        ),
        _node("release", "transform", mapping={"released": "nodes.order.id"}),
        _node("refuse", "transform", mapping={"refused": "nodes.order.id"}),
    ],
    "edges": [
        _edge("order", "large"),
        _edge("large", "sign", "true"),
        _edge("large", "release", "false"),
        _edge("sign", "release", "approved"),
        _edge("sign", "refuse", "rejected"),
    ],
}
WELCOME = {
    "name": "Welcome a new customer",
    "nodes": [
        _node(
            "customer", "transform", mapping={"name": "params.name", "country": "params.country"}
        ),
        _node("abroad", "condition", condition="inputs.country not in ['NG', 'BR']"),
        _node("local", "transform", mapping={"desk": "'Lagos and São Paulo'"}),
        _node("foreign", "transform", mapping={"desk": "'Abroad'"}),
        _node("wait", "delay", delay_seconds=60),
        _node(
            "letter",
            "transform",
            mapping={"to": "nodes.customer.name", "from": "nodes.local.desk || nodes.foreign.desk"},
        ),
    ],
    "edges": [
        _edge("customer", "abroad"),
        _edge("abroad", "foreign", "true"),
        _edge("abroad", "local", "false"),
        _edge("customer", "wait"),
        _edge("local", "letter"),
        _edge("foreign", "letter"),
        _edge("wait", "letter"),
    ],
}
DRAFT = {
    "name": "Chase an unpaid invoice",
    "nodes": [
        _node("invoice", "api_call", url="https://example.com/invoices/{{ params.invoice }}"),
        _node("due", "condition", condition="inputs.data.due = true"),
        _node("remind", "webhook", url="https://example.com/reminders", payload={"to": "{{ x }}"}),
    ],
    "edges": [
        _edge("invoice", "due"),
        _edge("due", "remind", "yes"),
        _edge("remind", "invoice"),
    ],
}
#: Code → the title and the definitions of its versions.
AUTOMATIONS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "release-order": ("Release a large order", [RELEASE]),
    "welcome-customer": (
        "Welcome a new customer",
        [{**WELCOME, "nodes": WELCOME["nodes"][:4], "edges": WELCOME["edges"][:3]}, WELCOME],
    ),
    "chase-invoice": ("Chase an unpaid invoice", [DRAFT]),
}


def automations_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    author = people["editor"]
    missing = AUTOMATIONS.keys() - set(
        Automation.objects.filter(code__in=AUTOMATIONS).values_list("code", flat=True)
    )
    for code in [code for code in AUTOMATIONS if code in missing]:
        title, documents = AUTOMATIONS[code]
        given: dict[str, Any] = {"by": author, "via": VIA, "as_of": timezone.now()}
        automation_create(code=code, title=title, document=documents[0], **given)
        for number, document in enumerate(documents[1:], 1):
            version_add(code=code, document=document, version=number, **given)
    if missing:
        yield f"{len(missing)} automations"
