"""Template context of the staff shell. Lazy: what a page does not show is not asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.notifications.models import Notification
from apps.web.lists import counted

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class NavItem:
    """A place in the header."""

    key: str
    title: str
    href: str
    current: bool


class Shell:
    """What the header shows of the person who is signed in."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._user = cast("User", request.user)

    @cached_property
    def roles(self) -> list[str]:
        """Names of the person's roles."""
        names = list(self._user.groups.order_by("name").values_list("name", flat=True))
        return [*names, "administrator"] if self._user.is_superuser else names

    @cached_property
    def inbox_count(self) -> str:
        """How many requests this person could sign now; empty for none."""
        return _shown(counted(ApprovalRequest.objects.mine(self._user)))

    @cached_property
    def unread_count(self) -> str:
        """Unread notifications; empty for none."""
        return _shown(counted(Notification.objects.filter(recipient=self._user, read_at=None)))

    @cached_property
    def nav(self) -> list[NavItem]:
        """Where this person may go."""
        user = self._user
        places = [
            ("home", "Home", reverse("home"), True),
            ("inbox", "Inbox", reverse("inbox"), True),
            ("interventions", "Interventions", reverse("interventions"), True),
            ("budgets", "Budgets", reverse("budgets"), user.has_perm("interventions.view_budget")),
            (
                "policies",
                "Policies",
                reverse("policies"),
                user.has_perm("interventions.view_policy"),
            ),
            ("audit", "Audit", reverse("audit"), user.has_perm("audit.view_auditentry")),
            ("admin", "Admin", reverse("admin:index"), user.is_staff),
        ]
        return [
            NavItem(key=key, title=title, href=href, current=self._at(href))
            for key, title, href, allowed in places
            if allowed
        ]

    def _at(self, href: str) -> bool:
        path = self._request.path
        return path == href if href == "/" else path.startswith(href)


def _shown(count: str) -> str:
    return "" if count == "0" else count


def shell(request: HttpRequest) -> dict[str, Any]:
    """`shell`: what every page's frame needs; None while nobody is signed in."""
    user = getattr(request, "user", None)
    return {"shell": Shell(request) if user is not None and user.is_authenticated else None}
