"""Pages of claims: the board by status with the legal clock, the list, one claim, and a new one."""

from dataclasses import dataclass, replace
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.pix.claim_forms import ANSWERS, ClaimFilter, ClaimForm
from apps.pix.contracts import CLAIM, ClaimStatus, Role
from apps.pix.contracts.claims import CLAIM_KIND
from apps.pix.models import Claim
from apps.pix.services.claim_answering import claim_answer
from apps.pix.services.claim_deciding import DECIDE_PERMISSION
from apps.pix.services.claim_rows import UNDECIDED, choices_of
from apps.pix.services.claims import OPEN_PERMISSION, claim_open
from apps.pix.services.key_reading import FULL, claim_key_read
from apps.pix.views.claim_parts import (
    facts_of,
    key_of,
    now_facts,
    sides_of,
    title_of_claim,
    with_clocks,
)
from apps.pix.views.key_forms import SUGGESTED
from apps.web.denied import row_of
from apps.web.fragments import let_in, person, seen_with
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage, counted_each
from apps.web.pages import SAFE, DetailPage, FormPage
from apps.web.pieces import Head, Link, Note, seen_by
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import AGE, ASKED_BY, ERROR, STATE, Column
from apps.web.tones import sentence_of
from apps.web.verbs import Outcome

VIEW = "pix.view_claim"
LIST = Link(_("Key claims"), "claims")
#: The columns of the board: their titles, and what they say when they are empty.
BOARD = {
    ClaimStatus.OPEN: (_("Being opened"), _("None is on its way to the donor.")),
    ClaimStatus.WAITING: (_("With the donor"), _("No donor has to decide.")),
    ClaimStatus.DECIDED: (_("Being carried out"), _("Nothing is being carried out.")),
    ClaimStatus.CONFIRMED: (_("With the claimer"), _("No claimer has to complete one.")),
}
_TABS = {"": _("Both sides"), Role.DONOR: _("As the donor"), Role.CLAIMER: _("As the claimer")}
#: How many claims a column shows.
MOST_ON_BOARD = 12
#: Where several are decided together: the inbox, with the donors' requests alone.
TOGETHER = cast(str, format_lazy("{}?kind={}", reverse_lazy("inbox"), CLAIM_KIND))
DECIDES = "approvals.decide_approvalrequest"


def _rows(user: User) -> Any:
    return Claim.objects.visible_to(user).select_related("requested_by", "rulebook")


LIST_PAGE = ListPage(
    name="claims",
    title=_("Key claims"),
    lead=_("Keys that go to another participant, or to another owner."),
    noun="claim",
    none=_("No claim yet"),
    first=_("Open one, or wait until the directory names one."),
    empty=_("They appear here as soon as somebody claims a key."),
    topic="claims",
    rows=_rows,
    to="claim",
    columns=(
        Column(head=_("Key"), value=key_of, form="title"),
        Column(head=_("Claim"), value="claim_id", form="aside"),
        Column(head=_("Type"), value="claim_type", form="words"),
        Column(head=_("From and to"), value=sides_of, form="name"),
        Column(
            head=_("Period ends"),
            value="due_at",
            form="due",
            part="pix/_clock.html",
            file="clock_due_at",
        ),
        replace(ASKED_BY, wide=True),
        AGE,
        STATE,
        ERROR,
    ),
    filters=ClaimFilter,
    complete=with_clocks,
    links=(
        Link(_("Board"), "claims_board"),
        Link(_("Decide several"), TOGETHER, DECIDES),
        Link(_("Rulebooks"), "rulebooks", "pix.view_claimrulebook"),
    ),
    new=Link(_("Claim a key"), "claim_new", OPEN_PERMISSION, main=True),
)


@dataclass(frozen=True, kw_only=True)
class NewClaimPage(FormPage):
    """The form for a new claim. Coming from a key that somebody has (`?from=key`), it begins with
    what was typed there: that is in the session, for an address is no place for a key."""

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the form, or handle a submitted one."""
        if request.method not in SAFE:
            answer = super().page(request)
            if answer.status_code == 302:
                request.session.pop(SUGGESTED, None)
            return answer
        if request.GET.get("from") != "key" or SUGGESTED not in request.session:
            request.session.pop(SUGGESTED, None)
            return super().page(request)
        let_in(request, self.permission, action=self.action, subject_type=self.subject_type)
        form = self.form(initial=request.session[SUGGESTED])
        answer = self._shown(request, form, Outcome())
        answer["Cache-Control"] = "no-store"
        return answer


FORM_PAGE = NewClaimPage(
    name="claim_new",
    title=_("Claim a key"),
    lead=_("The donor's participant has to confirm it. The directory sets the dates."),
    crumbs=(LIST,),
    form=ClaimForm,
    verb=claim_open,
    to="claim",
    asked=_("Opened. This page shows how far it is."),
    draft="claim",
    permission=OPEN_PERMISSION,
    action=f"{CLAIM}.open",
    subject_type=CLAIM,
    initial={"key_type": "key_type", "claim_type": "claim_type", "participant": "participant"},
    button=_("Open the claim"),
)


# --- the board ------------------------------------------------------------------------------------
def board(request: HttpRequest) -> HttpResponse:
    """Show the board."""
    let_in(request, VIEW)
    return render(request, "pix/board.html", _board(request))


def board_live(request: HttpRequest) -> HttpResponse:
    """Show its current parts."""
    seen_with(request, VIEW)
    return render(request, "pix/_board.html", _board(request))


def _board(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    form = ClaimFilter(request.GET)
    chosen = form.matching(_rows(user), user=user)
    each = [chosen.filter(status=status) for status in BOARD]
    counts = counted_each(*each)
    narrowed = {name: request.GET[name] for name in ("side", "claim_type") if request.GET.get(name)}
    columns = []
    for status, rows, count in zip(BOARD, each, counts, strict=True):
        claims = list(rows.order_by("resolution_ends_at", "id")[:MOST_ON_BOARD])
        with_clocks(claims)
        for claim in claims:
            claim.shown_title, claim.sides = title_of_claim(claim), sides_of(claim)
        columns.append(
            {
                "status": status,
                "title": BOARD[status][0],
                "none": BOARD[status][1],
                "count": count,
                "claims": claims,
                "href": f"{reverse('claims')}?{urlencode({**narrowed, 'status': status})}",
                "decide": status in UNDECIDED,
            }
        )
    return {
        "head": Head(
            gettext("Key claims"),
            gettext("By status, those whose period ends first on top."),
            links=seen_by(
                (
                    Link(gettext("List"), "claims"),
                    Link(gettext("Decide several"), TOGETHER, DECIDES),
                    Link(gettext("Claim a key"), "claim_new", OPEN_PERMISSION, main=True),
                ),
                user,
            ),
        ),
        "sides": [
            {
                "key": side,
                "title": title,
                "address": f"?side={side}" if side else "?",
                "current": request.GET.get("side", "") == side,
            }
            for side, title in _TABS.items()
        ],
        "columns": columns,
        "together": TOGETHER,
        "may_decide": user.has_perm(DECIDES),
        "query": request.GET.urlencode(),
    }


# --- one ------------------------------------------------------------------------------------------
def _act(event: str, role: Role) -> Any:
    def act(key: str, **given: Any) -> None:
        claim_answer(
            claim_id=key,
            event=event,
            role=role,
            reason=given.pop("reason_code", ""),
            note=given.pop("reason", ""),
            as_of=timezone.now(),
            **given,
        )

    return act


def _may(event: str, role: Role) -> Any:
    def may(claim: Claim) -> bool:
        if role is Role.DONOR and claim.status in UNDECIDED:
            # Its decision is a signature: the box of the request leads there.
            return False
        choices = choices_of(claim, role, as_of=timezone.now())
        return any(choice.event == event for choice in choices)

    return may


def _verb(event: str, role: Role, **texts: Any) -> RowVerb:
    return RowVerb(
        call=_act(event, role),
        permission=DECIDE_PERMISSION,
        action=f"{CLAIM}.{event}",
        applies=_may(event, role),
        form=ANSWERS[event, role],
        **texts,
    )


VERBS = RowVerbs(
    name="claim",
    rows=lambda user: Claim.objects.visible_to(user),
    subject_type=CLAIM,
    verbs={
        "complete": _verb(
            "complete",
            Role.CLAIMER,
            title=_("Complete it"),
            button=_("Complete the claim"),
            help=_("The claimer's owner has proved to have the key. The entry becomes theirs."),
            said=_("Completed. It is carried out at the directory."),
            plain=True,
        ),
        "cancel": _verb(
            "cancel",
            Role.CLAIMER,
            title=_("Cancel as the claimer"),
            button=_("Cancel the claim"),
            help=_("The claimer does not want the key any more. The entry stays as it is."),
            said=_("Cancelled. It is carried out at the directory."),
            choice="reason_code",
        ),
        "stop": _verb(
            "cancel",
            Role.DONOR,
            title=_("Cancel as the donor"),
            button=_("Cancel for fraud"),
            help=_("The donor's owner has proved that the key is theirs."),
            said=_("Cancelled. It is carried out at the directory."),
            choice="reason_code",
        ),
    },
)


def _context(request: HttpRequest, claim: Claim) -> dict[str, Any]:
    user = person(request)
    with_clocks([claim])
    asked = list(requests_about(CLAIM, claim.pk).visible_to(user).order_by("created_at")[:20])
    return {
        "topics": f"{CLAIM}:{claim.pk} inbox",
        "head": _head(claim, user),
        "now": now_facts(claim, asked),
        "facts": facts_of(claim, request),
        "may_read": bool(claim.key) and user.has_perm(FULL),
        "still": hasattr(request, "_full_claim"),
        "full_key": reverse("claim_full_key", args=[claim.pk]),
        "requests": asked,
        "unsigned": True,
        "verbs": VERBS.shown(claim, user),
        "timeline": timeline(
            subjects=[(CLAIM, str(claim.pk))],
            workflow_ids=[claim.workflow_id],
            older=request.GET.get("older", ""),
        ),
    }


def _head(claim: Claim, user: User) -> Head:
    by = claim.requested_by
    url = temporal_url_for(user, claim.workflow_id)
    return Head(
        title_of_claim(claim),
        gettext("asked by {person}").format(person=by) if by else _from(claim),
        at=claim.created_at,
        crumbs=(LIST,),
        state=claim.status,
        links=(Link(gettext("Temporal UI"), url, outside=True),) if url else (),
        note=_note(claim),
    )


def _from(claim: Claim) -> str:
    if claim.origin == "directory":
        return gettext("named by the directory")
    return gettext("started in the engine")


def _note(claim: Claim) -> Note | None:
    if claim.error_code:
        return Note(sentence_of(claim.error_code), claim.error_detail, tone="bad")
    if claim.status == ClaimStatus.EXPIRED:
        return Note(gettext("The donor did not answer in time. The key stays where it was."))
    return None


DETAIL_PAGE = DetailPage(
    name="claim",
    rows=_rows,
    context=_context,
    main=("pix/_claim_now.html", "web/_asked.html"),
    side=("pix/_full_key.html", "web/_row_verbs.html"),
    after=("console/_timeline.html",),
)


@login_required
@require_POST
def full_key(request: HttpRequest, key: Any) -> HttpResponse:
    """Show the page with the key in full, once."""
    let_in(request, FULL, action="claim.read_full_key", subject_type=CLAIM)
    row_of(_rows(person(request)), pk=key)
    request._full_claim = claim_key_read(  # type: ignore[attr-defined]
        claim_id=key, by=person(request), via="page"
    )
    response = DETAIL_PAGE.page(request, key)
    response["Cache-Control"] = "no-store"
    return response
