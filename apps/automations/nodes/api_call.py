"""`api_call`: an HTTP call of an author's choice."""

from typing import Any

from apps.automations.nodes import answers
from apps.automations.nodes.call import Call
from apps.automations.nodes.filling import filled_parts
from apps.automations.nodes.sending import answer_of, has_header, headers_of
from apps.automations.values import json_of


def run(call: Call) -> dict[str, Any]:
    """Send it; return `{status, headers, data}`, also for a redirect, which is not followed.

    A body that is a text is sent as it is, another as JSON. Raises as `answer_of`, `headers_of`
    and `filled_parts`.
    """
    url, given, body = filled_parts(call, "url", "headers", "body", secrets=True)
    headers, content = headers_of(given), None
    if body is not None:
        is_text = isinstance(body, str)
        content = (body if is_text else json_of(body)).encode()
        if not has_header(headers, "content-type"):
            headers["Content-Type"] = "text/plain; charset=utf-8" if is_text else "application/json"
    method = str(call.data.get("method") or "GET").upper()
    answer = answer_of(call, method, url, headers=headers, body=content)
    return {
        "status": answer.status,
        "headers": answers.headers_of(answer),
        "data": answers.value_of(answer, call.secrets),
    }
