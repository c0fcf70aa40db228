"""What is found of the console itself: pages, and entries of the audit trail."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext

from apps.audit import subject_types
from apps.audit.selectors import VIEW_PERMISSION, EntryFilter, entries_search
from apps.common.language import lazy as _
from apps.console.scopes import Scope
from apps.web import navigation
from apps.web.search import (
    BY_NUMBER,
    CODE,
    Found,
    Match,
    Source,
    among,
    by_value,
    everything,
    held,
    starts_a_word,
)
from apps.web.search_query import Query

if TYPE_CHECKING:
    from apps.audit.models import AuditEntry

_NEWEST = ("-at", "-id")


def _find_pages(user: Any, query: Query, most: int) -> list[Found]:
    sections = {section.key: section.title for section in navigation.sections()}
    return [
        Found(title=item.title, href=item.href, notes=(sections[item.section],))
        for item in navigation.items()
        if starts_a_word(query, f"{sections[item.section]} {item.title}") and item.allows(user)
    ][:most]


PAGES = Source(
    key="pages",
    title=_("Pages"),
    hint=_("the name in the navigation"),
    order=5,
    find=held(_find_pages),
)


def _about(query: Query) -> Q | None:
    """Return the condition of entries about the row with the query's id."""
    if query.uuid is None:
        return None
    # The index on subjects begins with the type.
    return Q(subject_type__in=subject_types.registered(), subject_id=str(query.uuid))


def _entry(row: "AuditEntry") -> Found:
    about = {"subject_type": row.subject_type, "subject_id": row.subject_id}
    return Found(
        title=gettext("{action} by {actor_label}").format(
            action=row.action, actor_label=row.actor_label
        ),
        href=f"{reverse('audit')}?{urlencode(about)}",
        key=str(row.pk),
        state=row.outcome,
        notes=(row.code, row.subject_type, row.subject_id),
        at=row.at,
    )


def _in_trail(query: Query) -> str:
    """Return the audit page with this id, action or code."""
    if query.uuid:
        chosen = {"subject_id": str(query.uuid)}
    elif "." in query.text:
        chosen = {"action": query.text}
    else:
        chosen = {"code": query.text}
    return f"{reverse('audit')}?{urlencode(chosen)}"


ENTRIES = Source(
    key="entries",
    title=_("Audit trail"),
    hint=_("id of what it is about, number of the entry, action, or code of a refusal"),
    permission=VIEW_PERMISSION,
    scope=Scope.AUDIT_READ,
    order=90,
    find=among(
        lambda: entries_search(EntryFilter()).select_related(None),
        BY_NUMBER,
        Match(_about, ("-id",)),
        by_value("action", _NEWEST, like=r"[a-z_]+\.[a-z_.]+"),
        by_value("code", _NEWEST, like=CODE),
        found=_entry,
        seen=everything,
    ),
    more=_in_trail,
)
