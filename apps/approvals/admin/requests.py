"""Admin of requests. Its actions call the same services as the pages and the API."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import kinds, selectors, services
from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import (
    ApprovalRequest,
    ApprovalRequestQuerySet,
    PayloadVersion,
    Signature,
)
from apps.approvals.reason_forms import CodedForm
from apps.common.canonical_json import canonical_json
from apps.common.dates import moment_words
from apps.common.errors import DomainError
from apps.common.identifiers import number_of
from apps.common.language import lazy as _
from apps.web.admin import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    acting,
    amount_text,
    choice_filter,
    workflow_link,
)
from apps.web.admin_verbs import Given, Line, ReasonForm, verb
from apps.web.refusals import refusal_of


def _kind_choices() -> list[tuple[str, str]]:
    return [(kind.name, kind.title) for kind in kinds.registered()]


#: How many characters of a payload the admin shows.
PAYLOAD_SHOWN = 5000


class DecideActionForm(CodedForm, ReasonForm):
    """The reason: a coded one for each kind that has codes, otherwise text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = not self.coded

    def clean(self) -> None:
        """Require a coded reason or text for each kind."""
        self.codes_clean(names=[kind.name for kind in self.kinds], text_required=True)


class SignatureInline(ReadOnlyInline):
    model = Signature
    fk_name = "request"
    fields = ("tier", "actor", "authority", "verdict", "reason_label", "reason", "via", "at")
    related = ("request", "actor", "authority")


class PayloadInline(ReadOnlyInline):
    model = PayloadVersion
    fk_name = "request"
    fields = ("number", "document", "hash", "edited_by", "created_at")
    related = ("edited_by",)

    @admin.display(description=_("payload"))
    def document(self, version: PayloadVersion) -> str:
        """Return the canonical JSON that is hashed, cut after PAYLOAD_SHOWN characters."""
        text = canonical_json(version.payload)
        return text if len(text) <= PAYLOAD_SHOWN else f"{text[:PAYLOAD_SHOWN]} …"


def _label(approval: ApprovalRequest) -> str:
    amount = amount_text(approval.amount, approval.currency)
    return gettext("{title} · {amount} · asked by {requested_by}").format(
        title=approval.title,
        amount=amount,
        requested_by=approval.requested_by or gettext("the engine"),
    )


def _claim_line(approval: ApprovalRequest, request: HttpRequest) -> Line:
    barred, _under = _barred(approval, acting(request), as_of=timezone.now())
    note = refusal_of(barred).what if barred else gettext("Nobody else signs it then.")
    return Line(note, label=_label(approval), blocked=barred is not None)


def _release_line(approval: ApprovalRequest, request: HttpRequest) -> Line:
    held_by = selectors.holder(approval, as_of=timezone.now())
    note = (
        gettext("{held_by} holds it; others could sign again.").format(held_by=held_by)
        if held_by
        else gettext("Nobody holds it.")
    )
    return Line(note, label=_label(approval), blocked=held_by is None)


def _barred(
    approval: ApprovalRequest, user: User, *, as_of: datetime
) -> tuple[DomainError | None, User]:
    """Return why the user cannot sign now, if so, and under whose authority they would."""
    if (closed := selectors.state_refusal(approval, as_of=as_of)) is not None:
        return closed, user
    try:
        under = selectors.standing(approval, user, on_behalf_of=None, as_of=as_of)
    except DomainError as refusal:
        return refusal, user
    return None, under.authority


def _decide_line(approval: ApprovalRequest, request: HttpRequest, *, verdict: Verdict) -> Line:
    now, user = timezone.now(), acting(request)
    barred, authority = _barred(approval, user, as_of=now)
    note = refusal_of(barred).what if barred else _what_happens(approval, verdict)
    seen = selectors.current_payload(approval).hash
    return Line(
        note
        if authority == user
        else gettext("You sign for {authority}. {note}").format(authority=authority, note=note),
        label=_label(approval),
        # The stamp binds the signature to the payload, tier and authority that this page showed.
        stamp=f"{seen}:{approval.tier_number}:{authority.username}",
        blocked=barred is not None,
    )


def _what_happens(approval: ApprovalRequest, verdict: Verdict) -> str:
    if verdict is Verdict.REJECT:
        return gettext("Your rejection ends it.")
    tier = selectors.current_tier(approval)
    if tier is None or tier.missing > 1 or tier.number < tier.of:
        return gettext("Your signature counts for: {who_signs_next}; more are needed.").format(
            who_signs_next=selectors.who_signs_next(approval)
        )
    return gettext("Yours is the last signature: it is carried out.")


_NOW = {
    RequestStatus.APPROVED: _("It is approved now."),
    RequestStatus.REJECTED: _("It is rejected now."),
    RequestStatus.EXPIRED: _("It is expired now."),
    RequestStatus.CANCELLED: _("It is cancelled now."),
}


def _decided(approval: ApprovalRequest, given: Given, verdict: Verdict) -> str:
    seen, tier, behalf = (*given.stamp.split(":", 2), "", "")[:3]
    decided = services.request_decide(
        request_id=approval.pk,
        verdict=verdict,
        payload_hash=seen,
        on_behalf_of=behalf or given.by,
        # No tier has the number 0: a missing tier is refused, not guessed.
        tier=number_of(tier, digits=9) or 0,
        reason_code=cast("DecideActionForm", given.form).codes.get(approval.kind, ""),
        **given.asked_now,
    )
    if decided.status == RequestStatus.OPEN:
        return gettext("Signed; it waits for {who_signs_next}.").format(
            who_signs_next=selectors.who_signs_next(decided)
        )
    return str(_NOW[RequestStatus(decided.status)])


def _deciding(verdict: Verdict, *, title: str, button: str) -> dict[str, Any]:
    return {
        "line": partial(_decide_line, verdict=verdict),
        "form": lambda data, rows: DecideActionForm(
            data, names=[row.kind for row in rows], verdict=verdict
        ),
        "title": title,
        "explanation": _(
            "You sign what is listed here, each on its own: one that is refused does "
            "not stop the others. The programs act on it within seconds."
        ),
        "button": button,
        "permission": "decide",
    }


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """Requests. Their workflow changes them; users act through the actions."""

    page_name = "request"
    list_display = (
        "title",
        "status",
        "amount",
        "tier_group",
        "requested_by",
        "created_at",
        "due_at",
        "holder",
        "staff_page",
    )
    list_filter = (
        "status",
        choice_filter("kind", "kind", _kind_choices),
        ("created_at", admin.DateFieldListFilter),
    )
    list_select_related = ("requested_by", "claimed_by")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "key")
    search_help_text = _("An exact id of the request or of its subject, or its key.")
    exclude = ("workflow_id",)
    readonly_fields = ("workflow", "staff_page")
    inlines = (SignatureInline, PayloadInline)
    actions = ("approve", "reject", "claim", "release")

    def searched_subjects(self) -> Sequence[str]:
        return sorted({kind.subject_type for kind in kinds.registered() if kind.subject_type})

    @admin.display(description=_("held by"))
    def holder(self, request: ApprovalRequest) -> str:
        return str(selectors.leaseholder(request, as_of=timezone.now()) or "")

    @admin.display(description=_("workflow"))
    def workflow(self, request: ApprovalRequest) -> SafeString | str:
        return workflow_link(request.workflow_id)

    def verb_rows(self, request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        return cast("ApprovalRequestQuerySet", rows).visible_to(acting(request)).for_signing()

    @verb(
        _("Approve"),
        **_deciding(Verdict.APPROVE, title=_("Approve requests"), button=_("Approve and sign")),
    )
    def approve(self, approval: ApprovalRequest, given: Given) -> str:
        """Approve the selected requests."""
        return _decided(approval, given, Verdict.APPROVE)

    @verb(
        _("Reject"),
        **_deciding(Verdict.REJECT, title=_("Reject requests"), button=_("Reject and sign")),
    )
    def reject(self, approval: ApprovalRequest, given: Given) -> str:
        """Reject the selected requests."""
        return _decided(approval, given, Verdict.REJECT)

    @verb(
        _("Claim"),
        title=_("Claim requests"),
        explanation=_("You say that you are at these. A claim ends by itself after a while."),
        button=_("Claim"),
        permission="decide",
        line=_claim_line,
        with_reason=False,
    )
    def claim(self, approval: ApprovalRequest, given: Given) -> str:
        """Claim the selected requests, so that nobody else signs them meanwhile."""
        held = services.claim_take(
            request_id=approval.pk,
            by=given.by,
            via="admin",
            as_of=timezone.now(),
        )
        return gettext("You hold it until {claimed_until}.").format(
            claimed_until=moment_words(held.claimed_until) if held.claimed_until else "–"
        )

    @verb(
        _("Release the claim"),
        title=_("Release claims"),
        explanation=_("Whoever holds these has not decided yet. Others can sign them again."),
        button=_("Release"),
        permission="reassign",
        line=_release_line,
    )
    def release(self, approval: ApprovalRequest, given: Given) -> str:
        """Release the claims of the selected requests."""
        services.claim_release(request_id=approval.pk, **given.asked_now)
        return gettext("Nobody holds it now.")


@admin.register(PayloadVersion)
class PayloadVersionAdmin(ReadOnlyAdmin):
    list_display = ("request", "number", "hash", "edited_by", "created_at")
    list_select_related = ("request", "edited_by")
    search_exact = ("request", "hash")
    search_help_text = _("The exact id of a request.")


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
    search_exact = ("request",)
    search_help_text = _("The exact id of a request.")
