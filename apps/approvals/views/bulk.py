"""Deciding many requests in one go: the preview, the run, and the list of one's own."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.contracts import BULK_SUBJECT, ItemStatus
from apps.approvals.forms import BulkForm, inbox_matching
from apps.approvals.models import ApprovalRequest, BulkDecision
from apps.approvals.selectors.bulk import BulkPreview, bulk_preview
from apps.approvals.services.bulk import MOST_ITEMS, BulkChoice
from apps.common.errors import DomainError, Invalid, NotFound
from apps.common.identifiers import new_id, number_of
from apps.engine.timeline import timeline
from apps.web.denied import row_of
from apps.web.fragments import fragment, person
from apps.web.lists import PAGE_SIZE, listed
from apps.web.refusals import Refusal, refusal_of

#: Tab of the outcomes → statuses, and the words above and beside them.
TABS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("", "All", ()),
    ("signed", "Signed", (ItemStatus.DONE,)),
    ("refused", "Refused", (ItemStatus.FAILED,)),
    ("left", "Not decided", (ItemStatus.WAITING, ItemStatus.STOPPED)),
)
MOST_LIVE = 10


# --- before ---------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preview(request: HttpRequest) -> HttpResponse:
    """What deciding the chosen requests would come to. Signs nothing."""
    if request.method != "POST":
        messages.info(request, "Tick what you want to decide together, then go on from there.")
        return redirect("inbox")
    chosen = _chosen(request)
    if not chosen:
        messages.info(request, "Nothing was ticked. Tick what you want to decide together.")
        return redirect("inbox")
    if len(chosen) > MOST_ITEMS:
        messages.warning(
            request,
            f"These are the first {MOST_ITEMS}, as many as can be decided in one go. "
            "The others wait in the inbox.",
        )
    ids = chosen[:MOST_ITEMS]
    form = BulkForm(
        initial={"key": new_id(), "ids": " ".join(map(str, ids))},
        names=_kinds_of(request, ids).values(),
    )
    return _show_preview(request, ids, form=form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def run(request: HttpRequest) -> HttpResponse:
    """Begin it. The same form sent twice begins once; a GET (after signing in again) leads back."""
    if request.method != "POST":
        return redirect("inbox")
    picked = _Picked.of(request)
    ids = _ids(str(request.POST.get("ids", "")).split())[:MOST_ITEMS]
    names = _kinds_of(request, ids)
    form = BulkForm(
        request.POST,
        names=names.values(),
        picked=[name for pk, name in names.items() if str(pk) in picked.values],
    )
    refusal: Refusal | None = None
    if form.is_valid() and picked.choices:
        try:
            if picked.refusal:
                raise picked.refusal
            bulk = services.bulk_decide(
                by=person(request),
                verdict=form.cleaned_data["verdict"],
                reason=form.cleaned_data["reason"],
                reason_codes=form.codes,
                items=picked.choices,
                key=f"page:{form.cleaned_data['key']}",
                via="page",
                as_of=timezone.now(),
            )
        except DomainError as error:
            refusal = refusal_of(error)
        else:
            return redirect("bulk", bulk_id=bulk.pk)
    if not picked.choices:
        form.add_error(None, "Nothing is ticked: tick what you want to sign.")
    return _show_preview(request, ids, form=form, picked=picked, refusal=refusal)


@dataclass
class _Picked:
    """What is ticked on the preview: `request:hash:tier:authority`, and the choices among several.
    `refusal`: one names nobody, or no tier."""

    choices: list[BulkChoice] = field(default_factory=list)
    refusal: DomainError | None = None
    values: set[str] = field(default_factory=set)
    authorities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: HttpRequest) -> "_Picked":
        picked = cls()
        rows: list[tuple[UUID, str, str, str]] = []
        for value in request.POST.getlist("item")[: MOST_ITEMS + 1]:
            identifier, _, rest = value.partition(":")
            payload_hash, _, rest = rest.partition(":")
            tier, _, authority = rest.partition(":")
            for request_id in _ids([identifier]):
                asked = request.POST.get(f"authority-{request_id}") or authority
                picked.authorities[str(request_id)] = asked
                picked.values.add(str(request_id))
                rows.append((request_id, payload_hash, tier, asked))
        people = User.objects.in_bulk({number_of(key, digits=9) or 0 for *_, key in rows})
        for request_id, payload_hash, tier, key in rows:
            # Never silently another one than the preview showed: that would be the reader's own,
            # or whichever is delegated to them.
            under, number = people.get(number_of(key, digits=9) or 0), number_of(tier, digits=9)
            if under is None:
                picked.refusal = Invalid(
                    "It does not say under whose authority to sign.", code="authority_invalid"
                )
            elif number is None:
                picked.refusal = Invalid("It does not say at which tier.", code="bad_tier")
            picked.choices.append(BulkChoice(request_id, payload_hash, under, number))
        return picked


def _chosen(request: HttpRequest) -> list[UUID]:
    """The ticked ones, or all that match the inbox's filters: at most one more than allowed."""
    if request.POST.get("all"):
        found = inbox_matching(
            user=person(request), query=request.POST.get("query", ""), as_of=timezone.now()
        )
        rows = found.order_by("-created_at", "-pk").values_list("pk", flat=True)
        return list(rows[: MOST_ITEMS + 1])
    return _ids(request.POST.getlist("ids"))


def _kinds_of(request: HttpRequest, ids: list[UUID]) -> dict[UUID, str]:
    visible = ApprovalRequest.objects.visible_to(person(request)).filter(pk__in=ids)
    return dict(visible.values_list("pk", "kind"))


def _ids(texts: list[str]) -> list[UUID]:
    """Each once, in order, without what is no id."""
    found: dict[UUID, None] = {}
    for text in texts:
        try:
            found[UUID(text)] = None
        except ValueError:
            continue
    return list(found)


def _show_preview(
    request: HttpRequest,
    ids: list[UUID],
    *,
    form: BulkForm,
    picked: _Picked | None = None,
    refusal: Refusal | None = None,
) -> HttpResponse:
    seen: BulkPreview = bulk_preview(person(request), ids, as_of=timezone.now())
    context = {
        "preview": seen,
        "lines": [
            {
                "line": line,
                "checked": picked is None or str(line.request.pk) in picked.values,
                "authority": picked.authorities.get(str(line.request.pk)) if picked else None,
            }
            for line in seen.signable
        ],
        "barred": [(line, refusal_of(line.refusal)) for line in seen.barred if line.refusal],
        "form": form,
        "refusal": refusal,
        "most": MOST_ITEMS,
    }
    status = refusal.status if refusal else 422 if picked else 200
    return render(request, "approvals/bulk_preview.html", context, status=status)


# --- while and after ------------------------------------------------------------------------------
@login_required
@require_GET
def bulk_list(request: HttpRequest) -> HttpResponse:
    """The person's own bulk decisions, newest first."""
    return render(request, "approvals/bulk_list.html", _list(request))


@fragment
@require_GET
def bulk_list_live(request: HttpRequest) -> HttpResponse:
    """The rows as they are now."""
    return render(request, "approvals/_bulk_rows.html", _list(request))


def _list(request: HttpRequest) -> dict[str, Any]:
    mine = BulkDecision.objects.filter(by=person(request).pk).select_related("by")
    found = listed(request, mine)
    running = [bulk for bulk in found["items"] if bulk.runs][:MOST_LIVE]
    return {
        "rows": [{"bulk": bulk, **_bar(bulk)} for bulk in found["items"]],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        "topics": " ".join(f"{BULK_SUBJECT}:{bulk.pk}" for bulk in running),
        "query": request.GET.urlencode(),
    }


@login_required
@require_GET
def bulk_page(request: HttpRequest, bulk_id: UUID) -> HttpResponse:
    """How far it is, and what became of each request."""
    return render(request, "approvals/bulk.html", _context(request, bulk_id))


@fragment
@require_GET
def bulk_live(request: HttpRequest, bulk_id: UUID) -> HttpResponse:
    """The parts of the page as they are now."""
    return render(request, "approvals/_bulk_live.html", _context(request, bulk_id))


@login_required
@require_POST
def bulk_stop(request: HttpRequest, bulk_id: UUID) -> HttpResponse:
    """Sign no further one."""
    return _act(
        request,
        bulk_id,
        services.bulk_stop,
        "Stopped. What was signed stays signed; the rest was not touched.",
    )


@login_required
@require_POST
def bulk_resume(request: HttpRequest, bulk_id: UUID) -> HttpResponse:
    """Go on with what was stopped."""
    return _act(request, bulk_id, services.bulk_resume, "It goes on with what was left.")


def _act(request: HttpRequest, bulk_id: UUID, verb: Any, said: str) -> HttpResponse:
    try:
        verb(bulk_id=bulk_id, by=person(request), via="page", as_of=timezone.now())
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        messages.warning(request, f"Nothing was changed. {refusal_of(error).what}")
    else:
        messages.success(request, said)
    return redirect("bulk", bulk_id=bulk_id)


def _context(request: HttpRequest, bulk_id: UUID) -> dict[str, Any]:
    user = person(request)
    visible = BulkDecision.objects.visible_to(user).select_related("by")
    bulk = row_of(visible, pk=bulk_id)
    tab = request.GET.get("show", "")
    statuses = next((found for key, _, found in TABS if key == tab), ())
    items = bulk.items.select_related("request", "authority").order_by("number")
    if statuses:
        items = items.filter(status__in=statuses)
    after = number_of(request.GET.get("after", ""), digits=9)
    if after is not None:
        items = items.filter(number__gt=after)
    rows = list(items[: PAGE_SIZE + 1])
    counts = {"": bulk.total, "signed": bulk.done, "refused": bulk.failed, "left": bulk.left}
    return {
        "bulk": bulk,
        **_bar(bulk),
        "own": bulk.by_id == user.pk,
        "rows": rows[:PAGE_SIZE],
        "next_after": rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None,
        "later_page": after is not None,
        "tabs": [(key, title, counts[key], key == tab) for key, title, _ in TABS],
        "tab": tab,
        "seconds": _seconds(bulk.created_at, bulk.finished_at),
        "query": request.GET.urlencode(),
        # The engine's own events would be asked for with every step of the bar.
        "timeline": timeline(
            subjects=[(BULK_SUBJECT, str(bulk.pk))],
            workflow_ids=[] if bulk.runs else [bulk.workflow_id],
        ),
    }


def _bar(bulk: BulkDecision) -> dict[str, Any]:
    """Its two stretches, in percent of the whole."""
    done, failed = (100 * part / max(bulk.total, 1) for part in (bulk.done, bulk.failed))
    return {
        "decided": bulk.done + bulk.failed,
        "done_width": f"{done:.2f}%",
        "failed_x": f"{done:.2f}%",
        "failed_width": f"{failed:.2f}%",
        "percent": int(done + failed),
    }


def _seconds(begun: datetime, ended: datetime | None) -> int | None:
    return max(round((ended - begun).total_seconds()), 1) if ended else None
