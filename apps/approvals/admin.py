"""Requests and rules in the admin. Deciding here calls the same service as the page and the API."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.adminbase import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    acting,
    amount_text,
    choice_filter,
    link,
    workflow_link,
)
from apps.adminverbs import Line, ReadableJSONField, ServiceFormAdmin, confirmed_action
from apps.approvals import kinds, selectors, services
from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import (
    DECIDE_PERMISSION,
    ApprovalRequest,
    ApprovalRequestQuerySet,
    ApprovalRule,
    PayloadVersion,
    Signature,
)
from apps.pages import refusal_of


def _kind_choices() -> list[tuple[str, str]]:
    return [(kind.name, kind.title) for kind in kinds.registered()]


class SignatureInline(ReadOnlyInline):
    model = Signature
    fk_name = "request"
    fields = ("tier", "actor", "authority", "verdict", "reason", "via", "at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("actor", "authority")


class PayloadInline(ReadOnlyInline):
    model = PayloadVersion
    fk_name = "request"
    fields = ("number", "payload", "hash", "edited_by", "created_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("edited_by")


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """Requests. A workflow owns them; the two verbs are actions."""

    list_display = (
        "title",
        "status",
        "asked_amount",
        "tier_group",
        "requested_by",
        "created_at",
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
    list_select_related = ("requested_by", "settled_by")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "key")
    subject_types = ("intervention",)
    search_help_text = "An exact id of the request or of its subject, or its key."
    exclude = ("workflow_id",)
    readonly_fields = ("workflow", "staff_page")
    inlines = (SignatureInline, PayloadInline)
    actions = ("approve", "reject")

    @admin.display(description="amount", ordering=None)
    def asked_amount(self, request: ApprovalRequest) -> str:
        return amount_text(request.amount, request.currency)

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

    def _decide(
        self, request: HttpRequest, queryset: "QuerySet[ApprovalRequest]", verdict: Verdict
    ) -> HttpResponse:
        user = acting(request)

        def line(approval: ApprovalRequest) -> Line:
            now = timezone.now()
            barred = selectors.state_refusal(approval, as_of=now) or selectors.person_refusal(
                approval, user
            )
            note = refusal_of(barred).what if barred else _what_happens(approval, verdict)
            return Line(
                pk=str(approval.pk),
                label=_label(approval),
                note=note,
                stamp=selectors.current_payload(approval).hash,
                blocked=barred is not None,
            )

        def run(approval: ApprovalRequest, reason: str, stamp: str) -> str:
            decided = services.request_decide(
                request_id=approval.pk,
                by=user,
                verdict=verdict,
                reason=reason,
                payload_hash=stamp,
                via="admin",
                as_of=timezone.now(),
            )
            if decided.status == RequestStatus.OPEN:
                return f"Signed; it waits for {selectors.who_signs_next(decided)}."
            return f"It is {decided.status} now."

        word = "Approve" if verdict is Verdict.APPROVE else "Reject"
        return confirmed_action(
            self,
            request,
            cast("ApprovalRequestQuerySet", queryset).visible_to(user).for_detail(),
            action=word.lower(),
            title=f"{word} requests",
            explanation="You sign what is listed here, each on its own: one that is refused does "
            "not stop the others. The programs act on it within seconds.",
            button=f"{word} and sign",
            line=line,
            run=run,
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
    list_display = ("request", "tier", "actor", "authority", "verdict", "via", "at")
    list_filter = ("verdict",)
    list_select_related = ("request", "actor", "authority")
    ordering = ("-id",)
    search_exact = ("request",)
    search_help_text = "The exact id of a request."
    raw_id_fields = ("request", "payload")


class RuleForm(forms.Form):
    """A rule's new version. The service checks the bands and says which one is wrong."""

    kind = forms.ChoiceField(choices=_kind_choices)
    scope = forms.CharField(
        max_length=80, required=False, help_text="E.g. a policy's code; empty: any."
    )
    currency = forms.CharField(max_length=3, required=False)
    bands = ReadableJSONField(
        initial=list,
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80, "class": "vLargeTextField mono"}),
        help_text='A list such as [{"above": "10000.00", "tiers": [{"group": "reviewer", '
        '"quorum": 1}]}]; below the lowest band no signature is needed.',
    )


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(ServiceFormAdmin):
    """Rules, version by version. Saving makes a new version; open requests keep theirs."""

    list_display = ("kind", "scope", "version", "currency", "active", "created_at")
    list_filter = ("active", choice_filter("kind", "kind", _kind_choices))
    ordering = ("kind", "scope", "-version")
    search_exact = ("kind", "scope")
    search_help_text = "An exact kind or scope."
    service_form = RuleForm
    new_label = "New rule"

    def initial_of(self, row: ApprovalRule) -> dict[str, Any]:
        return {"kind": row.kind, "scope": row.scope, "currency": row.currency, "bands": row.bands}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        with transaction.atomic():
            return services.rule_put(**data, by=acting(request))
