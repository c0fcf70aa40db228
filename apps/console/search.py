"""The page of the site's search, and its operation of the API.

A search reads what its user may read anyway; like other reads it is not in the audit trail.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.auth import holds
from apps.accounts.scopes import ALL
from apps.common.api import Words
from apps.common.errors import Invalid, NotAllowed
from apps.common.language import lazy as _
from apps.engine.selectors import newest_runs, starts_under_way
from apps.web import search
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.search import Answer, Found, Source
from apps.web.search_query import LONGEST, SHORTEST, Query

if TYPE_CHECKING:
    from apps.accounts.models import User

search_router = Router(tags=["search"])


@dataclass(frozen=True)
class Place:
    """Where a workflow is. `state`: that of its newest run in the mirror, since `at`; without a run
    that of its start in the outbox, or `unknown`. `url`: in the Temporal UI, if that is there and
    the user may see runs."""

    workflow_id: str
    state: str
    at: datetime | None
    url: str


@dataclass(frozen=True)
class Shown:
    """A result with its workflow's place in the engine, if it has a workflow."""

    found: Found
    place: Place | None

    @property
    def key(self) -> str:
        """Return the row's id, code or name, unless the id of its workflow has it."""
        return "" if self.found.key in self.found.workflow_id else self.found.key


@dataclass(frozen=True)
class Section:
    """A source's results as the page shows them."""

    source: Source
    more: bool
    more_url: str
    results: list[Shown]


@login_required
@require_GET
def search_page(request: HttpRequest) -> HttpResponse:
    """Search everything that the user may see; without a text say what can be found."""
    user = person(request)
    text = request.GET.get("q", "")
    query = Query(text)
    known = search.sources(user)
    answer = search.search(user, query, known) if query.text else Answer()
    context = {
        "query": query,
        "trouble": query.trouble if text else "",
        "sources": known,
        "answer": answer,
        "sections": placed(answer, user),
        "longest": LONGEST,
    }
    return render(request, "console/search.html", context)


def placed(answer: Answer, user: "User") -> list[Section]:
    """Return the groups with the places of all their workflows, from two queries at most. Only who
    may see the pages of runs is led to the Temporal UI."""
    ids = {found.workflow_id for group in answer.groups for found in group.found}
    ids.discard("")
    runs = newest_runs(ids) if ids else {}
    without = ids - set(runs)
    starts = starts_under_way(without) if without else {}

    def place(workflow_id: str) -> Place | None:
        if not workflow_id:
            return None
        run = runs.get(workflow_id)
        state = run.status if run else starts.get(workflow_id, "unknown")
        at = (run.closed_at or run.started_at) if run else None
        return Place(workflow_id, state, at, temporal_url_for(user, workflow_id))

    return [
        Section(
            group.source,
            group.more,
            group.more_url,
            [Shown(found, place(found.workflow_id)) for found in group.found],
        )
        for group in answer.groups
    ]


# --- API ------------------------------------------------------------------------------------------
class PlaceOut(Schema):
    """The newest run of the workflow as the mirror knows it; `pending`, `leased` or `parked`: its
    start in the outbox; `unknown`: neither."""

    workflow_id: str
    state: str
    at: datetime | None
    url: str


class ResultOut(Schema):
    """`kind` is the key of the source; `url` a page of the site, without its host."""

    kind: str
    title: Words
    key: str
    url: str
    state: str
    at: datetime | None
    amount: Decimal | None
    currency: str
    engine: PlaceOut | None


class SearchOut(Schema):
    """`more`: kinds of which there are more than are listed; `late`: kinds that took too long and
    are left out."""

    items: list[ResultOut]
    more: list[str]
    late: list[str]


@search_router.get("", response=SearchOut, summary="Everything that the caller may see")
def search_everything(
    request: HttpRequest,
    q: Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)],
) -> dict[str, Any]:
    """Up to eight results of each kind that the key's scopes name; with `all` of every kind.

    Refusals: 403 `scope_missing`; 422 `invalid_text`.
    """
    user = cast("User", request.user)
    known = [one for one in search.sources(user) if holds(request, one.scope or ALL)]
    if not known:
        raise NotAllowed(_("The key has no scope of what can be searched."), code="scope_missing")
    query = Query(q)
    if query.trouble:
        raise Invalid(query.trouble, code="invalid_text")
    answer = search.search(user, query, known)
    return {
        "items": [
            _result(section.source, shown)
            for section in placed(answer, user)
            for shown in section.results
        ],
        "more": [group.source.key for group in answer.groups if group.more],
        "late": [source.key for source in answer.late],
    }


def _result(source: Source, shown: Shown) -> dict[str, Any]:
    found = shown.found
    return {
        "kind": source.key,
        "title": found.title,
        "key": found.key,
        "url": found.href,
        "state": found.state,
        "at": found.at,
        "amount": found.amount,
        "currency": found.currency,
        "engine": shown.place,
    }
