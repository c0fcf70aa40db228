"""One way for pages to call a verb of a service, and to tell how it went."""

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
    """Why something is taken back, paused or resumed; it may be left empty."""

    reason = ProseField(required=False)


class RequiredReasonForm(forms.Form):
    """The same where a reason has to be given."""

    reason = ProseField()


@dataclass(frozen=True)
class Outcome:
    """What came of a form. Neither done nor refused: it was not valid, or nothing was sent."""

    done: bool = False
    status: int = 200
    refusal: Refusal | None = None
    #: What the service gave back.
    result: Any = None


def call_verb(
    request: HttpRequest, form: forms.Form, verb: Callable[..., Any], *row: Any, **which: Any
) -> Outcome:
    """Call the service with what the form has, for the person of the request, now.

    Http404 for a row that is not there for them: a page says no more about it.
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
