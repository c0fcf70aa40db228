"""What other programs answer, as values that nodes pass on."""

import base64
import codecs
import re
from typing import Any

from apps.automations.secrets import Secrets
from apps.common.errors import Invalid
from apps.common.strict_json import NotJson, document_of
from apps.outbound.sending import Answer

#: Nesting of an answer's JSON; what is deeper stays a text. Nodes nest values further.
DEEPEST = 100
_AS_IT_IS = "surrogateescape"
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
#: Others of Python's codecs are slow, or no encodings of texts.
_CODECS = ("utf-8", "utf-16", "ascii", "iso8859", "cp125")


def value_of(answer: Answer, secrets: Secrets) -> Any:
    """Return the body: of JSON the value, else the text, else `{"base64": …}` without secrets in
    what that stands for; None when it is empty. JSON that we do not take (NaN, a member twice,
    nested too deep) is a text."""
    if not answer.body:
        return None
    if _is_json(answer.header("content-type")):
        try:
            return document_of(answer.body, most_depth=DEEPEST)
        except (NotJson, Invalid):
            pass
    text = text_of(answer)
    if text is not None:
        return text
    # What is no text in it stays as it is.
    body = secrets.hidden(answer.body.decode("utf-8", _AS_IT_IS)).encode("utf-8", _AS_IT_IS)
    return {"base64": base64.b64encode(body).decode()}


def text_of(answer: Answer) -> str | None:
    """Return the body as a text that can be stored, or None if it is none."""
    found = _CHARSET.search(answer.header("content-type"))
    try:
        codec = codecs.lookup(found[1] if found else "utf-8").name
        text = answer.body.decode(codec if codec.startswith(_CODECS) else "utf-8")
    except (LookupError, ValueError):
        return None
    return None if "\0" in text else text


def headers_of(answer: Answer) -> dict[str, str]:
    """Return the headers by name, in lower case, those that come twice in one; no cookies."""
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        if name not in ("set-cookie", "set-cookie2"):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media in ("application/json", "text/json") or media.endswith("+json")
