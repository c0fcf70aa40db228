"""Forms of keys: a new one, a change, and the search for an exact key, which is posted: a key never
stands in an address."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.pix.contracts import ENTRY, ENTRY_CHANGE
from apps.pix.forms.keys import FindKeyForm, KeyChangeForm, NewKeyForm, account_of, owner_of
from apps.pix.models import Entry, EntryChange
from apps.pix.services.claims import OPEN_PERMISSION
from apps.pix.services.entries import CHANGE, entry_create, entry_update
from apps.pix.services.key_reading import VIEW, entry_find
from apps.pix.views.keys import LIST, title
from apps.web.denied import row_of
from apps.web.fragments import let_in, person
from apps.web.pages import FormPage
from apps.web.pieces import Head, Link
from apps.web.verbs import Outcome, call_verb

#: In the session: what the form of a claim is to begin with. An address would have the key in it.
SUGGESTED = "pix_suggested_claim"


def _create(**given: Any) -> tuple[Entry, bool]:
    account, owner = account_of(given), owner_of(given)
    change, new = entry_create(account=account, owner=owner, **given)
    return change.entry, new


@dataclass(frozen=True, kw_only=True)
class NewKeyPage(FormPage):
    """The form for a new key. Where somebody has it, it leads to the form of the claim."""

    def _shown(self, request: HttpRequest, form: forms.Form, outcome: Outcome) -> HttpResponse:
        said = outcome.refusal.extra.get("suggested_claim") if outcome.refusal else None
        if said and person(request).has_perm(OPEN_PERMISSION):
            request.session[SUGGESTED] = _suggested(form.cleaned_data, said)
            link = Link(gettext("Claim the key"), f"{reverse('claim_new')}?from=key", main=True)
            outcome = Outcome(False, outcome.status, outcome.refusal, {"suggested": link})
        return super()._shown(request, form, outcome)


def _suggested(typed: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return what the form of the claim begins with, of what was typed here and the claim that
    the refusal names."""
    same = ("key_type", "key", "participant", "branch", "owner_type", "tax_id", "name")
    return {
        **{name: typed[name] for name in (*same, "trade_name")},
        "number": typed["account_number"],
        "type": typed["account_type"],
        "claim_type": said["claim_type"],
    }


FORM_PAGE = NewKeyPage(
    name="key_new",
    title=_("Create a key"),
    lead=_("The owner of a phone or mailbox proves to have it by a code that is sent there."),
    crumbs=(LIST,),
    form=NewKeyForm,
    verb=_create,
    to="entry",
    asked=_("Asked. The key is active as soon as the directory has answered."),
    draft="key",
    permission=CHANGE,
    action="entry_change.create",
    subject_type=ENTRY_CHANGE,
    button=_("Create"),
    template="pix/key_form.html",
)


def _find(*, as_of: object, **given: Any) -> tuple[Entry, bool]:
    return entry_find(**given), True


FIND_PAGE = FormPage(
    name="key_find",
    title=_("Find a key"),
    lead=_("By the whole key. What is typed here stands in no address and no log."),
    crumbs=(LIST,),
    form=FindKeyForm,
    verb=_find,
    to="entry",
    asked=_("Found."),
    draft="key-find",
    permission=VIEW,
    action="entry.find",
    subject_type=ENTRY,
    button=_("Find"),
)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_page(request: HttpRequest, key: Any) -> HttpResponse:
    """Show the form for account and name of a key, or take it."""
    let_in(request, CHANGE, action="entry_change.update", subject_type=ENTRY_CHANGE)
    entry = row_of(Entry.objects.all(), pk=key)
    if request.method != "POST":
        names = ("branch", "account_number", "account_type", "name", "trade_name")
        form = KeyChangeForm(initial={name: getattr(entry, name) for name in names})
        return _change_shown(request, entry, form, Outcome())
    form = KeyChangeForm(request.POST)
    outcome = call_verb(request, form, _update, entry_id=entry.pk)
    if not outcome.done:
        return _change_shown(request, entry, form, outcome)
    messages.success(
        request, gettext("Asked. It is changed as soon as the directory has answered.")
    )
    return redirect("entry", entry.pk)


# --- helpers --------------------------------------------------------------------------------------
def _update(
    *, entry_id: Any, cause: str, by: User, via: str, **given: Any
) -> tuple[EntryChange, bool]:
    account, owner = account_of(given), owner_of(given)
    return entry_update(
        entry_id=entry_id, account=account, owner=owner, reason=cause, by=by, via=via, **given
    )


def _change_shown(
    request: HttpRequest, entry: Entry, form: forms.Form, outcome: Outcome
) -> HttpResponse:
    page = Link(title(entry), reverse("entry", args=[entry.pk]))
    context = {
        "head": Head(
            gettext("Change account or name"),
            gettext("The key itself, its owner and its participant stay."),
            crumbs=(LIST, page),
        ),
        "back": page.href,
        "button": gettext("Ask"),
        "draft": "key-change",
        "form": form,
        "known": "",
        "refusal": outcome.refusal,
    }
    return render(request, "web/form_page.html", context, status=outcome.status)
