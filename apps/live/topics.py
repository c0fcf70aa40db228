"""The topics that pages can watch, and who may watch them.

An app registers its topics in `AppConfig.ready()`: live knows no domain.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from apps.accounts.models import User

UUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CODE_PATTERN = r"[A-Za-z0-9_-]{1,80}"


@dataclass(frozen=True)
class Topic:
    """`name` alone, or `name:<id>` when `pattern` says what an id looks like.

    Watching needs `permission` (empty: any login), or to be an owner: `owner(user, id)`. A
    `private` topic is its owner's alone, whatever permissions others have. With `presence` it is
    known who watches it (`apps.live.presence`).
    """

    name: str
    pattern: str = ""
    permission: str = ""
    owner: "Callable[[User, str], bool] | None" = None
    private: bool = False
    presence: bool = False

    def visible_to(self, user: "User", identifier: str) -> bool:
        """Whether the person may watch it. Asks the database."""
        if not self.private and (not self.permission or user.has_perm(self.permission)):
            return True
        return self.owner is not None and self.owner(user, identifier)


_topics: dict[tuple[str, bool], Topic] = {}


def register(topic: Topic) -> None:
    """Make the topic known. ImproperlyConfigured when the name is taken by another one."""
    if _topics.setdefault((topic.name, bool(topic.pattern)), topic) != topic:
        raise ImproperlyConfigured(f"the live topic {topic.name!r} is registered twice")


def parse(text: str) -> tuple[Topic, str] | None:
    """The topic and the id that a client's text names; None when there is no such topic."""
    name, colon, identifier = text.partition(":")
    topic = _topics.get((name, bool(colon)))
    if topic is None or (colon and not re.fullmatch(topic.pattern, identifier, re.ASCII)):
        return None
    return topic, identifier


def well_formed(text: str) -> bool:
    """Whether the text names a registered topic with a valid id."""
    return parse(text) is not None


def group_name(text: str) -> str:
    """The channel layer's name for it; group names know no colon."""
    return "live." + text.replace(":", ".")
