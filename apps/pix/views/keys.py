"""Pages of keys: the list, and one key with its changes. Keys are masked, also in files. Whoever
may read one in full asks for it, and is in the trail."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.errors import DomainError
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.pix.contracts import (
    ENTRY,
    ENTRY_CHANGE,
    ChangeKind,
    ChangeStatus,
    EntryStatus,
    KeyType,
    OwnerType,
)
from apps.pix.contracts.entries import Step
from apps.pix.forms.keys import CodeForm, GiveUpForm, KeyFilter, KeyRemovalForm
from apps.pix.keys import masked_key
from apps.pix.models import Entry, EntryChange, Participant
from apps.pix.services.entries import CHANGE, PROVED, entry_delete
from apps.pix.services.entry_rows import shown
from apps.pix.services.key_reading import FULL, VIEW, entry_key_read
from apps.pix.services.possession import code_renew, possession_prove
from apps.web.denied import row_of
from apps.web.fragments import let_in, person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note, seen_by
from apps.web.refusals import refusal_of
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.steps import step_lines
from apps.web.tables import Column
from apps.web.tones import sentence_of, title_of
from apps.web.verbs import call_verb

LIST = Link(_("Keys"), "entries")
#: A key that changes often has more; the trail has all.
MOST_CHANGES = 20


def _rows(user: User) -> Any:
    return Entry.objects.all()


def title(entry: Entry) -> str:
    """Return the masked key, or what stands for one."""
    return shown(entry) or (
        gettext("EVP to come") if entry.key_type == KeyType.EVP else entry.entry_id
    )


LIST_PAGE = ListPage(
    name="entries",
    title=_("Keys"),
    lead=_("Keys of the participants that this installation acts for."),
    noun="entry",
    none=_("No key yet"),
    first=_("Create the first one."),
    topic="entries",
    rows=_rows,
    to="entry",
    columns=(
        Column(head=_("Key"), value=title, form="title"),
        Column(head=_("Type"), value="key_type", form="words", file="key_type"),
        Column(head=_("Participant"), value="participant", form="code"),
        Column(head=_("Owner"), value="name", form="name", file="owner"),
        Column(
            head=_("Age"),
            value="created_at",
            form="age",
            sort=("newest", "oldest"),
            file="created_at",
        ),
        Column(head=_("State"), value="status", form="state"),
    ),
    filters=KeyFilter,
    permission=VIEW,
    links=(Link(_("Find a key"), "key_find"),),
    new=Link(_("Create a key"), "key_new", CHANGE, main=True),
)


# --- one key --------------------------------------------------------------------------------------
def _delete(key: Any, *, cause: str, reason: str, by: User, via: str) -> Any:
    return entry_delete(
        entry_id=key, reason=cause, note=reason, by=by, via=via, as_of=timezone.now()
    )


def _give_up(key: Any, *, reason: str, by: User, via: str) -> Any:
    return entry_delete(entry_id=key, note=reason, by=by, via=via, as_of=timezone.now())


VERBS = RowVerbs(
    name="entry",
    rows=_rows,
    subject_type=ENTRY,
    verbs={
        "remove": RowVerb(
            call=_delete,
            title=_("Remove the key"),
            button=_("Remove the key"),
            help=_("Nobody can pay to it any more. Another owner may then take it."),
            said=_("Asked. It is removed as soon as the directory has answered."),
            permission=CHANGE,
            action="entry_change.delete",
            applies=lambda entry: entry.status == EntryStatus.ACTIVE,
            form=KeyRemovalForm,
            choice="cause",
        ),
        "give-up": RowVerb(
            call=_give_up,
            title=_("Give it up"),
            button=_("Do not create the key"),
            help=_("The code that was sent ends, and the key is free again."),
            said=_("Given up. Nothing was sent to the directory."),
            permission=CHANGE,
            action="entry_change.delete",
            applies=lambda entry: entry.status == EntryStatus.POSSESSION,
            form=GiveUpForm,
        ),
    },
)


def _context(request: HttpRequest, entry: Entry) -> dict[str, Any]:
    user = person(request)
    changes = list(entry.changes.order_by("-created_at", "-id")[:MOST_CHANGES])
    newest = changes[0] if changes else None
    about = [(ENTRY_CHANGE, str(change.pk)) for change in changes]
    asked = requests_about(ENTRY_CHANGE, newest.pk) if newest else None
    return {
        "topics": " ".join(
            [f"{ENTRY}:{entry.pk}", *([f"{ENTRY_CHANGE}:{newest.pk}"] if newest else []), "inbox"]
        ),
        "head": _head(entry, newest, user),
        "asked_title": gettext("The key"),
        "facts": _facts(request, entry),
        "entry": entry,
        "waits": entry.status == EntryStatus.POSSESSION and user.has_perm(CHANGE),
        "code_form": CodeForm(),
        "may_read": bool(entry.key) and user.has_perm(FULL),
        "still": hasattr(request, "_full_key"),
        "full_key": reverse("entry_full_key", args=[entry.pk]),
        "steps": _steps(newest),
        "requests": asked.visible_to(user).order_by("created_at")[:20] if asked else [],
        "unsigned": True,
        "verbs": VERBS.shown(entry, user),
        "timeline": timeline(
            subjects=[(ENTRY, str(entry.pk)), *about],
            workflow_ids=[change.workflow_id for change in changes],
            older=request.GET.get("older", ""),
        ),
    }


def _steps(change: EntryChange | None) -> Any:
    if change is None:
        return []
    begun = change.steps.all()
    proved = change.kind == ChangeKind.CREATE and change.entry.key_type in PROVED
    names = [step for step in Step if step != Step.POSSESSION or proved]
    return step_lines(begun, names, over=change.has_ended)


def _head(entry: Entry, change: EntryChange | None, user: User) -> Head:
    links = [
        Link(gettext("Change account or name"), reverse("key_change", args=[entry.pk]), CHANGE)
    ]
    shown_links = seen_by(tuple(links), user) if entry.status == EntryStatus.ACTIVE else []
    if change and (url := temporal_url_for(user, change.workflow_id)):
        shown_links.append(Link(gettext("Temporal UI"), url, outside=True))
    return Head(
        title(entry),
        gettext("created"),
        at=entry.created_at,
        crumbs=(LIST,),
        state=entry.status,
        links=shown_links,
        note=_note(change),
    )


_NOT_DONE = {
    ChangeKind.CREATE: _("The key was not created. It is free here."),
    ChangeKind.UPDATE: _("Nothing of the key was changed."),
    ChangeKind.DELETE: _("The key stays."),
}


def _note(change: EntryChange | None) -> Note | None:
    if change is None or change.status not in (ChangeStatus.FAILED, ChangeStatus.CANCELLED):
        return None
    return Note(
        sentence_of(change.error_code),
        change.error_detail,
        str(_NOT_DONE[ChangeKind(change.kind)]),
        tone="bad" if change.status == ChangeStatus.FAILED else "warn",
    )


def _facts(request: HttpRequest, entry: Entry) -> list[Fact]:
    full: Entry | None = getattr(request, "_full_key", None)
    person_owns = entry.owner_type == OwnerType.NATURAL_PERSON
    tax_id = masked_key(KeyType.CPF, entry.tax_id) if person_owns else entry.tax_id
    participant = Participant.objects.filter(ispb=entry.participant).first()
    facts = (
        Fact(gettext("Key"), full.key if full else shown(entry), form="code"),
        Fact(gettext("Type"), title_of(entry.key_type) if entry.key_type else ""),
        Fact(gettext("Participant"), str(participant or entry.participant)),
        Fact(gettext("Branch"), entry.branch, form="code"),
        Fact(gettext("Account"), entry.account_number, form="code"),
        Fact(
            gettext("Type of account"), title_of(entry.account_type) if entry.account_type else ""
        ),
        Fact(gettext("Owner"), entry.name),
        Fact(gettext("Trade name"), entry.trade_name),
        Fact(gettext("CPF or CNPJ"), full.tax_id if full else tax_id, form="code"),
        Fact(gettext("The owner has it since"), entry.ownership_at, form="when"),
        Fact(gettext("Removed"), entry.removed_at, form="when"),
        Fact(gettext("Id for others"), entry.entry_id, form="code"),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="entry",
    rows=_rows,
    context=_context,
    permission=VIEW,
    main=("web/_steps.html", "pix/_possession.html"),
    side=("web/_asked.html", "pix/_full_key.html", "web/_row_verbs.html"),
    after=("console/_timeline.html",),
)


# --- addresses that are posted to -----------------------------------------------------------------
@login_required
@require_POST
def full_key(request: HttpRequest, key: Any) -> HttpResponse:
    """Show the page with the key in full, once."""
    let_in(request, FULL, action="entry.read_full_key", subject_type=ENTRY)
    row_of(_rows(person(request)), pk=key)
    request._full_key = entry_key_read(  # type: ignore[attr-defined]
        entry_id=key, by=person(request), via="page"
    )
    response = DETAIL_PAGE.page(request, key)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def code(request: HttpRequest, key: Any) -> HttpResponse:
    """Take the code that came to the phone or mailbox."""
    let_in(request, CHANGE, action="entry_change.possession", subject_type=ENTRY_CHANGE)
    form = CodeForm(request.POST)
    outcome = call_verb(request, form, possession_prove, entry_id=key)
    if outcome.done:
        messages.success(request, gettext("Proved. The key goes to the directory now."))
    elif outcome.refusal is not None:
        refusal = outcome.refusal
        messages.warning(request, f"{refusal.what} {refusal.next_step}")
    else:
        messages.warning(request, gettext("Type the six digits of the code."))
    return redirect("entry", key)


@login_required
@require_POST
def new_code(request: HttpRequest, key: Any) -> HttpResponse:
    """Send another code."""
    let_in(request, CHANGE, action="entry_change.code", subject_type=ENTRY_CHANGE)
    row_of(_rows(person(request)), pk=key)
    try:
        code_renew(entry_id=key, by=person(request), via="page", as_of=timezone.now())
        messages.success(request, gettext("Another code is on its way. The one before has ended."))
    except DomainError as error:
        refusal = refusal_of(error)
        messages.warning(request, f"{refusal.what} {refusal.next_step}")
    return redirect("entry", key)


@login_required
@require_GET
def change(request: HttpRequest, key: Any) -> HttpResponse:
    """Lead from a change to the page of its key: what links of runs and commands name."""
    let_in(request, VIEW)
    row = row_of(EntryChange.objects.all(), pk=key)
    return redirect("entry", row.entry_id)
