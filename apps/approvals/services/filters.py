"""Saved filters of the inbox, private or shared.

A shared filter is only a query string: each user sees the requests that they may see.
"""

from django.db import transaction
from django.http import QueryDict

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.models import SavedFilter
from apps.approvals.selectors.comment_permissions import only_reads, reading_refusal
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _

SUBJECT = "saved_filter"
#: The most filters per user: nobody finds more of them again.
MOST_FILTERS = 30
NAME_LIMIT = 60
QUERY_LIMIT = 500
#: The inbox's own parameters: a saved query string has no others, and no cursor.
PARAMETERS = (
    *("q", "status", "kind", "sort", "group", "due", "claim"),
    *("age", "currency", "least", "most", "mine"),
)
DELETE_PERMISSION = "approvals.delete_savedfilter"


def filter_save(*, owner: User, name: str, query: str, shared: bool, via: str) -> SavedFilter:
    """Save the inbox's query string under a name; replaces the owner's filter of that name.

    Idempotent. Drops parameters that the inbox does not have. Raises, audited: NotAllowed
    `permission_denied` for users who only read; Invalid `name_invalid`, `query_invalid` (also for
    one that filters nothing); Conflict `too_many_filters` beyond MOST_FILTERS per user.
    """
    with refusals(action="filter.save", subject_type=SUBJECT, subject_id="", by=owner, via=via):
        if only_reads(owner):
            raise reading_refusal()
        name = " ".join(validation.text_of(name, code="name_invalid").split())
        if not name or len(name) > NAME_LIMIT or not name.isprintable():
            raise Invalid(
                filled(_("A name has one to {name_limit} characters."), name_limit=NAME_LIMIT),
                code="name_invalid",
            )
        query = query_of(query)
        with transaction.atomic(durable=True):
            # Lock the owner: one save at a time for each user keeps the limit and the name unique.
            User.objects.select_for_update(of=("self",), no_key=True).get(pk=owner.pk)
            known = SavedFilter.objects.filter(owner=owner, name=name).first()
            if known is not None and (known.query, known.shared) == (query, shared):
                return known
            if known is None and SavedFilter.objects.filter(owner=owner).count() >= MOST_FILTERS:
                raise Conflict(
                    filled(
                        _("You keep {most_filters} filters already. Delete one first."),
                        most_filters=MOST_FILTERS,
                    ),
                    code="too_many_filters",
                )
            saved, _unused = SavedFilter.objects.update_or_create(
                owner=owner, name=name, defaults={"query": query, "shared": shared}
            )
            entry_record(
                action="filter.saved",
                subject_type=SUBJECT,
                subject_id=saved.pk,
                by=owner,
                via=via,
                body={"name": name, "query": query, "shared": shared},
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
        body = {"name": found.name, "query": found.query, "shared": found.shared}
        found.delete()
        entry_record(
            action="filter.deleted",
            subject_type=SUBJECT,
            subject_id=filter_id,
            by=by,
            via=via,
            body=body,
        )


def may_delete(saved: SavedFilter, by: User) -> bool:
    """Return True for the owner, and for a shared filter with the permission to delete any."""
    return saved.owner_id == by.pk or (saved.shared and by.has_perm(DELETE_PERMISSION))


def query_of(query: str) -> str:
    """Return the query string in canonical form: known parameters, each once, in order.

    Raises Invalid `query_invalid` if it is too long, has characters that cannot be stored, or is
    empty.
    """
    query = validation.text_of(query, code="query_invalid")
    try:
        given = QueryDict(query[: QUERY_LIMIT * 4].removeprefix("?"))
    except ValueError as error:
        raise Invalid(_("That is no filter of the inbox."), code="query_invalid") from error
    kept = QueryDict(mutable=True)
    for name in PARAMETERS:
        value = validation.text_of(given.get(name) or "", code="query_invalid").strip()
        if value:
            kept[name] = value
    text = kept.urlencode()
    if not text or len(text) > QUERY_LIMIT:
        raise Invalid(_("That is no filter of the inbox."), code="query_invalid")
    return text
