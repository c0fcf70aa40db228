"""Filters of the inbox that people keep, and may offer to everybody.

A shared one is an address, nothing more: whoever follows it sees what they may see.
"""

from django.db import transaction
from django.http import QueryDict

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.models import SavedFilter
from apps.approvals.selectors.comment_permissions import only_reads, reading_refusal
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotFound

SUBJECT = "saved_filter"
#: More than this nobody finds again.
MOST_FILTERS = 30
NAME_LIMIT = 60
QUERY_LIMIT = 500
#: The inbox's own parameters: a saved address carries no others, and no place in the list.
PARAMETERS = (
    *("q", "status", "kind", "sort", "group", "due", "claim"),
    *("age", "currency", "least", "most", "mine"),
)
DELETE_PERMISSION = "approvals.delete_savedfilter"


def filter_save(*, owner: User, name: str, query: str, shared: bool, via: str) -> SavedFilter:
    """Keep the inbox's address under a name; a name that the owner used before is given anew.

    Twice is once. What is not a parameter of the inbox is left out. Raises, audited: NotAllowed
    `permission_denied` for who only reads; Invalid `name_invalid`, `query_invalid` (also for one
    that filters nothing); Conflict `too_many_filters` beyond MOST_FILTERS a person.
    """
    with refusals(action="filter.save", subject_type=SUBJECT, subject_id="", by=owner, via=via):
        if only_reads(owner):
            raise reading_refusal()
        name = " ".join(validation.text_of(name, code="name_invalid").split())
        if not name or len(name) > NAME_LIMIT or not name.isprintable():
            raise Invalid(f"A name has one to {NAME_LIMIT} characters.", code="name_invalid")
        query = query_of(query)
        with transaction.atomic(durable=True):
            # One saving at a time for each person: the limit is theirs, and the name.
            User.objects.select_for_update(of=("self",), no_key=True).get(pk=owner.pk)
            known = SavedFilter.objects.filter(owner=owner, name=name).first()
            if known is not None and (known.query, known.shared) == (query, shared):
                return known
            if known is None and SavedFilter.objects.filter(owner=owner).count() >= MOST_FILTERS:
                raise Conflict(
                    f"You keep {MOST_FILTERS} filters already. Delete one first.",
                    code="too_many_filters",
                )
            saved, _ = SavedFilter.objects.update_or_create(
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
    """Forget a filter: one's own, or a shared one with the permission to delete any.

    Raises NotFound, audited, also the second time and for what the person may not delete.
    """
    with (
        refusals(
            action="filter.delete", subject_type=SUBJECT, subject_id=filter_id, by=by, via=via
        ),
        transaction.atomic(durable=True),
    ):
        found = SavedFilter.objects.select_for_update().filter(pk=filter_id).first()
        if found is None or not may_delete(found, by):
            raise NotFound("There is no such filter.")
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
    """The owner always; a shared one also who keeps the installation in order."""
    return saved.owner_id == by.pk or (saved.shared and by.has_perm(DELETE_PERMISSION))


def query_of(query: str) -> str:
    """The address in its one way of being written: known parameters, each once, in order.

    Invalid `query_invalid` for one that is too long, holds what cannot be stored, or says nothing.
    """
    query = validation.text_of(query, code="query_invalid")
    try:
        given = QueryDict(query[: QUERY_LIMIT * 4].removeprefix("?"))
    except ValueError as error:
        raise Invalid("That is no filter of the inbox.", code="query_invalid") from error
    kept = QueryDict(mutable=True)
    for name in PARAMETERS:
        value = validation.text_of(given.get(name) or "", code="query_invalid").strip()
        if value:
            kept[name] = value
    text = kept.urlencode()
    if not text or len(text) > QUERY_LIMIT:
        raise Invalid("That is no filter of the inbox.", code="query_invalid")
    return text
