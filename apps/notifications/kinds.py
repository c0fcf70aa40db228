"""Kinds of notifications to people and of events for programs. Apps register theirs in
`AppConfig.ready()`; notifications knows no domain.
"""

from collections.abc import Callable
from dataclasses import dataclass

from apps.accounts.models import User
from apps.common.registry import Registry


@dataclass(frozen=True)
class NotificationKind:
    """A kind of message to people.

    A name without a dot stands for all kinds that begin with it: `intervention` for
    `intervention.failed`. `email` is whether people get an e-mail who have not chosen; `mutable`
    whether they may switch the copy in the site off. `permission` (app.codename) is what people of
    a group must have to be told by `notify_group`, and anybody to find it in their settings.
    `decide` puts links that preselect a verdict into the e-mail. `relevant(key)` says whether a
    group's message is still true when its turn comes: after an outage nobody wants to hear of what
    was decided hours ago. `also(key, people)` gives the ids of those who are to hear of a group's
    message besides these people of the group, because they act for one of them. A kind without
    `in_settings` goes to people without a login (`mail_queue`): nobody finds it in their settings.
    """

    name: str
    title: str
    email: bool = False
    mutable: bool = True
    permission: str = ""
    decide: bool = False
    relevant: Callable[[str], bool] | None = None
    also: Callable[[str, list[int]], list[int]] | None = None
    in_settings: bool = True


def group_too(name: str) -> Callable[[str, list[int]], list[int]]:
    """For `NotificationKind.also`: the people of that group hear of it as well, nobody twice."""

    def members(key: str, people: list[int]) -> list[int]:
        found = User.objects.filter(groups__name=name, is_active=True)
        return list(found.values_list("pk", flat=True))

    return members


_kinds = Registry[NotificationKind]("notification kind")
_events = Registry[str]("event")


def register(kind: NotificationKind) -> None:
    """Make the kind known. ImproperlyConfigured when the name is taken by another one."""
    _kinds.add(kind.name, kind)


def register_event(name: str, title: str) -> None:
    """Make an event known that webhooks can ask for."""
    _events.add(name, title)


def get(name: str) -> NotificationKind:
    """The kind, or the one its family is registered under; an unknown one is told in the site."""
    known = _kinds.get(name) or _kinds.get(name.partition(".")[0])
    return known or NotificationKind(name, name, mutable=False)


def registered() -> list[NotificationKind]:
    """Every kind, in the order of registration; what is about machines comes last."""
    return sorted(_kinds.values(), key=lambda kind: kind.name.startswith("webhook."))


def events() -> dict[str, str]:
    """Every event with its title, by name."""
    return dict(sorted(_events.by_key().items()))
