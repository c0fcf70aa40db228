"""Base classes of the ModelAdmins: lists that stay fast, and rows that only services write.

Actions that change rows are in `admin_verbs`, forms that call a service in `admin_forms`, rows
carried by a workflow in `admin_process`.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import DataError, connection
from django.db.models import Field, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.web.denied import Denied
from apps.web.links import temporal_url

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Rows are counted up to here; above, PostgreSQL's estimate is good enough for paging.
EXACT_COUNT = 10_000
#: Allowed comparisons of a column that a list offers: those of Django's filters and dates.
COMPARISONS = frozenset(
    {"", "exact", "in", "isnull", "isempty", "gte", "gt", "lte", "lt", "year", "month", "day"}
)


class EstimatedPaginator(Paginator):
    """Counts small results exactly, and large unfiltered tables by PostgreSQL's estimate."""

    @cached_property
    def count(self) -> int:
        """Return the exact count up to EXACT_COUNT; above it the estimate of an unfiltered table,
        else the limit."""
        rows = cast("QuerySet[Any]", self.object_list)
        exact: int = rows.order_by()[: EXACT_COUNT + 1].count()
        if exact <= EXACT_COUNT or rows.query.where:
            return exact
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [rows.model._meta.db_table],
            )
            return max(exact, cursor.fetchone()[0])


@dataclass(frozen=True)
class Tool:
    """A link above a list or a row, to a form that calls a service."""

    label: str
    url: str


class BaseAdmin(admin.ModelAdmin):
    """Lists that stay fast at a million rows; searches use indexes, never scans.

    `search_exact` names the columns that are compared with a search term; `subject_types` the types
    whose ids are searched, because the index on subjects begins with the type.
    """

    paginator = EstimatedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    empty_value_display = "–"
    search_exact: Sequence[str] = ()
    subject_types: Sequence[str] = ()
    #: Columns that a URL may filter by, besides the list's own filters.
    lookups: Sequence[str] = ()
    #: Django's actions that no admin offers, or that check permissions themselves. Asking for one
    #: is an accident, not a denial to audit.
    nobodys: Sequence[str] = ("delete_selected",)
    change_form_template = "admin/service_change_form.html"
    change_list_template = "admin/service_change_list.html"
    #: The URL name of the row's page on the staff site, and the column in that URL.
    page_name = ""
    page_key = "pk"

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only what the list offers: its filters, its dates, its rows' id, and `lookups`.

        Django lets a URL filter by every column, even one that no page shows: a user who may see
        the list could read a secret letter by letter (`…__startswith=a`). So relations and partial
        comparisons of text are refused.
        """
        offered = {"pk", self.opts.pk.name, *self.lookups}
        if self.date_hierarchy:
            offered.add(self.date_hierarchy)
        filters: Any = self.get_list_filter(request) if request else self.list_filter
        for item in filters:
            if isinstance(item, type):
                offered.add(getattr(item, "parameter_name", ""))
            else:
                offered.add(item if isinstance(item, str) else item[0])
        for name in offered:
            if lookup == name or (
                lookup.startswith(f"{name}__")
                and lookup.removeprefix(f"{name}__") in self._comparisons(name)
            ):
                return True
        return False

    def _comparisons(self, name: str) -> AbstractSet[str]:
        """Return what the column may be compared by: of a relation nothing that is also a column
        of the row it refers to, such as `invoice__year`."""
        field: Any = next((one for one in self.opts.fields if one.name == name), None)
        if field is None or not field.is_relation:
            return COMPARISONS
        return COMPARISONS - {one.name for one in field.related_model._meta.fields}

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.search_exact, *(["subject_id"] if self.searched_subjects() else []))

    def searched_subjects(self) -> Sequence[str]:
        """Return `subject_types`; override for types that are known only when all apps are
        loaded."""
        return self.subject_types

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Return rows with a searched column equal to the term; none for a term that no column can
        hold."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(pk__in=[])
        for name in self.search_exact:
            field = cast("Field[Any, Any]", self.opts.get_field(name))
            try:
                value = field.to_python(term)
                field.run_validators(value)
                found |= Q(**{name: value})
            except ValidationError:
                continue
        if subjects := self.searched_subjects():
            found |= Q(subject_type__in=subjects, subject_id=term)
        return queryset.filter(found), False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """As Django's; None (404) also for a text that PostgreSQL cannot store, which is an error
        where the id is a text."""
        if "\x00" in object_id:
            return None
        return super().get_object(request, object_id, from_field)

    def granted(self, request: HttpRequest, action: str = "change") -> bool:
        """Return whether the user has the permission for such rows, as actions and forms check it.
        `action` is Django's (view, change …), one of ours, or a full permission name."""
        return request.user.has_perm(self._permission(action))

    def must_be_granted(self, request: HttpRequest, action: str = "change") -> None:
        """Raise Denied (403) unless the user is `granted` the action."""
        if not self.granted(request, action):
            raise Denied(self._permission(action))

    def _permission(self, action: str) -> str:
        if "." in action:
            return action
        return f"{self.opts.app_label}.{action}_{self.opts.model_name}"

    def tools(self, request: HttpRequest, pk: str | None) -> list[Tool]:
        """Return links above the list (`pk` is None) or above a row, for this user."""
        return []

    def verb_rows(self, request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        """Return the selected rows on which an action may be called."""
        return rows

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """As Django's; of our actions (`admin_verbs`) only those that the user is granted."""
        return {
            name: action
            for name, action in super().get_actions(request).items()
            if action
            and (
                not (asked := getattr(action[0], "permission", "")) or self.granted(request, asked)
            )
        }

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        verbs = [
            (name, words)
            for verb, name, words in self.get_actions(request).values()
            if hasattr(verb, "permission")
        ]
        extra = {"tools": self.tools(request, object_id), "verbs": verbs}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """As Django's; input that PostgreSQL cannot store gives a message, not an error."""
        self._refuse_hidden_verb(request)
        extra_context = {"tools": self.tools(request, None), **(extra_context or {})}
        if any("\x00" in text for texts in request.GET.lists() for text in (texts[0], *texts[1])):
            return self._not_understood(request)
        try:
            return super().changelist_view(request, extra_context)
        except DisallowedModelAdminLookup:
            return self._not_understood(request)
        except (DataError, ValidationError, ValueError):
            if not request.GET and request.method != "POST":
                raise
            return self._not_understood(request)

    def _refuse_hidden_verb(self, request: HttpRequest) -> None:
        """Raise Denied for an action that the list does not offer this user, which Django would
        ignore."""
        name = request.POST.get("action", "")
        if request.method != "POST" or name in self.nobodys:
            return
        verbs = {one: function for function, one, _ in self._get_base_actions()}  # type: ignore[attr-defined]
        if name in verbs and name not in self.get_actions(request):
            permission = getattr(verbs[name], "permission", name)
            raise Denied(f"{self.opts.label_lower}: {permission}")

    def _not_understood(self, request: HttpRequest) -> HttpResponse:
        self.message_user(
            request,
            gettext("The filter or selection is not valid text. Nothing was done."),
            messages.ERROR,
        )
        return HttpResponseRedirect(request.path)


class _InCurrency:
    """Shows amounts in their currency; `currency` is the path from the row to the currency."""

    currency = "currency"
    opts: Any

    def in_currency(self, names: Iterable[Any]) -> list[Any]:
        """Return the columns, with amounts shown as `NGN 25,000.00`."""
        amounts = {f.name for f in self.opts.fields if isinstance(f, AmountField)}
        return [amount_column(name, self.currency) if name in amounts else name for name in names]


class ReadOnlyAdmin(_InCurrency, BaseAdmin):
    """Rows that only services write: permitted users see them, nobody changes them here."""

    ordering: ClassVar[Any] = ("-pk",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self.in_currency(super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.in_currency(super().get_fields(request, obj))

    @admin.display(description=_("page"))
    def staff_page(self, row: Any) -> SafeString | str:
        """Link to the row's page on the staff site, by `page_name`."""
        return link(reverse(self.page_name, args=[getattr(row, self.page_key)]), "open")


class ReadOnlyInline(_InCurrency, admin.TabularInline):
    """Read-only lines of a record, at most the `newest`. `related` are joined."""

    extra = 0
    can_delete = False
    show_change_link = False
    newest = 50
    order = "-pk"
    related: Sequence[str] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.in_currency(super().get_fields(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the newest lines of the open record only: a ledger may have millions."""
        rows = super().get_queryset(request)
        if self.related:
            rows = rows.select_related(*self.related)
        parent = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        if parent is None or self.fk_name is None:
            return rows
        try:
            ids = list(
                rows.filter(**{self.fk_name: parent})
                .order_by(self.order)
                .values_list("pk", flat=True)[: self.newest]
            )
        except (ValidationError, ValueError):
            return rows.none()
        return rows.filter(pk__in=ids).order_by(self.order)


# --- columns and filters -------------------------------------------------------------------------
def link(href: str, text: str) -> SafeString | str:
    """Return a link, or the bare text if `href` is empty."""
    return format_html('<a href="{}">{}</a>', href, text) if href else text


def workflow_link(workflow_id: str) -> SafeString | str:
    """Return the workflow's id, linked to the Temporal UI if that is configured."""
    return link(temporal_url(workflow_id), workflow_id) if workflow_id else "–"


def amount_text(amount: Decimal | None, currency: str) -> str:
    """Return `NGN 25,000.00`, or a dash; the no-break space keeps it on one line."""
    return shown(amount, currency, blank=NO_BREAK)


@cache
def amount_column(column: str, currency: str) -> Callable[[Any], str]:
    """Return a column that shows an amount with the currency at that path from the row."""
    of = attrgetter(currency.replace("__", "."))

    @admin.display(description=column.replace("_", " "))
    def shown_amount(row: Any) -> str:
        return amount_text(getattr(row, column), of(row))

    shown_amount.__name__ = f"{column}_amount"
    return shown_amount


def acting(request: HttpRequest) -> "User":
    """Return the signed-in user."""
    return cast("User", request.user)


def choice_filter(
    column: str, heading: str, choices: Callable[[], Iterable[tuple[str, str]]]
) -> type[admin.SimpleListFilter]:
    """Return a filter on a column without choices of its own, with given choices instead of a
    SELECT DISTINCT."""

    class StaticFilter(admin.SimpleListFilter):
        title = heading
        parameter_name = column

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return list(choices())

        def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
            return queryset.filter(**{column: self.value()}) if self.value() else queryset

    return StaticFilter
