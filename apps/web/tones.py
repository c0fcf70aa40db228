"""How states look and read on pages. Each app registers its own states in `AppConfig.ready()`."""

from collections.abc import Mapping

from apps.common.registry import Registry

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
