"""Template tags for forms that keep typed text: see `static/console/js/drafts.js`."""

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
    """Return the attributes of a form with prose. `parts` name the form's subject: an action and an
    id.

    `version`: hidden fields with what was read, `stamp-*` for all that begin so. The browser
    restores them too, so that typed text is never bound to a newer version unasked. `once`: hidden
    fields that make a form count once that is submitted twice. `reopen`, `reopen_with`: for a page
    that a POST created, its URL and the hidden fields to post there.
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
    """Return an attribute for an element that says that the subject is closed: the browser deletes
    the drafts of these actions, named as in `draft action subject`."""
    return format_html('data-drafts-over="{}"', " ".join(_name(verb, subject) for verb in verbs))


def _name(*parts: object) -> str:
    return ":".join(_plain(str(part)) for part in parts)


def _plain(part: str) -> str:
    """Return the part itself, or a digest if it is long or has other characters."""
    return part if _PLAIN.fullmatch(part) else sha256(part.encode()).hexdigest()[:24]
