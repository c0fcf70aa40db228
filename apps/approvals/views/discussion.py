"""Parts of a request's page: evidence, comments, and who else has the page open."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import User
from apps.approvals import selectors
from apps.approvals.forms import DecideForm
from apps.approvals.models import ApprovalRequest, Comment, Evidence
from apps.approvals.models.evidence import ERASE_PERMISSION
from apps.approvals.selectors.comment_permissions import may_write
from apps.approvals.services.comments import MENTION, TEXT_LIMIT, comment_add, names_in
from apps.approvals.services.evidence import (
    ERASE_REASON_LIMIT,
    NOTE_LIMIT,
    evidence_add,
    evidence_body,
    evidence_erase,
    evidence_get,
)
from apps.common import uploads
from apps.common.errors import DomainError, NotFound, TooMany
from apps.common.identifiers import new_id
from apps.live.presence import present
from apps.web.denied import hidden, row_of
from apps.web.fragments import person
from apps.web.refusals import Refusal, refusal_of

#: The page shows the newest comments; the API has all.
MOST_COMMENTS = 200
#: After this many names the page shows a number.
MOST_NAMES = 3


@dataclass(frozen=True)
class Part:
    """A part of a comment's text; `who` is set if the part mentions a user."""

    text: str
    who: str = ""


@dataclass
class Collab:
    """Refused input of these forms, shown again with the refusal."""

    evidence_refusal: Refusal | None = None
    comment_refusal: Refusal | None = None
    text: str = ""
    note: str = ""


def context(request: HttpRequest, approval: ApprovalRequest) -> dict[str, Any]:
    """Return the context of the three fragments. Only for users who may see the request."""
    user = person(request)
    comments = list(
        Comment.objects.filter(request=approval)
        .select_related("author")
        .prefetch_related("mentions")
        .order_by("-created_at", "-id")[: MOST_COMMENTS + 1]
    )
    files = Evidence.objects.filter(request=approval).select_related("uploaded_by", "erased_by")
    closed = selectors.state_refusal(approval, as_of=timezone.now())
    return {
        "collab": getattr(request, "collab", Collab()),
        "comments": [
            {"comment": comment, "parts": list(_parts(comment))}
            for comment in reversed(comments[:MOST_COMMENTS])
        ],
        "comments_cut": len(comments) > MOST_COMMENTS,
        "comment_limit": TEXT_LIMIT,
        "comment_nonce": str(new_id()),
        "evidence": [{"file": file, "size": uploads.size_in_words(file.size)} for file in files],
        "evidence_open": closed is None,
        "evidence_types": uploads.TYPES_IN_WORDS,
        "evidence_accept": uploads.ACCEPT,
        "evidence_most": settings.EVIDENCE_MAX_BYTES,
        "evidence_most_words": uploads.size_in_words(settings.EVIDENCE_MAX_BYTES),
        "evidence_note_limit": NOTE_LIMIT,
        "may_add": may_write(approval, user),
        "may_erase": user.has_perm(ERASE_PERMISSION),
        "looking": _looking(approval, user),
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def comment(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Add a comment by POST; a GET (after signing in again) redirects to the request."""
    approval = _get(request, request_id)
    if request.method != "POST":
        return redirect("request", request_id=approval.pk)
    text = request.POST.get("text", "")
    try:
        added = comment_add(
            request_id=approval.pk,
            by=person(request),
            text=text,
            nonce=request.POST.get("nonce", ""),
            via="page",
            as_of=timezone.now(),
        )
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        page = _again(request, approval, Collab(comment_refusal=refusal, text=text), refusal.status)
        if isinstance(error, TooMany):
            page["Retry-After"] = str(error.retry_after)
        return page
    return redirect(f"{reverse('request', args=[approval.pk])}#comment-{added.pk}")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def evidence(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Add a file by POST; a GET redirects to the request."""
    approval = _get(request, request_id)
    if request.method != "POST":
        return redirect("request", request_id=approval.pk)
    file = request.FILES.get("file")
    note = request.POST.get("note", "")
    try:
        kept = evidence_add(
            request_id=approval.pk,
            by=person(request),
            name=(file.name or "") if file else "",
            # Read one byte more than the limit: enough to refuse the file.
            body=file.read(settings.EVIDENCE_MAX_BYTES + 1) if file else b"",
            note=note,
            via="page",
            as_of=timezone.now(),
        )
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        if file is None and error.code == "empty_file":
            refusal = Refusal(
                "empty_file", refusal.status, gettext("No file was chosen."), gettext("Choose one.")
            )
        return _again(
            request, approval, Collab(evidence_refusal=refusal, note=note), refusal.status
        )
    messages.success(request, gettext("{name} is beside the request now.").format(name=kept.name))
    return redirect(f"{reverse('request', args=[approval.pk])}#evidence-{kept.pk}")


@login_required
@require_GET
def evidence_file(request: HttpRequest, request_id: UUID, evidence_id: UUID) -> HttpResponse:
    """Send the file as a download, never as a page."""
    approval = _get(request, request_id)
    try:
        found = evidence_get(request=approval, evidence_id=evidence_id)
        body = evidence_body(found)
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        messages.error(
            request,
            gettext("{name}: {detail} Tell whoever keeps the database.").format(
                name=found.name, detail=error.detail
            ),
        )
        return redirect("request", request_id=approval.pk)
    return uploads.as_attachment(name=found.name, content_type=found.content_type, body=body)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def evidence_erasing(request: HttpRequest, request_id: UUID, evidence_id: UUID) -> HttpResponse:
    """Ask for the reason and say what is deleted and what stays; POST erases."""
    approval = _get(request, request_id)
    user = person(request)
    if request.method != "POST" and not user.has_perm(ERASE_PERMISSION):
        raise hidden(Http404(), ERASE_PERMISSION)
    refusal = None
    try:
        found = evidence_get(request=approval, evidence_id=evidence_id)
        if request.method == "POST":
            evidence_erase(
                request_id=approval.pk,
                evidence_id=found.pk,
                by=user,
                reason=request.POST.get("reason", ""),
                via="page",
                as_of=timezone.now(),
            )
            messages.success(
                request,
                gettext("The content of {name} is gone. Its digest stays.").format(name=found.name),
            )
            return redirect(f"{reverse('request', args=[approval.pk])}#evidence-{found.pk}")
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
    page = {
        "approval": approval,
        "file": found,
        "size": uploads.size_in_words(found.size),
        "refusal": refusal,
        "reason": request.POST.get("reason", ""),
        "reason_limit": ERASE_REASON_LIMIT,
    }
    status = refusal.status if refusal else 200
    return render(request, "approvals/evidence_erase.html", page, status=status)


def _get(request: HttpRequest, request_id: UUID) -> ApprovalRequest:
    visible = ApprovalRequest.objects.visible_to(person(request)).for_detail()
    return row_of(visible, pk=request_id)


def _again(
    request: HttpRequest, approval: ApprovalRequest, collab: Collab, status: int
) -> HttpResponse:
    """Render the request's page with the refused input, through the request view's context."""
    from apps.approvals.views import requests as page

    request.collab = collab  # type: ignore[attr-defined]
    content = page._context(request, approval, form=DecideForm(approval=approval))
    return render(request, "approvals/request.html", content, status=status)


def _looking(approval: ApprovalRequest, user: User) -> str:
    """Return `Ngozi Okafor and Helena Duarte are looking at this now.` for others who have the page
    open; else empty."""
    ids = set(present(f"request:{approval.pk}")) - {user.pk}
    if not ids:
        return ""
    people: QuerySet[User] = User.objects.filter(pk__in=ids, is_active=True)
    names = sorted(str(one) for one in people)
    if not names:
        return ""
    if len(names) == 1:
        return gettext("{name} is looking at this now.").format(name=names[0])
    if rest := len(names[MOST_NAMES:]):
        text = ngettext(
            "{names} and {rest} other are looking at this now.",
            "{names} and {rest} others are looking at this now.",
            rest,
        )
        return text.format(names=", ".join(names[:MOST_NAMES]), rest=rest)
    *first, last = names
    return gettext("{names} and {name} are looking at this now.").format(
        names=", ".join(first), name=last
    )


def _parts(comment: Comment) -> Iterator[Part]:
    """Split the text into parts, so that the template escapes each of them."""
    known = {one.username: str(one) for one in comment.mentions.all()}
    place = 0
    for match in MENTION.finditer(comment.text):
        name = next((one for one in names_in(match.group(1)) if one in known), None)
        if name is None:
            continue
        end = match.start(1) + len(name)
        yield Part(comment.text[place : match.start()])
        yield Part(comment.text[match.start() : end], who=known[name])
        place = end
    yield Part(comment.text[place:])
