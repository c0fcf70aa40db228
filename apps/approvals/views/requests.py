"""The page of one request."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import User
from apps.approvals import kinds, selectors, services
from apps.approvals.action_forms import ReassignForm
from apps.approvals.contracts import SUBJECT_TYPE, RequestStatus, Verdict
from apps.approvals.forms import DecideForm
from apps.approvals.kinds import Fact
from apps.approvals.models import REASSIGN_PERMISSION, ApprovalRequest
from apps.approvals.services.rows import workflows_of
from apps.approvals.views import clock, discussion, signed
from apps.common.errors import DomainError, NotFound
from apps.common.money import shown as money_shown
from apps.engine.timeline import timeline
from apps.web.denied import row_of
from apps.web.fragments import fragment, person
from apps.web.refusals import Refusal, refusal_of

#: A link in an e-mail shows and preselects by GET; the submitted form then carries this origin.
FROM_EMAIL = "email"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def request_page(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Show the payload, requester, signers and history; POST decides."""
    if request.method == "POST":
        return _decide(request, request_id)
    approval = _get(request, request_id)
    chosen = request.GET.get("verdict")
    form = DecideForm(
        approval=approval, initial={"verdict": chosen if chosen in set(Verdict) else None}
    )
    return render(request, "approvals/request.html", _context(request, approval, form=form))


@fragment
@require_GET
def request_live(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Return the page's live parts. `seen` is the hash of the payload that the page shows: when it
    is outdated, a notice replaces the form."""
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
    return row_of(visible, pk=request_id)


def _decide(request: HttpRequest, request_id: UUID) -> HttpResponse:
    visible = ApprovalRequest.objects.visible_to(person(request)).for_detail()
    approval = visible.filter(pk=request_id).first()
    # Whoever may not see the request learns nothing about it, but the attempt is still audited.
    form = DecideForm(request.POST, approval=approval or ApprovalRequest(reason_required=False))
    if not form.is_valid():
        context = _context(request, _get(request, request_id), form=form)
        return render(request, "approvals/request.html", context, status=422)
    try:
        decided = services.request_decide(
            request_id=request_id,
            by=person(request),
            verdict=form.cleaned_data["verdict"],
            reason=form.cleaned_data["reason"],
            reason_code=form.reason_code,
            payload_hash=form.cleaned_data["payload_hash"],
            via="email" if request.POST.get("from") == FROM_EMAIL else "page",
            as_of=timezone.now(),
            on_behalf_of=request.POST.get("on_behalf_of") or None,
            tier=form.cleaned_data["tier"],
        )
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        # Read the request again: the page must show its state after the refusal.
        context = _context(request, _get(request, request_id), form=form, refusal=refusal)
        if error.extra.get("difference"):
            seen = form.cleaned_data["payload_hash"]
            context["refused_difference"] = signed.difference_since(context["approval"], seen)
        return render(request, "approvals/request.html", context, status=refusal.status)
    messages.success(request, _said(decided))
    return redirect("request", request_id=decided.pk)


def _said(decided: ApprovalRequest) -> str:
    if decided.status == RequestStatus.OPEN:
        return gettext("Your signature counts. It waits for {who_signs_next}.").format(
            who_signs_next=selectors.who_signs_next(decided)
        )
    if decided.status == RequestStatus.APPROVED:
        return gettext(
            "Approved. The programs take it from here; this page shows how far they are."
        )
    return gettext("Rejected. Whoever asked can read your reason.")


def _kind(name: str) -> kinds.ApprovalKind | None:
    """Return the kind, or None when its app is gone: old requests stay readable."""
    try:
        return kinds.get(name)
    except DomainError:
        return None


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
    if kind and kind.topic:
        topics.append(kind.topic.format(id=approval.subject_id))
    changed = bool(seen) and seen != payload.hash
    user, now = person(request), timezone.now()
    authorities = selectors.authorities(approval, user, as_of=now)
    barred = None
    if not authorities:
        barred = selectors.state_refusal(approval, as_of=now) or selectors.person_refusal(
            approval, user, authority=user, as_of=now
        )
    held_by = selectors.holder(approval, as_of=now)
    acting = ",".join(str(authority.pk) for authority in authorities)
    view = signed.view(approval)
    preview = selectors.simulation(approval, user, as_of=now)
    return {
        "approval": approval,
        "kind_title": kinds.title_of(approval.kind),
        "facts": _live_facts(approval, kind, preview, amount_signed=view.has_amount),
        "opens": kind.opens if kind else "",
        "subject_url": kind.subject_url(approval.subject_id) if kind else "",
        "payload": payload,
        "signed": view,
        "tiers": selectors.tiers(approval),
        "signs_next": selectors.who_signs_next(approval),
        "also_signing": selectors.also_signing(approval),
        "signatures": approval.signatures.all(),
        "timeline": timeline(
            subjects=[
                (SUBJECT_TYPE, str(approval.pk)),
                (approval.subject_type, approval.subject_id),
            ],
            workflow_ids=workflows_of(approval),
            older=request.GET.get("older", ""),
        ),
        "form": form,
        "refusal": refusal,
        "barred": refusal_of(barred) if barred else None,
        "authorities": authorities,
        "behalf": bool(authorities) and [a.pk for a in authorities] != [user.pk],
        "chosen_authority": request.POST.get("on_behalf_of", ""),
        "from_email": FROM_EMAIL in {request.GET.get("from"), request.POST.get("from")},
        "changed": changed,
        "changed_difference": signed.difference_since(approval, seen) if changed else None,
        "edits": signed.edits(approval),
        "may_edit": approval.status == RequestStatus.OPEN
        and services.may_edit(approval, user, kind),
        "preview": preview,
        "held_by": held_by,
        "holds": held_by is not None and held_by.pk == user.pk,
        "reassign": _reassign(approval, user, held_by),
        # The live update replaces the form only when this changes, so that typed text stays.
        "state": f"{approval.status}:{barred.code if barred else ''}:{payload.hash}:{changed}"
        f":{held_by.pk if held_by else ''}:{acting}",
        "topics": " ".join(topics),
        **discussion.context(request, approval),
        **clock.context(approval),
    }


def _live_facts(
    approval: ApprovalRequest,
    kind: kinds.ApprovalKind | None,
    preview: selectors.Preview,
    *,
    amount_signed: bool,
) -> list[Fact]:
    """Return what is true now, without what the preview says as well. An amount that the payload
    does not have is not signed: it only chose the rule."""
    facts = kind.facts(approval) if kind else []
    shown = {(fact.value, fact.href) for fact in preview.effect.facts} if preview.effect else set()
    facts = [fact for fact in facts if (fact.value, fact.href) not in shown]
    if approval.amount is not None and not amount_signed:
        figure = money_shown(approval.amount, approval.currency)
        if figure not in {fact.value for fact in facts}:
            facts.insert(0, Fact(gettext("Amount, for the rule"), figure))
    return facts


def _reassign(approval: ApprovalRequest, user: User, held_by: User | None) -> ReassignForm | None:
    """Return the form, for users who may reassign the claim."""
    holds = held_by is not None and held_by.pk == user.pk
    if approval.status != RequestStatus.OPEN or not (holds or user.has_perm(REASSIGN_PERMISSION)):
        return None
    if selectors.own_refusal(approval, {user.pk}):
        return None
    return ReassignForm(approval=approval, holder=held_by)
