"""How states look and read on pages. Each app registers its own states in `AppConfig.ready()`."""

from collections.abc import Mapping

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.registry import Registry

#: Of rows that somebody asks for, and of what carries them.
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

_tones = Registry[str]("tone of the state")
_words = Registry[str]("wording of the state")


def register(tones: Mapping[str, str], words: Mapping[str, str] | None = None) -> None:
    """Give states a tone (good, warn, bad, info; empty for neutral), and words where the state's
    own name is not what people call it.

    Two apps may share a state if they agree. Raises ImproperlyConfigured when they do not.
    """
    for state, tone in tones.items():
        _tones.add(state, tone)
    for state, text in (words or {}).items():
        _words.add(state, text)


def tone_of(state: object) -> str:
    """The state's tone; empty (neutral) when none is registered."""
    return _tones.get(str(state)) or ""


def words_of(state: object) -> str:
    """A state or step as people say it."""
    return _words.get(str(state)) or str(state).replace("_", " ")


def badge(state: object) -> SafeString:
    """The state as a badge: word and tone, never colour alone."""
    tone = tone_of(state)
    return format_html(
        '<span class="badge{}">{}</span>', f" tone-{tone}" if tone else "", words_of(state)
    )


register(COMMON, {"awaiting_approval": "waiting for approval"})
