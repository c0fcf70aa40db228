"""`ai_agent`: a question to the model that operators have configured, at any OpenAI-compatible
server.

One address of that protocol is needed, behind the limits that all our calls have: the client
library, with its own retries, redirects and timeouts switched off, would be the larger part.
"""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.automations.contracts import NodeType
from apps.automations.nodes import answers, configured
from apps.automations.nodes.call import Call
from apps.automations.nodes.filling import filled_parts
from apps.automations.nodes.sending import answer_of
from apps.automations.values import json_of
from apps.common.errors import Invalid, Unavailable
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, document_of
from apps.outbound.addresses import host_name, port_of

_JSON_ONLY = "Answer with one JSON value and nothing else."
_FENCE = "```"


def run(call: Call) -> dict[str, Any]:
    """Ask; return `{answer, model, tokens}`. The answer is a text, with `agent_type` json the value
    that it is; `tokens` is null where the server does not count them.

    Raises Invalid `ai_not_configured`, `prompt_missing`; Unavailable `answer_not_understood`,
    `answer_not_json`; and as `answer_of` and `filled_parts`.
    """
    configured.check(NodeType.AI_AGENT)
    (prompt,) = filled_parts(call, "prompt")
    if prompt is None or prompt == "":
        raise Invalid(_("There is nothing to ask: the prompt is empty."), code="prompt_missing")
    as_json = call.data.get("agent_type") == "json"
    told = _ask(call, prompt if isinstance(prompt, str) else json_of(prompt), as_json)
    text = _at(told, "choices", 0, "message", "content")
    if not isinstance(text, str):
        raise Unavailable(
            _("The AI server's answer cannot be understood."), code="answer_not_understood"
        )
    model, tokens = _at(told, "model"), _at(told, "usage", "total_tokens")
    return {
        "answer": _json_in(text) if as_json else text,
        "model": model if isinstance(model, str) else settings.AI_MODEL,
        "tokens": tokens if isinstance(tokens, int) else None,
    }


def _ask(call: Call, prompt: str, as_json: bool) -> Any:
    messages = [{"role": "user", "content": prompt}]
    body: dict[str, Any] = {"model": settings.AI_MODEL, "messages": messages}
    if as_json:
        messages.insert(0, {"role": "system", "content": _JSON_ONLY})
        body["response_format"] = {"type": "json_object"}
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if settings.AI_API_KEY:
        headers["Authorization"] = f"Bearer {settings.AI_API_KEY}"
    base = urlsplit(settings.AI_BASE_URL)
    answer = answer_of(
        call,
        "POST",
        f"{settings.AI_BASE_URL}/chat/completions",
        headers=headers,
        body=json_of(body).encode(),
        allowed=(f"{host_name(base.hostname or '')}:{port_of(base)}",),
    )
    return answers.value_of(answer, call.secrets)


def _at(value: Any, *path: str | int) -> Any:
    """Return what is there, or None."""
    for key in path:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list) and len(value) > key else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _json_in(text: str) -> Any:
    """Return the JSON value that a model wrote, which likes to put a fence around it."""
    text = text.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE) and "\n" in text:
        text = text[: -len(_FENCE)].partition("\n")[2]
    try:
        return document_of(text.encode(), most_depth=answers.DEEPEST)
    except (NotJson, Invalid, ValueError):
        # Without the cause, which quotes the answer.
        pass
    raise Unavailable(_("The model's answer is not JSON."), code="answer_not_json")
