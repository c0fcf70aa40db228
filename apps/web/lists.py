"""Lists on pages: one page of rows by cursor, the filter beside it, and bounded counts."""

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.common.errors import Invalid
from apps.common.pagination import page
from apps.web.fragments import in_fragment

if TYPE_CHECKING:
    from apps.web.filters import FilterForm

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
    """`items` and `next` of the page that ?cursor= asks for; a cursor that is none: the first."""
    cursor = request.GET.get("cursor") or None
    try:
        return dict(page(queryset, cursor=cursor, limit=limit, order=order))
    except Invalid:
        if not in_fragment(request):
            messages.warning(
                request, "That place in the list no longer exists; this is its beginning."
            )
        return dict(page(queryset, cursor=None, limit=limit, order=order))


def filtered_list(
    request: HttpRequest,
    form: "FilterForm",
    queryset: "QuerySet[Any]",
    *,
    order: str = "newest",
) -> dict[str, Any]:
    """What the page of a filtered list and its live fragment both show."""
    found = listed(request, queryset, order=order)
    return {
        "form": form,
        "rows": found["items"],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        "filtered": form.filtered,
        # Of the page that is open: what it fetches again.
        "query": request.GET.urlencode(),
    }


def counted(queryset: "QuerySet[Any]") -> str:
    """How many, exactly up to COUNT_LIMIT, then `1,000+`."""
    number = queryset.order_by()[: COUNT_LIMIT + 1].count()
    return f"{COUNT_LIMIT:,}+" if number > COUNT_LIMIT else str(number)


def shown_count(queryset: "QuerySet[Any]") -> str:
    """The same for a figure beside a link: empty for none."""
    count = counted(queryset)
    return "" if count == "0" else count
