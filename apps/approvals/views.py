"""The inbox and the request page."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.approvals import kinds, selectors, services
from apps.approvals.contracts import SUBJECT_TYPE, RequestStatus, Verdict
from apps.approvals.forms import DecideForm, InboxFilter
from apps.approvals.models import ApprovalRequest
from apps.errors import DomainError, NotFound
from apps.pages import Refusal, counted, fragment, listed, person, refusal_of
from apps.timeline import timeline

#: A value of more than an id's length, and with spaces, is read and not looked up.
PROSE_FROM = 36
#: Topics that a subject's own changes are told under, by subject type.
SUBJECT_TOPICS = {"intervention": "intervention:{id}"}


# --- inbox -----------------------------------------------------------------------------------
@login_required
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """Every request that waits for a person and that this person may see."""
    return render(request, "approvals/inbox.html", _inbox(request))


@fragment
@require_GET
def inbox_live(request: HttpRequest) -> HttpResponse:
    """Counts and rows of the inbox as it is now, for the page that is open."""
    return render(request, "approvals/_inbox_live.html", _inbox(request))


def _inbox(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    form = InboxFilter(request.GET)
    visible = ApprovalRequest.objects.visible_to(user)
    every = form.apply(visible, as_of=timezone.now())
    mine = every.mine(user)
    chosen = mine if form.wants_mine else every
    found = listed(request, chosen.for_list())
    for row in found["items"]:
        row.kind_title = kinds.title_of(row.kind)
        row.quorum = row.tiers[row.tier_number - 1]["quorum"] if row.tiers else 0
    return {
        "form": form,
        "rows": found["items"],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        "count_every": counted(every),
        "count_mine": counted(mine),
        "mine": form.wants_mine,
        "filtered": any(request.GET.get(name) for name in form.fields if name != "mine"),
        "waiting_only": not request.GET.get("status"),
        "query": request.GET.urlencode(),
    }


# --- one request -----------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def request_page(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """What is asked, by whom and why, who signs, what happened; POST decides."""
    approval = _get(request, request_id)
    if request.method == "POST":
        return _decide(request, approval)
    chosen = request.GET.get("verdict")
    form = DecideForm(
        approval=approval, initial={"verdict": chosen if chosen in set(Verdict) else None}
    )
    return render(request, "approvals/request.html", _context(request, approval, form=form))


@fragment
@require_GET
def request_live(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """The parts of the request page as they are now. `seen` is the payload that the page shows:
    when it is no longer the current one, the form gives way to a notice."""
    approval = _get(request, request_id)
    context = _context(
        request,
        approval,
        form=DecideForm(approval=approval),
        seen=request.GET.get("seen", ""),
    )
    return render(request, "approvals/_request_live.html", context)


def _get(request: HttpRequest, request_id: UUID) -> ApprovalRequest:
    visible = ApprovalRequest.objects.visible_to(person(request)).for_detail()
    approval = visible.filter(pk=request_id).first()
    if approval is None:
        raise Http404
    return approval


def _decide(request: HttpRequest, approval: ApprovalRequest) -> HttpResponse:
    form = DecideForm(request.POST, approval=approval)
    if not form.is_valid():
        context = _context(request, approval, form=form)
        return render(request, "approvals/request.html", context, status=422)
    try:
        decided = services.request_decide(
            request_id=approval.pk,
            by=person(request),
            verdict=form.cleaned_data["verdict"],
            reason=form.cleaned_data["reason"],
            payload_hash=form.cleaned_data["payload_hash"],
            via="page",
            as_of=timezone.now(),
        )
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        # Read again: the page must show what it is now, not what it was before the refusal.
        context = _context(request, _get(request, approval.pk), form=form, refusal=refusal)
        return render(request, "approvals/request.html", context, status=refusal.status)
    messages.success(request, _said(decided))
    return redirect("request", request_id=decided.pk)


def _said(decided: ApprovalRequest) -> str:
    if decided.status == RequestStatus.OPEN:
        return f"Your signature counts. It waits for {selectors.who_signs_next(decided)}."
    if decided.status == RequestStatus.APPROVED:
        return "Approved. The programs take it from here; this page shows how far they are."
    return "Rejected. Whoever asked can read your reason."


def _kind(name: str) -> kinds.ApprovalKind | None:
    """None when the app that registered it is gone: its old requests can still be read."""
    try:
        return kinds.get(name)
    except DomainError:
        return None


def _texts(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """What somebody wrote, to be read first: values that are sentences."""
    return [(k, v) for k, v in payload.items() if isinstance(v, str) and _is_prose(v)]


def _values(payload: dict[str, Any]) -> list[tuple[str, Any]]:
    """The rest, in the order of their names: the document itself has none."""
    rest = {k: v for k, v in payload.items() if not (isinstance(v, str) and _is_prose(v))}
    return sorted(rest.items())


def _is_prose(text: str) -> bool:
    return "\n" in text or (len(text) > PROSE_FROM and " " in text)


def _context(
    request: HttpRequest,
    approval: ApprovalRequest,
    *,
    form: DecideForm,
    refusal: Refusal | None = None,
    seen: str = "",
) -> dict[str, Any]:
    payload = selectors.current_payload(approval)
    kind = _kind(approval.kind)
    topics = [f"request:{approval.pk}"]
    if topic := SUBJECT_TOPICS.get(approval.subject_type):
        topics.append(topic.format(id=approval.subject_id))
    changed = bool(seen) and seen != payload.hash
    barred = selectors.state_refusal(approval, as_of=timezone.now()) or selectors.person_refusal(
        approval, person(request)
    )
    return {
        "approval": approval,
        "kind_title": kinds.title_of(approval.kind),
        "facts": kind.facts(approval) if kind else [],
        "subject_url": kind.subject_url(approval.subject_id) if kind else "",
        "payload": payload,
        "texts": _texts(payload.payload),
        "values": _values(payload.payload),
        "tiers": selectors.tiers(approval),
        "signs_next": selectors.who_signs_next(approval),
        "signatures": approval.signatures.all(),
        "timeline": timeline(
            subjects=[
                (SUBJECT_TYPE, str(approval.pk)),
                (approval.subject_type, approval.subject_id),
            ],
            workflow_ids=[approval.workflow_id],
        ),
        "form": form,
        "refusal": refusal,
        "barred": refusal_of(barred) if barred else None,
        "changed": changed,
        # The live page exchanges the form only when this changes: what is typed stays.
        "state": f"{approval.status}:{barred.code if barred else ''}:{payload.hash}:{changed}",
        "topics": " ".join(topics),
    }
