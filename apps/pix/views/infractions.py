"""Pages of infractions: the list with its clock, one with its request, and the form to report."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import brought_to, requests_about
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.timeline import timeline
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import INFRACTION_KIND, SIGNAL_EVIDENCE, Analysis
from apps.pix.forms.infractions import InfractionFilter, InfractionForm, ResolveForm
from apps.pix.keys import masked_key
from apps.pix.models import Infraction, Participant
from apps.pix.services import infraction_signing, infraction_working
from apps.pix.services.infraction_opening import REPORT, infraction_report
from apps.pix.services.infraction_signing import infraction_title
from apps.pix.services.infraction_working import DECIDE
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage
from apps.web.pieces import Fact, Head, Line, Link, Note, rows_card
from apps.web.refusals import next_step
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import AGE, ERROR, STATE, Column
from apps.web.tones import sentence_of, words_of
from apps.web.verbs import ReasonForm, RequiredReasonForm

LIST = Link(_("Infractions"), "infractions")
#: So much evidence is listed; the request has the rest.
MOST_EVIDENCE = 20


def _listed(user: User) -> Any:
    return Infraction.objects.visible_to(user).for_list()


def _side(infraction: Infraction) -> str:
    return gettext("reported by us") if not infraction.decides else gettext("we decide")


LIST_PAGE = ListPage(
    name="infractions",
    title=_("Infractions"),
    lead=_("Reports of fraud about a payment. Whoever is reported decides within seven days."),
    noun="infraction",
    none=_("No infraction yet"),
    empty=_("They appear here when the directory lists them, or when somebody reports one."),
    topic="infractions",
    rows=_listed,
    to="infraction",
    columns=(
        Column(
            head=_("Payment"),
            value=lambda row: row.transaction_id or row.infraction_id,
            form="title",
            file="transaction_id",
        ),
        Column(head=_("What happened"), value="situation", form="words", wide=True),
        Column(head=_("Our side"), value=_side, file="-"),
        Column(head=_("Reported by"), value="reporter_ispb", form="aside", text=_("by {}")),
        Column(head=_("Reported"), value="counterparty_ispb", form="aside", text=_("about {}")),
        AGE,
        Column(
            head=_("Due"),
            value="due_at",
            form="due",
            part="pix/_due.html",
            sort=("due",),
            file="due_at",
        ),
        Column(head=_("Amount"), value="amount", form="amount"),
        STATE,
        Column(
            head=_("Decided as"),
            value="result",
            form="words",
            text=_("decided as {}"),
            wide=True,
        ),
        ERROR,
    ),
    filters=InfractionFilter,
    new=Link(_("Report an infraction"), "infraction_new", REPORT, main=True),
    permission="pix.view_infraction",
)

FORM_PAGE = FormPage(
    name="infraction_new",
    title=_("Report an infraction"),
    lead=_(
        "The directory is told at once. The other participant has seven days to say whether it was "
        "fraud; you can take the report back."
    ),
    crumbs=(LIST,),
    form=InfractionForm,
    verb=infraction_report,
    to="infraction",
    asked=_("Reported. This page shows what becomes of it."),
    draft="infraction",
    permission=REPORT,
    action=f"{INFRACTION}.report",
    subject_type=INFRACTION,
    button=_("Report it"),
)


# --- what a person can do -------------------------------------------------------------------------
def _evidence(key: str, *, reason: str, **given: Any) -> Infraction:
    return infraction_working.evidence_add(
        infraction_id=key, description=reason, **given, as_of=timezone.now()
    )


def _resolve(key: str, **given: Any) -> Infraction:
    return infraction_signing.infraction_sign(
        infraction_id=key, result=Analysis.AGREED, **given, as_of=timezone.now()
    )


def _dismiss(key: str, **given: Any) -> Infraction:
    return infraction_signing.infraction_sign(
        infraction_id=key, result=Analysis.DISAGREED, **given, as_of=timezone.now()
    )


def _escalate(key: str, **given: Any) -> Infraction:
    return infraction_working.infraction_escalate(infraction_id=key, **given, as_of=timezone.now())


def _cancel(key: str, **given: Any) -> Infraction:
    return infraction_working.infraction_cancel(infraction_id=key, **given, as_of=timezone.now())


def _waits(infraction: Infraction) -> bool:
    return not infraction.has_ended and infraction.decides


VERBS = RowVerbs(
    name="infraction",
    rows=lambda user: Infraction.objects.visible_to(user),
    subject_type=INFRACTION,
    verbs={
        "evidence": RowVerb(
            call=_evidence,
            title=_("Bring evidence"),
            label=_("What it shows"),
            button=_("Add it"),
            help=_("It is added to the request, for whoever decides. Files are added there."),
            said=_("Added to the request."),
            permission=DECIDE,
            action=f"{INFRACTION}.evidence",
            applies=_waits,
            plain=True,
        ),
        "resolve": RowVerb(
            call=_resolve,
            title=_("It was fraud"),
            button=_("Decide: fraud"),
            help=_("You sign the open request. The directory then marks whoever was reported."),
            said=_("Signed. The directory is told once all have signed."),
            permission=DECIDE,
            action=f"{INFRACTION}.decide",
            applies=_waits,
            form=ResolveForm,
            choice="fraud_type",
        ),
        "dismiss": RowVerb(
            call=_dismiss,
            title=_("It was no fraud"),
            button=_("Decide: no fraud"),
            help=_("You sign against it in the open request. The directory is told so."),
            said=_("Signed. The directory is told."),
            permission=DECIDE,
            action=f"{INFRACTION}.decide",
            applies=_waits,
            form=RequiredReasonForm,
        ),
        "escalate": RowVerb(
            call=_escalate,
            title=_("Escalate it"),
            button=_("Escalate"),
            help=_("Seniors may decide it as well. It happens by itself after seven days."),
            said=_("Escalated."),
            permission=DECIDE,
            action=f"{INFRACTION}.escalate",
            applies=lambda row: _waits(row) and not row.escalated_at,
            form=RequiredReasonForm,
            plain=True,
        ),
        "cancel": RowVerb(
            call=_cancel,
            title=_("Take the report back"),
            button=_("Take it back"),
            help=_("The directory is told, and a mark that came of it goes too."),
            said=_("Taken back."),
            permission=REPORT,
            action=f"{INFRACTION}.cancel",
            applies=lambda row: row.reporter_ours and row.status != "cancelled",
            form=ReasonForm,
            own=True,
        ),
    },
)


# --- one ------------------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    return Infraction.objects.visible_to(user).select_related("requested_by")


def _context(request: HttpRequest, infraction: Infraction) -> dict[str, Any]:
    user = person(request)
    requests = requests_about(INFRACTION, infraction.pk).visible_to(user).order_by("created_at")
    return {
        "topics": f"{INFRACTION}:{infraction.pk} inbox",
        "head": _head(infraction, user),
        "asked_title": gettext("The report"),
        "unsigned": not infraction.decides,
        "facts": _facts(infraction),
        "requests": requests[:20],
        "card": _brought(infraction, user),
        "verbs": VERBS.shown(infraction, user),
        "timeline": timeline(
            subjects=[(INFRACTION, str(infraction.pk))],
            workflow_ids=[infraction.workflow_id],
            older=request.GET.get("older", ""),
        ),
    }


def _head(infraction: Infraction, user: User) -> Head:
    url = temporal_url_for(user, infraction.workflow_id)
    by = infraction.requested_by
    return Head(
        infraction_title(infraction),
        gettext("reported by {person}").format(person=by) if by else gettext("received"),
        at=infraction.received_at,
        crumbs=(LIST,),
        state=infraction.status,
        links=(Link(gettext("Temporal UI"), url, outside=True),) if url else (),
        note=_note(infraction),
    )


def _note(infraction: Infraction) -> Note | None:
    if infraction.refused:
        return Note(
            sentence_of(infraction.refused),
            gettext("The directory does not take what it is told."),
            next_step(infraction.refused) or gettext("Somebody is asked in the inbox."),
            tone="bad",
        )
    if infraction.error_code:
        return Note(sentence_of(infraction.error_code), infraction.error_detail, tone="info")
    if infraction.overdue:
        return Note(gettext("It is overdue."), gettext("No clock decides it: somebody has to."))
    return None


def _facts(infraction: Infraction) -> list[Fact]:
    amount = infraction.amount
    # What the directory has listed keeps its id here.
    known = infraction.infraction_id == infraction.directory_id
    own_id = "" if known else infraction.infraction_id
    facts = (
        Fact(gettext("Due"), None if infraction.has_ended else infraction.due_at, form="when"),
        Fact(gettext("Decided as"), infraction.result and words_of(infraction.result)),
        Fact(gettext("Type of fraud"), infraction.fraud_type and words_of(infraction.fraud_type)),
        Fact(gettext("What was found"), infraction.analysis, form="prose"),
        Fact(gettext("Reason"), words_of(infraction.reason)),
        Fact(gettext("What happened"), words_of(infraction.situation)),
        Fact(gettext("Details"), infraction.details, form="prose"),
        Fact(gettext("Payment"), infraction.transaction_id, form="code"),
        Fact(gettext("Amount"), "" if amount is None else shown(amount, infraction.currency)),
        Fact(gettext("Key"), masked_key(infraction.key_type, infraction.key), form="code"),
        _participant(gettext("Reported by"), infraction.reporter_ispb),
        _participant(gettext("Reported"), infraction.counterparty_ispb),
        Fact(gettext("Contact"), infraction.contact_email),
        Fact(gettext("Contact by phone"), infraction.contact_phone),
        Fact(gettext("In the directory"), words_of(infraction.directory_status)),
        Fact(gettext("Id in the directory"), infraction.directory_id, form="code"),
        Fact(gettext("Id of the claim"), infraction.claim_id, form="code"),
        Fact(gettext("Acknowledged"), infraction.acknowledged_at, form="when"),
        Fact(gettext("Escalated"), infraction.escalated_at, form="when"),
        Fact(gettext("Decided"), infraction.decided_at, form="when"),
        Fact(gettext("Ended"), infraction.settled_at, form="when"),
        Fact(gettext("Id"), own_id, form="code"),
    )
    return [fact for fact in facts if fact.value]


def _participant(name: str, ispb: str) -> Fact:
    found = Participant.objects.filter(ispb=ispb).first() if ispb else None
    note = gettext("ours") if found and found.ours else ""
    return Fact(name, str(found) if found else ispb, note=note)


def _brought(infraction: Infraction, user: User) -> dict[str, Any]:
    """Return the evidence and comments of the request, and what signals brought, oldest first."""
    request = requests_about(INFRACTION, infraction.pk, kind=INFRACTION_KIND).visible_to(user)
    found = request.first()
    lines: list[tuple[Any, Line]] = []
    if found is not None:
        address = reverse("request", args=[found.pk])
        for one in brought_to(found.pk, most=MOST_EVIDENCE):
            place = f"{address}#comment-{one.comment}" if one.comment else address
            lines.append((one.at, Line(one.text[:300], place, under=one.by)))
    signals = infraction.signals.filter(name=SIGNAL_EVIDENCE, outcome="taken").order_by("-id")
    for signal in signals[:MOST_EVIDENCE]:
        # An address from outside is never a link: nobody has looked at it.
        text = " ".join(part for part in (signal.text, signal.url) if part)
        lines.append((signal.at, Line(text[:300], under=gettext("a signal to the engine"))))
    lines.sort(key=lambda line: line[0])
    return rows_card(
        "evidence",
        gettext("Evidence and comments"),
        [line for _at, line in lines],
        empty=gettext("None yet."),
    )


DETAIL_PAGE = DetailPage(
    name="infraction",
    rows=_rows,
    context=_context,
    main=("web/_asked.html", "web/_rows_panel.html"),
    side=("web/_row_verbs.html",),
    after=("console/_timeline.html",),
)
