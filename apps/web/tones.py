"""Tones and words of states on pages. Each app registers its own states in `AppConfig.ready()`."""

from collections.abc import Mapping

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.common.registry import Registry

#: States of rows that a user asks for, and of their workflows.
COMMON = {
    "pending": "info",
    "awaiting_approval": "warn",
    "approved": "good",
    "running": "info",
    "executing": "info",
    "executed": "good",
    "done": "good",
    "completed": "good",
    "compensated": "warn",
    "failed": "bad",
    "rejected": "bad",
    "expired": "warn",
    "cancelled": "",
}

#: Their words; a code without any is shown as its name.
WORDS = {
    "pending": _("pending"),
    "awaiting_approval": _("waiting for approval"),
    "approved": _("approved"),
    "running": _("running"),
    "executing": _("executing"),
    "executed": _("executed"),
    "done": _("done"),
    "completed": _("completed"),
    "compensated": _("compensated"),
    "failed": _("failed"),
    "rejected": _("rejected"),
    "expired": _("expired"),
    "cancelled": _("cancelled"),
    "waiting": _("waiting"),
    "skipped": _("skipped"),
    "paused": _("paused"),
    "stopped": _("stopped"),
    "signing": _("signing"),
    "active": _("active"),
    "not_begun": _("not begun"),
    "runs": _("runs"),
    # Subjects of the trail that belong to no domain.
    "user": _("user"),
    "role": _("role"),
    "webhook": _("webhook"),
    "audit": _("audit trail"),
    "audit_entry": _("entry of the trail"),
    "list": _("list"),
    "demo": _("demo"),
}

#: Codes of apps.common that rows keep of what failed, and those that several apps share.
CODES = {
    "invalid": _("invalid"),
    "not_allowed": _("not allowed"),
    "not_found": _("not found"),
    "conflict": _("conflict"),
    "too_many_requests": _("too many requests"),
    "unavailable": _("unavailable"),
    "permission_denied": _("permission missing"),
    "already_settled": _("ended already"),
    "reason_required": _("reason missing"),
    "reason_too_long": _("reason too long"),
    "invalid_text": _("text not valid"),
    "invisible_characters": _("invisible characters in the text"),
    "amount_invalid": _("amount not valid"),
    "amount_ambiguous": _("amount can be read in two ways"),
    "currency_invalid": _("currency not valid"),
    "currency_mismatch": _("currencies differ"),
    "currency_differs": _("currencies differ"),
    "code_invalid": _("code not valid"),
    "region_invalid": _("region not valid"),
    "title_invalid": _("title not valid"),
    "payload_invalid": _("content not valid"),
    "payload_too_large": _("content too large"),
    "as_of_in_future": _("time in the future"),
    "idempotency_key_reused": _("key used for something else"),
    "key_reused": _("key used for something else"),
    "csv_invalid": _("line not valid"),
    "json_invalid": _("line not valid"),
    "line_too_long": _("line too long"),
}

_tones = Registry[str]("tone of the state")
_words = Registry[str]("wording of the state")


def register(tones: Mapping[str, str], words: Mapping[str, str] | None = None) -> None:
    """Register tones of states (good, warn, bad, info; empty for neutral), and words for states
    whose name is not what people call them.

    Two apps may share a state if they agree. Raises ImproperlyConfigured when they do not.
    """
    for state, tone in tones.items():
        _tones.add(state, tone)
    for state, text in (words or {}).items():
        _words.add(state, text)


def has_words(state: object) -> bool:
    """Return whether words are registered for it."""
    return str(state) in _words.by_key()


def tone_of(state: object) -> str:
    """Return the state's tone; empty (neutral) when none is registered."""
    return _tones.get(str(state)) or ""


def words_of(state: object) -> str:
    """Return a state, step or code in words; its name if it has none."""
    return str(_words.get(str(state)) or str(state).replace("_", " "))


def title_of(state: object) -> str:
    """Return a state or step in words that begin like a title."""
    return str(capfirst(words_of(state)))


def sentence_of(state: object) -> str:
    """Return a state or a code in words as a sentence."""
    return gettext("{words}.").format(words=title_of(state))


def badge(state: object) -> SafeString:
    """Return the state as a badge: word and tone, never colour alone."""
    tone = tone_of(state)
    return format_html(
        '<span class="badge{}">{}</span>', f" tone-{tone}" if tone else "", words_of(state)
    )


register(COMMON, {**WORDS, **CODES})
