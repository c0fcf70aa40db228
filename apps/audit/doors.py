"""Who may open a page or send its form. What is refused here is in the trail, as a refusal of a
service is: a denial of a page passes one middleware, whoever raised it, one of the API its handler
of errors."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, cast

from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from apps.audit.chain import clean_text
from apps.audit.contracts import Outcome
from apps.audit.models import AuditEntry
from apps.audit.services import entry_record
from apps.common import correlation
from apps.common.errors import DomainError
from apps.common.locks import transaction_lock
from apps.web.denied import Denied, hidden_by
from apps.web.fragments import person

P = ParamSpec("P")
View = Callable[[HttpRequest], HttpResponseBase]
AnyView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

#: A page, or a form whose verb has no name of its own.
PAGE_DENIED = "page.denied"
#: The same person, the same page: one entry in so many seconds.
QUIET_SECONDS = 60
_API = "/api/"
_OPERATIONS = {"changelist": "view", "history": "view"}

log = correlation.get_logger(__name__)


def may_ask(permission: str, *, action: str, subject_type: str) -> Callable[[View], View]:
    """403 without the permission; a form that was sent all the same is audited as this action."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponseBase:
            if not person(request).has_perm(permission):
                raise Denied(permission, action=action, subject_type=subject_type)
            return view(request)

        return guarded

    return guard


def needs(permission: str) -> "Callable[[AnyView[P]], AnyView[P]]":
    """403 without the permission, for pages. Behind `login_required`."""

    def guard(view: "AnyView[P]") -> "AnyView[P]":
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not person(request).has_perm(permission):
                raise Denied(permission)
            return view(request, *args, **kwargs)

        return guarded

    return guard


class DenialsMiddleware(MiddlewareMixin):
    """Records what a person was denied at a page. Stands behind AuthenticationMiddleware. The API
    answers its own errors and calls `denial_record` itself."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Never answers: Django makes the 403 or 404 of it."""
        denial_record(request, exception)


def denial_record(request: HttpRequest, error: Exception) -> None:
    """One refused entry for what a person was denied: a 403 that no service has recorded, or a 404
    that hides a row (`apps.web.denied`). Other errors, and nobody signed in, leave nothing.

    At most once in QUIET_SECONDS for the same person, address and code; two at the same moment
    leave one entry. What cannot be written is logged: the answer stands.
    """
    told = _told(request, error)
    if told is None or not request.user.is_authenticated:
        return
    page = clean_text(told.page or request.path)
    named = request.method == "POST" and told.action
    by = person(request)
    refused = isinstance(error, DomainError) and error.status == HTTPStatus.FORBIDDEN
    code = cast("DomainError", error).code if refused else "permission_denied"
    record: dict[str, Any] = {
        "action": told.action if named else PAGE_DENIED,
        "subject_type": told.subject_type if named else "page",
        "subject_id": "" if named else _short(page),
        "outcome": Outcome.REFUSED,
        "code": code,
    }
    body: dict[str, Any] = {"page": page, "method": request.method, "permission": told.permission}
    if hidden_by(error):
        body["status"] = HTTPStatus.NOT_FOUND.value
    elif refused:
        body |= cast("DomainError", error).extra
    try:
        with transaction.atomic():
            # Until the transaction ends nobody else looks whether this was recorded.
            transaction_lock(f"denied:{by.audit_id} {record['action']} {code} {page}")
            since = timezone.now() - timedelta(seconds=QUIET_SECONDS)
            if AuditEntry.objects.filter(actor_id=by.audit_id, at__gt=since, **record).exists():
                return
            entry_record(**record, by=by, via=_door(request), body=body)
    except DatabaseError:
        log.exception("denial_not_recorded", page=page, actor=by.audit_id)


def _told(request: HttpRequest, error: Exception) -> Denied | None:
    """What was denied; None when it is no denial, or a service has recorded it."""
    if isinstance(error, Denied):
        return error
    if isinstance(error, PermissionDenied):
        return Denied(_admin_permission(request))
    if isinstance(error, DomainError) and error.status == HTTPStatus.FORBIDDEN:
        return None if error.audited else Denied(str(error.extra.get("permission", "")))
    return hidden_by(error)


def _door(request: HttpRequest) -> str:
    if request.path_info.startswith(_API):
        return "api"
    return "admin" if _in_admin(request) else "page"


def _short(page: str) -> str:
    """The address, or as much of a long one as the column takes; the body has all of it."""
    return page if len(page) <= 80 else f"{page[:63]}~{sha256(page.encode()).hexdigest()[:16]}"


def _in_admin(request: HttpRequest) -> bool:
    match = request.resolver_match
    return bool(match) and "admin" in cast(Any, match).namespaces


def _admin_permission(request: HttpRequest) -> str:
    """What a page of Django's admin asks for, told from its name: `app_model_change`."""
    match = request.resolver_match
    parts = (match.url_name or "").split("_", 2) if match is not None else []
    if not _in_admin(request) or len(parts) != 3:
        return ""
    app, model, operation = parts
    return f"{app}.{_OPERATIONS.get(operation, operation)}_{model}"
