"""Who may ask for something on a page. The form is refused where the service would refuse it, and
leaves the same trace: a refusal is audited whichever door it came to."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from apps.audit.services import refusals
from apps.common.errors import NotAllowed
from apps.web.fragments import person

View = Callable[[HttpRequest], HttpResponse]


def may_ask(permission: str, *, action: str, subject_type: str) -> Callable[[View], View]:
    """403 without the permission; a form that was sent all the same is audited as refused."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            user = person(request)
            if user.has_perm(permission):
                return view(request)
            if request.method == "POST":
                with (
                    suppress(NotAllowed),
                    refusals(
                        action=action, subject_type=subject_type, subject_id="", by=user, via="page"
                    ),
                ):
                    raise NotAllowed("You may not ask for this.", code="permission_denied")
            raise PermissionDenied

        return guarded

    return guard
