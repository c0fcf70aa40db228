"""Requests and rules in the admin. Deciding here calls the same service as the page and the API."""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.approvals import kinds, selectors, services
from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import (
    DECIDE_PERMISSION,
    REASSIGN_PERMISSION,
    ApprovalRequest,
    ApprovalRequestQuerySet,
    PayloadVersion,
    Signature,
)
from apps.approvals.reason_forms import CodedForm
from apps.common.canonical_json import canonical_json
from apps.common.errors import DomainError
from apps.common.identifiers import number_of
from apps.web.admin import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    acting,
    amount_text,
    choice_filter,
    link,
    workflow_link,
)
from apps.web.admin_verbs import Line, ReasonForm, confirmed, confirmed_action
from apps.web.refusals import refusal_of


def _kind_choices() -> list[tuple[str, str]]:
    return [(kind.name, kind.title) for kind in kinds.registered()]


#: Characters of a payload that a form of the admin shows.
PAYLOAD_SHOWN = 5000


class DecideActionForm(CodedForm, ReasonForm):
    """Why: a coded reason of each kind that has some, or words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = not self.coded

    def clean(self) -> None:
        """One of both for each of the kinds."""
        self.codes_clean(names=[kind.name for kind in self.kinds], text_required=True)


class SignatureInline(ReadOnlyInline):
    model = Signature
    fk_name = "request"
    fields = ("tier", "actor", "authority", "verdict", "reason_label", "reason", "via", "at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("actor", "authority")


class PayloadInline(ReadOnlyInline):
    model = PayloadVersion
    fk_name = "request"
    fields = ("number", "document", "hash", "edited_by", "created_at")
    readonly_fields = fields

    @admin.display(description="payload")
    def document(self, version: PayloadVersion) -> str:
        """As it is hashed; of a long one the beginning."""
        text = canonical_json(version.payload)
        return text if len(text) <= PAYLOAD_SHOWN else f"{text[:PAYLOAD_SHOWN]} …"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("edited_by")


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """Requests. A workflow owns them; the verbs are actions."""

    list_display = (
        "title",
        "status",
        "asked_amount",
        "tier_group",
        "requested_by",
        "created_at",
        "due_at",
        "holder",
        "settled_by",
        "settled_at",
        "kind",
        "staff_page",
    )
    list_filter = (
        "status",
        choice_filter("kind", "kind", _kind_choices),
        ("created_at", admin.DateFieldListFilter),
    )
    list_select_related = ("requested_by", "settled_by", "claimed_by")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "key")
    search_help_text = "An exact id of the request or of its subject, or its key."
    exclude = ("workflow_id",)
    readonly_fields = ("workflow", "staff_page")
    inlines = (SignatureInline, PayloadInline)
    actions = ("approve", "reject", "claim", "release")

    def searched_subjects(self) -> Sequence[str]:
        return sorted({kind.subject_type for kind in kinds.registered() if kind.subject_type})

    @admin.display(description="amount", ordering=None)
    def asked_amount(self, request: ApprovalRequest) -> str:
        return amount_text(request.amount, request.currency)

    @admin.display(description="held by")
    def holder(self, request: ApprovalRequest) -> str:
        return str(selectors.leaseholder(request, as_of=timezone.now()) or "")

    @admin.display(description="page")
    def staff_page(self, request: ApprovalRequest) -> SafeString | str:
        return link(reverse("request", args=[request.pk]), "open")

    @admin.display(description="workflow")
    def workflow(self, request: ApprovalRequest) -> SafeString | str:
        return workflow_link(request.workflow_id)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DECIDE_PERMISSION)

    @admin.action(description="Approve…", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: "QuerySet[ApprovalRequest]") -> HttpResponse:
        """Sign the chosen requests."""
        return self._decide(request, queryset, Verdict.APPROVE)

    @admin.action(description="Reject…", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: "QuerySet[ApprovalRequest]") -> HttpResponse:
        """Reject the chosen requests."""
        return self._decide(request, queryset, Verdict.REJECT)

    @admin.action(description="Claim…", permissions=["decide"])
    def claim(self, request: HttpRequest, queryset: "QuerySet[ApprovalRequest]") -> HttpResponse:
        """Hold the chosen requests, so that nobody else signs them meanwhile."""
        user = acting(request)

        def line(approval: ApprovalRequest) -> Line:
            barred = selectors.can_sign(approval, user, as_of=timezone.now())
            note = f"You could not sign it: {barred}." if barred else "Nobody else signs it then."
            return Line(
                pk=str(approval.pk), label=_label(approval), note=note, blocked=bool(barred)
            )

        def run(approval: ApprovalRequest, reason: str, stamp: str) -> str:
            held = services.claim_take(
                request_id=approval.pk, by=user, via="admin", as_of=timezone.now()
            )
            return f"You hold it until {held.claimed_until:%Y-%m-%d %H:%M} UTC."

        return confirmed_action(
            self,
            request,
            cast("ApprovalRequestQuerySet", queryset).visible_to(user).for_signing(),
            action="claim",
            title="Claim requests",
            explanation="You say that you are at these. A claim ends by itself after a while.",
            button="Claim",
            line=line,
            run=run,
            with_reason=False,
        )

    def has_reassign_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REASSIGN_PERMISSION)

    @admin.action(description="Release the claim…", permissions=["reassign"])
    def release(self, request: HttpRequest, queryset: "QuerySet[ApprovalRequest]") -> HttpResponse:
        """Give claimed requests back to whoever may sign them."""
        user = acting(request)

        def line(approval: ApprovalRequest) -> Line:
            held_by = selectors.holder(approval, as_of=timezone.now())
            note = (
                f"{held_by} holds it; others could sign again." if held_by else "Nobody holds it."
            )
            return Line(
                pk=str(approval.pk), label=_label(approval), note=note, blocked=held_by is None
            )

        def run(approval: ApprovalRequest, reason: str, stamp: str) -> str:
            services.claim_release(
                request_id=approval.pk, by=user, reason=reason, via="admin", as_of=timezone.now()
            )
            return "Nobody holds it now."

        return confirmed_action(
            self,
            request,
            cast("ApprovalRequestQuerySet", queryset).visible_to(user).for_signing(),
            action="release",
            title="Release claims",
            explanation="Whoever holds these has not decided yet. Others can sign them again.",
            button="Release",
            line=line,
            run=run,
        )

    def _decide(
        self, request: HttpRequest, queryset: "QuerySet[ApprovalRequest]", verdict: Verdict
    ) -> HttpResponse:
        user = acting(request)
        chosen = cast("ApprovalRequestQuerySet", queryset).visible_to(user)
        form = DecideActionForm(
            request.POST if confirmed(request) else None,
            names=chosen.order_by().values_list("kind", flat=True).distinct(),
            verdict=verdict,
        )

        def line(approval: ApprovalRequest) -> Line:
            now = timezone.now()
            barred = selectors.state_refusal(approval, as_of=now)
            authority = user
            if barred is None:
                try:
                    under = selectors.standing(approval, user, on_behalf_of=None, as_of=now)
                    authority = under.authority
                except DomainError as refusal:
                    barred = refusal
            note = refusal_of(barred).what if barred else _what_happens(approval, verdict)
            seen = selectors.current_payload(approval).hash
            return Line(
                pk=str(approval.pk),
                label=_label(approval),
                note=note if authority == user else f"You sign for {authority}. {note}",
                # What is signed, at which tier and under whose authority is what this page showed.
                stamp=f"{seen}:{approval.tier_number}:{authority.username}",
                blocked=barred is not None,
            )

        def run(approval: ApprovalRequest, reason: str, stamp: str) -> str:
            seen, tier, behalf = (*stamp.split(":", 2), "", "")[:3]
            decided = services.request_decide(
                request_id=approval.pk,
                by=user,
                verdict=verdict,
                reason=reason,
                payload_hash=seen,
                via="admin",
                as_of=timezone.now(),
                on_behalf_of=behalf or user,
                # No tier is 0: what the page did not say is refused, not guessed.
                tier=number_of(tier, digits=9) or 0,
                reason_code=form.codes.get(approval.kind, ""),
            )
            if decided.status == RequestStatus.OPEN:
                return f"Signed; it waits for {selectors.who_signs_next(decided)}."
            return f"It is {decided.status} now."

        word = "Approve" if verdict is Verdict.APPROVE else "Reject"
        return confirmed_action(
            self,
            request,
            chosen.for_signing(),
            action=word.lower(),
            title=f"{word} requests",
            explanation="You sign what is listed here, each on its own: one that is refused does "
            "not stop the others. The programs act on it within seconds.",
            button=f"{word} and sign",
            line=line,
            run=run,
            form=form,
        )


def _label(approval: ApprovalRequest) -> str:
    amount = amount_text(approval.amount, approval.currency)
    return f"{approval.title} · {amount} · asked by {approval.requested_by or 'the engine'}"


def _what_happens(approval: ApprovalRequest, verdict: Verdict) -> str:
    if verdict is Verdict.REJECT:
        return "Your rejection ends it."
    tier = selectors.current_tier(approval)
    if tier is None or tier.missing > 1 or tier.number < tier.of:
        return f"Your signature counts for: {selectors.who_signs_next(approval)}; more are needed."
    return "Yours is the last signature: it is carried out."


@admin.register(PayloadVersion)
class PayloadVersionAdmin(ReadOnlyAdmin):
    list_display = ("request", "number", "hash", "edited_by", "created_at")
    list_select_related = ("request", "edited_by")
    ordering = ("-id",)
    search_exact = ("request", "hash")
    search_help_text = "The exact id of a request."
    raw_id_fields = ("request",)


@admin.register(Signature)
class SignatureAdmin(ReadOnlyAdmin):
    list_display = (
        "request",
        "tier",
        "actor",
        "authority",
        "verdict",
        "reason_code",
        "via",
        "at",
    )
    list_filter = ("verdict",)
    list_select_related = ("request", "actor", "authority")
    ordering = ("-id",)
    search_exact = ("request",)
    search_help_text = "The exact id of a request."
    raw_id_fields = ("request", "payload")
