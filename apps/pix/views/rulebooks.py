"""Pages of rulebooks: their versions, one in words beside what it changed, and a new one."""

import json
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.pix.claim_forms import RulebookForm
from apps.pix.contracts import RULEBOOK, RulebookStatus
from apps.pix.models import Claim, ClaimRulebook
from apps.pix.rulebooks.wording import TYPE_WORDS, diff_words, words
from apps.pix.services.rulebooks import (
    CHANGE_PERMISSION,
    book_of,
    rulebook_active,
    rulebook_change,
    rulebook_withdraw,
)
from apps.web.fragments import let_in, person
from apps.web.lists import ListPage
from apps.web.pages import SAFE, DetailPage, FormPage, PageVerb
from apps.web.pieces import Fact, Head, Link, seen_by
from apps.web.tables import AGE, ASKED_BY, STATE, Column
from apps.web.verbs import Outcome

VIEW = "pix.view_claimrulebook"
#: The members of a document, as they are read best.
_ORDER = (
    *("code", "version", "types", "same", "rows"),
    *("keys", "without_key", "seconds", "resolution", "completion", "possession"),
    *("states", "event", "actors", "on_behalf_of", "after", "reasons", "to", "effects"),
)
CLAIMS, LIST = Link(_("Key claims"), "claims"), Link(_("Rulebooks"), "rulebooks")


def _rows(user: User) -> Any:
    return ClaimRulebook.objects.select_related("requested_by")


def _listed(user: User) -> Any:
    for code in ("source", "dict"):
        rulebook_active(code)
    return _rows(user)


LIST_PAGE = ListPage(
    name="rulebooks",
    title=_("Rulebooks"),
    lead=_("Who may do what with a claim, and what silence means. Two people change one."),
    noun="rulebook",
    none=_("No rulebook yet"),
    topic="rulebooks",
    rows=_listed,
    to="rulebook",
    crumbs=(CLAIMS,),
    columns=(
        Column(head=_("Rulebook"), value=str, form="title"),
        Column(head=_("Why"), value="reason", form="long"),
        ASKED_BY,
        replace(AGE, sort=()),
        STATE,
    ),
    permission=VIEW,
    new=Link(_("Write a version"), "rulebook_new", CHANGE_PERMISSION, main=True),
)


def _before(row: ClaimRulebook) -> ClaimRulebook | None:
    rows = ClaimRulebook.objects.filter(code=row.code, number__lt=row.number)
    return rows.exclude(status=RulebookStatus.REJECTED).order_by("-number").first()


def _next(row: ClaimRulebook) -> str:
    return f"{reverse('rulebook_new')}?{urlencode({'code': row.code})}"


def _replaced_at(row: ClaimRulebook) -> Any:
    return row.settled_at if row.status == RulebookStatus.REPLACED else None


def _open_claims(row: ClaimRulebook) -> int:
    return Claim.objects.unsettled().filter(rulebook=row).count()


def _by_type(lines: list[str]) -> list[dict[str, Any]]:
    """Return the sentences in groups, each of one type of claim, which they begin with."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        kind = next((one for one in TYPE_WORDS if line.startswith(str(one))), "")
        groups.setdefault(str(kind) or gettext("Every type"), []).append(line)
    return [{"title": title, "lines": said} for title, said in groups.items()]


def _context(request: HttpRequest, row: ClaimRulebook) -> dict[str, Any]:
    user = person(request)
    before = _before(row)
    asked = requests_about(RULEBOOK, row.pk).visible_to(user)
    return {
        "topics": f"{RULEBOOK}:{row.pk} rulebooks inbox",
        "head": Head(
            str(row),
            gettext("written by {person}").format(person=row.requested_by)
            if row.requested_by
            else gettext("comes with the product"),
            at=row.created_at,
            crumbs=(CLAIMS, LIST),
            state=row.status,
            links=seen_by(
                (Link(gettext("Write the next version"), _next(row), CHANGE_PERMISSION),), user
            )
            if row.status == RulebookStatus.ACTIVE
            else (),
        ),
        "facts": [
            fact
            for fact in (
                Fact(gettext("Rulebook"), row.code, form="code"),
                Fact(gettext("Version"), row.number),
                Fact(gettext("Why"), row.reason, form="prose"),
                Fact(gettext("In force until"), _replaced_at(row), form="when"),
                Fact(gettext("Open claims under it"), str(_open_claims(row))),
                Fact(gettext("Digest"), row.digest[:16], form="code"),
            )
            if fact.value
        ],
        "requests": asked.order_by("created_at")[:5],
        "unsigned": True,
        "groups": _by_type(words(book_of(row.pk))),
        "changes": diff_words(book_of(before.pk), book_of(row.pk)) if before else [],
        "before": before,
        "document": _document(row),
        "may_call": row.status == RulebookStatus.AWAITING_APPROVAL
        and row.requested_by_id == user.pk,
        "timeline": timeline(subjects=[(RULEBOOK, str(row.pk))], workflow_ids=[]),
    }


DETAIL_PAGE = DetailPage(
    name="rulebook",
    rows=_rows,
    context=_context,
    permission=VIEW,
    main=("pix/_rulebook.html",),
    side=("web/_asked.html", "web/_page_verb.html"),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=rulebook_withdraw,
        row_id="rulebook_id",
        not_done=_("Not taken back."),
        said=_("Taken back. The active version stays in force."),
        title=_("Take it back"),
        label=_("Reason (optional)"),
        help=_("Nobody has signed it yet. The active version stays in force."),
        name="withdraw",
    ),
)


@dataclass(frozen=True, kw_only=True)
class NewVersionPage(FormPage):
    """The form for the next version, which begins with the document that is in force."""

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the form, or handle a submitted one."""
        if request.method not in SAFE:
            return super().page(request)
        let_in(request, self.permission, action=self.action, subject_type=self.subject_type)
        try:
            active = rulebook_active(request.GET.get("code", ""))
        except Invalid as error:
            raise Http404 from error
        form = self.form(initial={"code": active.code, "document": _document(active)})
        return self._shown(request, form, Outcome())


def _document(row: ClaimRulebook) -> str:
    return json.dumps(_in_order(row.document), indent=2, ensure_ascii=False)


def _in_order(value: Any) -> Any:
    """Return the document with its members as the product writes them: the database sorts them by
    their length."""
    if isinstance(value, list):
        return [_in_order(one) for one in value]
    if not isinstance(value, dict):
        return value
    names = sorted(value, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return {name: _in_order(value[name]) for name in names}


FORM_PAGE = NewVersionPage(
    name="rulebook_new",
    title=_("Write a version of a rulebook"),
    lead=_("Somebody else signs it. Open claims keep the version that they were opened under."),
    crumbs=(CLAIMS, LIST),
    form=RulebookForm,
    verb=rulebook_change,
    to="rulebook",
    asked=_("Written. It is in force once somebody else has signed it."),
    draft="rulebook",
    permission=CHANGE_PERMISSION,
    action=f"{RULEBOOK}.change",
    subject_type=RULEBOOK,
    button=_("Ask for the signature"),
)
