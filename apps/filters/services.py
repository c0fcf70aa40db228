"""Saves, offers and deletes filters of lists, private or shared.

A shared filter is only a query string: each user sees the rows that they may see.
"""

from django.db import transaction

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.filters.models import SavedFilter
from apps.web import saved_filters
from apps.web.saved_filters import FilteredPage, Offered

SUBJECT = "saved_filter"
#: The most filters per user and list: nobody finds more of them again.
MOST_FILTERS = 30
#: The most on offer.
MOST_OFFERED = 60
NAME_LIMIT = 60
DELETE_PERMISSION = "filters.delete_savedfilter"


def filter_save(
    *, owner: User, page: str, name: str, query: str, shared: bool, via: str
) -> SavedFilter:
    """Save a list's query string under a name; replaces the owner's filter of that name.

    Idempotent. Drops parameters that the list does not have. Raises, audited: Invalid
    `page_unknown`, `name_invalid`, `query_invalid` (also for one that filters nothing); NotAllowed
    `permission_denied` for users who do not see the list, or only read; Conflict `too_many_filters`
    beyond MOST_FILTERS.
    """
    with refusals(action="filter.save", subject_type=SUBJECT, subject_id="", by=owner, via=via):
        found = _page_for(page, owner)
        name = _name_of(name)
        query = found.canonical(query)
        with transaction.atomic(durable=True):
            # Lock the owner: one save at a time for each user keeps the limit and the name unique.
            User.objects.select_for_update(of=("self",), no_key=True).get(pk=owner.pk)
            own = SavedFilter.objects.filter(owner=owner, page=found.name)
            known = own.filter(name=name).first()
            if known is not None and (known.query, known.shared) == (query, shared):
                return known
            if known is None and own.count() >= MOST_FILTERS:
                raise Conflict(
                    filled(
                        _("You keep {most_filters} filters already. Delete one first."),
                        most_filters=MOST_FILTERS,
                    ),
                    code="too_many_filters",
                )
            saved, _unused = SavedFilter.objects.update_or_create(
                owner=owner,
                page=found.name,
                name=name,
                defaults={"query": query, "shared": shared},
            )
            entry_record(
                action="filter.saved",
                subject_type=SUBJECT,
                subject_id=saved.pk,
                by=owner,
                via=via,
                body={"page": found.name, "name": name, "query": query, "shared": shared},
            )
            return saved


def filter_delete(*, filter_id: int, by: User, via: str) -> None:
    """Delete a filter: the user's own, or a shared one with the permission to delete any.

    Raises NotFound, audited, also for a repeated call and for a filter that the user may not
    delete.
    """
    with (
        refusals(
            action="filter.delete", subject_type=SUBJECT, subject_id=filter_id, by=by, via=via
        ),
        transaction.atomic(durable=True),
    ):
        found = SavedFilter.objects.select_for_update().filter(pk=filter_id).first()
        if found is None or not may_delete(found, by):
            raise NotFound(_("There is no such filter."))
        names = ("page", "name", "query", "shared")
        body = {name: getattr(found, name) for name in names}
        found.delete()
        entry_record(
            action="filter.deleted",
            subject_type=SUBJECT,
            subject_id=filter_id,
            by=by,
            via=via,
            body=body,
        )


def filters_offered(user: User, page: FilteredPage, query: str) -> list[Offered]:
    """Return the filters that the user is offered on the list, as links."""
    rows = SavedFilter.objects.offered_to(user).filter(page=page.name)
    return [
        Offered(
            pk=saved.pk,
            name=saved.name,
            address=page.address(saved.query),
            current=saved.query == query,
            by="" if saved.owner_id == user.pk else str(saved.owner),
            deletable=may_delete(saved, user),
        )
        for saved in rows[:MOST_OFFERED]
    ]


def may_delete(saved: SavedFilter, by: User) -> bool:
    """Return True for the owner, and for a shared filter with the permission to delete any."""
    return saved.owner_id == by.pk or (saved.shared and by.has_perm(DELETE_PERMISSION))


def pages_of(user: User) -> list[str]:
    """Return the lists that the user may see."""
    return [
        page.name
        for page in saved_filters.registered()
        if not page.permission or user.has_perm(page.permission)
    ]


# --- helpers --------------------------------------------------------------------------------------
def _page_for(name: str, owner: User) -> FilteredPage:
    page = saved_filters.get(name)
    if page is None:
        raise Invalid(_("There is no list of this name."), code="page_unknown")
    if page.permission and not owner.has_perm(page.permission):
        raise NotAllowed(_("You may not see this list."), code="permission_denied")
    if refusal := page.refusal(owner):
        raise refusal
    return page


def _name_of(name: str) -> str:
    found = " ".join(name.split())
    # Not printable: U+0000, lone surrogates, signs that turn the text around.
    if not found or len(found) > NAME_LIMIT or not found.isprintable():
        raise Invalid(
            filled(_("A name has one to {name_limit} characters."), name_limit=NAME_LIMIT),
            code="name_invalid",
        )
    return found
