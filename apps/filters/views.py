"""Saves and deletes filters of the lists that show them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from apps.common.errors import DomainError
from apps.filters import services
from apps.web import saved_filters
from apps.web.fragments import person
from apps.web.refusals import refusal_of


@login_required
@require_POST
def filter_save(request: HttpRequest, page: str) -> HttpResponse:
    """Save the filters of the open list under a name."""
    found = saved_filters.get(page)
    if found is None:
        raise Http404
    query = request.POST.get("query", "")
    try:
        saved = services.filter_save(
            owner=person(request),
            page=page,
            name=request.POST.get("name", ""),
            query=query,
            shared=bool(request.POST.get("shared")),
            via="page",
        )
    except DomainError as error:
        refusal = refusal_of(error)
        messages.error(
            request, gettext("The filter was not saved. {what}").format(what=refusal.what)
        )
        return redirect(found.address(query))
    messages.success(
        request, gettext("Saved as “{name}”. It stands above the list now.").format(name=saved.name)
    )
    return redirect(found.address(saved.query))


@login_required
@require_POST
def filter_delete(request: HttpRequest, page: str, filter_id: int) -> HttpResponse:
    """Delete a saved filter, and show its list."""
    if saved_filters.get(page) is None:
        raise Http404
    try:
        services.filter_delete(filter_id=filter_id, by=person(request), via="page")
    except DomainError as error:
        messages.warning(
            request, gettext("Nothing was deleted. {what}").format(what=refusal_of(error).what)
        )
    else:
        messages.success(request, gettext("The filter is deleted. What it listed is untouched."))
    return redirect(page)
