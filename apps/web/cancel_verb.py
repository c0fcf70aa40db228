"""One way for pages to call a verb that somebody gives a reason for: taking back what was asked,
pausing, resuming."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import Http404, HttpRequest
from django.utils import timezone

from apps.common.errors import DomainError, NotFound
from apps.web.fragments import person
from apps.web.refusals import Refusal, refusal_of


@dataclass(frozen=True)
class Tried:
    """What came of it. Neither done nor refused: the form was not valid, or nothing was sent."""

    done: bool = False
    status: int = 200
    refusal: Refusal | None = None


def tried(
    request: HttpRequest, form: forms.Form, verb: Callable[..., object], **which: Any
) -> Tried:
    """Call the service with the form's `reason`, for the person of the request, now.

    Http404 for a row that is not there for them: a page says no more about it.
    """
    if not form.is_valid():
        return Tried(status=422)
    try:
        verb(
            **which,
            by=person(request),
            via="page",
            reason=form.cleaned_data["reason"],
            as_of=timezone.now(),
        )
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        return Tried(status=refusal.status, refusal=refusal)
    return Tried(done=True)
