"""Calls a service from a form and turns its refusal into an outcome for the page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import Http404, HttpRequest
from django.utils import timezone

from apps.common.errors import DomainError, NotFound
from apps.web.fields import ProseField
from apps.web.fragments import person
from apps.web.refusals import Refusal, refusal_of


class ReasonForm(forms.Form):
    """The optional reason of a cancellation, pause or resumption."""

    reason = ProseField(required=False)


class RequiredReasonForm(forms.Form):
    """A required reason."""

    reason = ProseField()


@dataclass(frozen=True)
class Outcome:
    """The result of a form. Neither done nor refused: the form was invalid, or nothing was sent."""

    done: bool = False
    status: int = 200
    refusal: Refusal | None = None
    #: The service's return value.
    result: Any = None


def call_verb(
    request: HttpRequest, form: forms.Form, verb: Callable[..., Any], *row: Any, **which: Any
) -> Outcome:
    """Call the service with the form's data, as the request's user, now.

    Raises Http404 for a row that does not exist for them: a page says no more about it.
    """
    if not form.is_valid():
        return Outcome(status=422)
    try:
        result = verb(
            *row,
            **which,
            **form.cleaned_data,
            by=person(request),
            via="page",
            as_of=timezone.now(),
        )
    except NotFound as error:
        if row or which:
            raise Http404 from error
        refusal = refusal_of(error)
        return Outcome(status=refusal.status, refusal=refusal)
    except DomainError as error:
        refusal = refusal_of(error)
        return Outcome(status=refusal.status, refusal=refusal)
    return Outcome(done=True, result=result)
