"""Lists on pages: pages by cursor, filters, bounded counts, and files of the rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.defaultfilters import slugify
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.common.errors import DomainError, Invalid
from apps.common.grouping import grouped
from apps.common.language import lazy as _
from apps.common.pagination import numbered_page, page
from apps.web import exports, saved_filters
from apps.web.filters import FilterForm
from apps.web.fragments import fragment, in_fragment, let_in, person, seen_with
from apps.web.pieces import Head, Link, seen_by
from apps.web.saved_filters import FilteredPage
from apps.web.tables import Column, Read, sorted_by, table

if TYPE_CHECKING:
    from apps.accounts.models import User

PAGE_SIZE = 50
#: Stop counting here and show `1,000+`: an exact count of a large table is slow.
COUNT_LIMIT = 1000


def listed(
    request: HttpRequest,
    queryset: "QuerySet[Any]",
    limit: int = PAGE_SIZE,
    *,
    order: str = "newest",
) -> dict[str, Any]:
    """Return `items` and `next` of the page at ?cursor=; the first page for an invalid cursor."""
    cursor = request.GET.get("cursor") or None
    try:
        return page(queryset, cursor=cursor, limit=limit, order=order)
    except Invalid:
        if not in_fragment(request):
            messages.warning(
                request, gettext("That place in the list no longer exists; this is its beginning.")
            )
        return page(queryset, cursor=None, limit=limit, order=order)


def filtered_list(
    request: HttpRequest,
    form: FilterForm,
    queryset: "QuerySet[Any]",
    *,
    order: str = "newest",
) -> dict[str, Any]:
    """Return the context shared by a filtered list's page and its live fragment."""
    found = listed(request, queryset, order=order)
    return {
        "form": form,
        "rows": found["items"],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        "filtered": form.filtered,
        # The open page's query string, for the fragment's URL.
        "query": request.GET.urlencode(),
    }


def counted(queryset: "QuerySet[Any]") -> str:
    """Return the count, exact up to COUNT_LIMIT, then `1,000+`."""
    return bounded(queryset.order_by()[: COUNT_LIMIT + 1].count())


def counted_each(*querysets: "QuerySet[Any]") -> list[str]:
    """As `counted`, for several at once. One query."""
    first, *others = (
        rows.order_by().values_list(Value(number))[: COUNT_LIMIT + 1]
        for number, rows in enumerate(querysets)
    )
    union = first.union(*others, all=True).order_by()
    found = dict(grouped(union, "number", by=("number",), figures="count(*)"))
    return [bounded(found.get(number, 0)) for number in range(len(querysets))]


def bounded(number: int) -> str:
    """Return the number as `counted` does, of rows counted up to COUNT_LIMIT + 1."""
    return f"{COUNT_LIMIT:,}+" if number > COUNT_LIMIT else str(number)


def shown_count(number: int) -> str:
    """As `bounded`, for a figure beside a link: empty for none."""
    return bounded(number) if number else ""


def numbered(
    request: HttpRequest,
    rows: "QuerySet[Any]",
    *,
    parameter: str,
    order: str = "number",
    digits: int = 9,
    limit: int = 0,
) -> dict[str, Any]:
    """Return `items`, `next` and `later_page` of rows sorted by a number, after the one that the
    parameter names (`numbered_page`); from the first if it is invalid."""
    cursor = request.GET.get(parameter, "")
    place: dict[str, Any] = {"limit": limit or PAGE_SIZE, "order": order, "digits": digits}
    try:
        found = numbered_page(rows, cursor=cursor, **place)
    except Invalid:
        cursor = ""
        found = numbered_page(rows, cursor=None, **place)
    return {**found, "later_page": bool(cursor)}


@dataclass(frozen=True, kw_only=True)
class JsonLines:
    """A list's rows with their contents, an object of JSON a line. `rows`: as the list's, with what
    a line reads; `complete` adds what is read for many at once. `permission`: besides the list's.
    """

    rows: "Callable[[User], QuerySet[Any]]"
    line: Callable[[Any], dict[str, Any]]
    permission: str
    complete: Callable[[list[Any]], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ListPage:
    """A list of rows: its page, the fragment that the open page fetches when something on `topic`
    changes, and its files. All have what the filters in the URL match, sorted as it says.

    `name`: of its URL; the fragment's is `<name>_live`, that of the files `<name>_export`. `topic`
    may depend on the shown rows. `rows`: those that a user may see, with what a row shows;
    `complete` adds what is read for a whole page at once. `columns`: those of the table and of the
    files (`apps.web.tables`). `to`: URL name of a row's page, which has the row's column `by`;
    `version` tells an open page that a row has changed. `order`: the page's own. Without
    `permission` the page is a 403, and the fragment a 404. `noun`: of one row, for
    programs. `new` links to the
    form for one. `none` says that there is no row, then `first` what to do about it, or `empty` for
    users who may not ask. `arrivals`: whether to announce new rows. `lines`: its files with
    contents.
    """

    name: str
    title: str
    lead: str
    noun: str
    topic: str | Callable[[list[Any]], str]
    rows: "Callable[[User], QuerySet[Any]]"
    columns: tuple[Column, ...]
    to: str = ""
    by: str = "pk"
    version: Read = "version"
    order: str = "newest"
    filters: type[FilterForm] = FilterForm
    arrivals: bool = True
    permission: str = ""
    crumbs: tuple[Link, ...] = ()
    links: tuple[Link, ...] = ()
    new: Link | None = None
    none: str = _("There is nothing yet")
    first: str = _("Ask for the first one.")
    empty: str = _("They appear here as soon as somebody asks for one.")
    complete: Callable[[list[Any]], None] | None = None
    #: The links in the head that lead on with the filters in the URL: text, URL name, permission.
    onward: tuple[Link, ...] = ()
    lines: JsonLines | None = None

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the whole page."""
        let_in(request, self.permission)
        user = person(request)
        shown = self._context(request)
        if self.filters.base_fields:
            shown |= saved_filters.context_of(user, self.filtered, shown["form"], shown["here"])
        return render(request, "web/list.html", shown)

    def live(self, request: HttpRequest) -> HttpResponse:
        """Show the current rows."""
        seen_with(request, self.permission)
        return render(request, "web/_list_live.html", self._context(request))

    def export(self, request: HttpRequest, format: str) -> HttpResponseBase:
        """Send the rows as a file; POST, because it is audited."""
        let_in(request, self.permission, action="list.export", subject_type="list")
        lines = self.lines if format == exports.LINES else None
        if lines is not None:
            let_in(request, lines.permission, action="list.export", subject_type="list")
        user = person(request)
        form = self.filters(request.GET)
        rows = lines.rows if lines else self.rows
        return exported(
            request,
            form,
            form.matching(rows(user), user=user),
            self.columns,
            name=self.name,
            format=format,
            order=sorted_by(request, self.columns, self.order),
            back=reverse(self.name),
            complete=lines.complete if lines else self.complete,
            line=lines.line if lines else None,
        )

    def urls(self, route: str, *, live: str = "") -> list[URLPattern]:
        """Return its URLs; `live`, if a row's key may be the word `live`. Its filters can be saved
        from then on."""
        if self.filters.base_fields:
            saved_filters.register(self.filtered)
        shown = login_required(require_GET(self.page))
        part = fragment(require_GET(self.live))
        files = login_required(require_POST(self.export))
        return [
            path(route, shown, name=self.name),
            path(live or f"{route}live/", part, name=f"{self.name}_live"),
            path(f"{route}list.<str:format>", files, name=f"{self.name}_export"),
        ]

    @property
    def filtered(self) -> FilteredPage:
        """Return what saved filters know of it."""
        return FilteredPage(
            name=self.name, title=self.title, form=self.filters, permission=self.permission
        )

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        user = person(request)
        form = self.filters(request.GET)
        chosen = form.matching(self.rows(user), user=user)
        order = sorted_by(request, self.columns, self.order)
        found = filtered_list(request, form, chosen, order=order)
        if self.complete:
            self.complete(found["rows"])
        new = next(iter(seen_by((self.new,), user)), None) if self.new else None
        query = form.address
        onward = [
            replace(link, to=f"{link.href}?{query}" if query else link.href)
            for link in seen_by(self.onward, user)
        ]
        links = [*seen_by(self.links, user), *onward, *([new] if new else [])]
        address = reverse(self.name)
        return {
            **found,
            "list": self,
            "topics": self.topic if isinstance(self.topic, str) else self.topic(found["rows"]),
            "head": Head(self.title, self.lead, crumbs=self.crumbs, links=links),
            "table": table(
                request,
                found["rows"],
                self.columns,
                id=f"{slugify(self.noun)}-rows",
                caption=self.title,
                order=order,
                default=self.order,
                address=address,
                to=self.to,
                by=self.by,
                version=self.version,
            ),
            "sort": order if order != self.order else "",
            "files": files_of(
                f"{self.name}_export",
                form,
                order,
                self.order,
                lines=self.lines is not None and user.has_perm(self.lines.permission),
            ),
            "here": _query_of(form, order, self.order),
            "list_url": address,
            "new": new,
            "count": counted(chosen),
            "label": gettext("Filter this list"),
        }


def files_of(
    name: str, form: FilterForm, order: str, default: str, *, lines: bool = False
) -> list[tuple[str, str]]:
    """Return format and URL of the list's files, with its filters and its order; `lines`: among
    them that with contents."""
    query = _query_of(form, order, default)
    found = f"?{query}" if query else ""
    formats = (*exports.FORMATS, *((exports.LINES,) if lines else ()))
    return [(format, f"{reverse(name, args=[format])}{found}") for format in formats]


def _query_of(form: FilterForm, order: str, default: str) -> str:
    """Return the query string of the list's filters and its order, without the place in it."""
    query = QueryDict(form.address, mutable=True)
    if order != default:
        query["sort"] = order
    return query.urlencode()


def exported(
    request: HttpRequest,
    form: FilterForm,
    rows: "QuerySet[Any]",
    columns: tuple[Column, ...],
    *,
    name: str,
    format: str,
    order: str,
    back: str,
    complete: Callable[[list[Any]], None] | None = None,
    line: Callable[[Any], dict[str, Any]] | None = None,
) -> HttpResponseBase:
    """Send the rows in one of the formats of `apps.web.exports`. A refusal leads `back` to the page
    of the list, at the same filters, and is told there."""
    if format not in exports.FORMATS and line is None:
        raise Http404
    try:
        if not form.is_valid():
            raise Invalid(_("The filters do not make sense."), code="invalid_filters")
        return exports.send(
            request,
            rows,
            columns,
            name=name,
            order=order,
            format=format,
            by=person(request),
            filters=QueryDict(form.address).dict(),
            complete=complete,
            line=line,
        )
    except DomainError as error:
        messages.error(request, gettext("No file was made. {detail}").format(detail=error.detail))
        query = request.GET.urlencode()
        return redirect(f"{back}?{query}" if query else back)
