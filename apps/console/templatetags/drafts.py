"""One tag that makes a form keep what is typed into it: see `static/console/js/drafts.js`."""

import re
from hashlib import sha256

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_PLAIN = re.compile(r"[A-Za-z0-9:/_.-]{1,120}")


@register.simple_tag
def draft(
    *parts: object, version: str = "", once: str = "", reopen: str = "", reopen_with: str = ""
) -> SafeString:
    """Attributes of a form with prose. `parts` name what the form is about: a verb and an id.

    `version`: hidden fields that say what was read, `stamp-*` for all that begin so. They come back
    as they were: what was typed is never bound to a newer version unasked. `once`: hidden fields
    that make a form that is sent twice count once. `reopen`, `reopen_with`: of a page that is made
    by a POST, its address and the hidden fields to post there.
    """
    attributes = {
        "data-draft": _name(*parts),
        "data-draft-version": version,
        "data-draft-once": once,
        "data-draft-reopen": reopen,
        "data-draft-with": reopen_with,
    }
    text = SafeString("")
    for name, value in attributes.items():
        if value:
            text += format_html('{}="{}" ', SafeString(name), value)
    return SafeString(text.strip())


@register.simple_tag
def drafts_over(subject: object, *verbs: str) -> SafeString:
    """Attribute of what says that the subject is closed: what was typed for these verbs, which is
    `draft verb subject`, can be sent no more, and the browser forgets it."""
    return format_html('data-drafts-over="{}"', " ".join(_name(verb, subject) for verb in verbs))


def _name(*parts: object) -> str:
    return ":".join(_plain(str(part)) for part in parts)


def _plain(part: str) -> str:
    """The part itself, or a digest of one that is long or has other characters."""
    return part if _PLAIN.fullmatch(part) else sha256(part.encode()).hexdigest()[:24]
