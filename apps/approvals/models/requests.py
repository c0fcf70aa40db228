"""Requests for a signature, and the versions of their payload."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Count, OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Coalesce, Upper
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models.rules import ApprovalRule
from apps.common.amounts import AmountField
from apps.common.identifiers import new_id
from apps.engine.models_abstract import status_field

if TYPE_CHECKING:
    from apps.accounts.models import User

VIEW_PERMISSION = "approvals.view_approvalrequest"
DECIDE_PERMISSION = "approvals.decide_approvalrequest"
EDIT_PERMISSION = "approvals.edit_approvalrequest"
REASSIGN_PERMISSION = "approvals.reassign_approvalrequest"


class ApprovalRequestQuerySet(models.QuerySet["ApprovalRequest"]):
    """Queries of requests."""

    def open(self) -> Self:
        """Return requests that wait for a signature."""
        return self.filter(status=RequestStatus.OPEN)

    def visible_to(self, user: "User | AnonymousUser") -> Self:
        """Return all requests for users who may view them, otherwise those the user asked for."""
        return self.filter(self.seen_by(user))

    def seen_by(self, user: "User | AnonymousUser") -> Q:
        """Return the condition of `visible_to`."""
        if not user.is_active:
            return Q(pk__in=[])
        return Q() if user.has_perm(VIEW_PERMISSION) else Q(requested_by=user.pk)

    def mine(
        self, user: "User | AnonymousUser", as_of: datetime | None = None, *, group: str = ""
    ) -> Self:
        """Return open requests that the user could sign now: under their own or a delegated
        authority, in the current tier's group or by an escalation, with neither user nor authority
        being the requester, an editor or a signer of the current payload, and with no claim by
        somebody else.

        `group`: the caller restricts the rows to that group anyway (`waiting_for`). The planner
        needs the hint: it cannot tell that a user of other groups has few rows there.
        """
        if not user.is_active or not user.has_perm(DECIDE_PERMISSION):
            return self.none()
        from apps.approvals.models.signable import signable

        return self.open().filter(*signable(user, as_of=as_of or timezone.now(), group=group))

    def mine_counted(self, user: "User | AnonymousUser", *, most: int) -> int:
        """Return how many requests `mine` has now, `most` at most: for every page's navigation."""
        if not user.is_active or not user.has_perm(DECIDE_PERMISSION):
            return 0
        from apps.approvals.models.signable import signable_count

        return signable_count(user, as_of=timezone.now(), most=most)

    def waiting_for(self, group: str) -> Self:
        """Return requests whose current tier is of the group or was escalated to it."""
        from apps.approvals.models.signable import waits_for

        return self.filter(waits_for(group))

    def for_subject(self, *, subject_type: str, subject_id: str) -> Self:
        """Return every request about the subject, in any status."""
        return self.filter(subject_type=subject_type, subject_id=subject_id)

    def for_list(self) -> Self:
        """Join what a list's row shows, in one query; `signed` counts signatures of the current
        tier."""
        from apps.approvals.models.signatures import Signature

        signatures = (
            Signature.objects.filter(
                request=OuterRef("pk"),
                payload__number=OuterRef("payload_number"),
                tier=OuterRef("tier_number"),
                verdict=Verdict.APPROVE,
            )
            .order_by()
            .values("request")
            .annotate(number=Count("pk"))
            .values("number")
        )
        return self.select_related("requested_by", "settled_by", "rule", "claimed_by").annotate(
            signed=Coalesce(Subquery(signatures), 0)
        )

    def for_detail(self) -> Self:
        """Fetch people, rule, payload versions and signatures, in three queries."""
        return self._whole(PayloadVersion.objects.all())

    def for_signing(self) -> Self:
        """As `for_detail`, with `payload` of the versions deferred: a signature needs only their
        hashes and editors."""
        return self._whole(PayloadVersion.objects.defer("payload"))

    def _whole(self, versions: "models.QuerySet[PayloadVersion]") -> Self:
        from apps.approvals.models.signatures import Signature

        return self.select_related(
            "requested_by", "settled_by", "rule", "claimed_by", "escalated_to"
        ).prefetch_related(
            Prefetch("payloads", versions.select_related("edited_by")),
            Prefetch("signatures", Signature.objects.select_related("actor", "authority")),
        )


class ApprovalRequest(models.Model):
    """A request for signatures. Rows change only through `services`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.CharField(
        max_length=200, unique=True, help_text="Opened once, however often asked"
    )
    kind = models.CharField(max_length=60)
    scope = models.CharField(
        max_length=80,
        blank=True,
        help_text="Which of the kind's rules judges it; empty: the general",
    )
    title = models.CharField(max_length=200)
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=80)
    workflow_id = models.CharField(max_length=200, blank=True, help_text="Who waits for the answer")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    amount = AmountField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    status = status_field(RequestStatus.OPEN, longest=10)
    rule = models.ForeignKey(ApprovalRule, null=True, on_delete=models.PROTECT, related_name="+")
    tiers = models.JSONField(
        default=list, help_text="The matched band's tiers, as they were when this was opened."
    )
    band = models.JSONField(
        default=dict, help_text="The whole matched band, as it was when this was opened or edited."
    )
    tier_number = models.PositiveIntegerField(default=1, help_text="The tier that signs now.")
    tier_group = models.CharField(
        max_length=150, blank=True, help_text="Its group, so that an inbox is one indexed query."
    )
    reason_required = models.BooleanField(default=True)
    payload_number = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now)
    # --- time ---
    due_at = models.DateTimeField(null=True, blank=True, help_text="In working time; a promise.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Nobody may sign from then.")
    clock = models.JSONField(
        default=list,
        help_text="Reminders, due date and escalation, computed when this was opened: "
        '[{"event", "number", "at", "done_at"}, …], sorted by time.',
    )
    clock_id = models.CharField(
        max_length=200,
        blank=True,
        db_default="",
        default="",
        editable=False,
        help_text="The workflow that keeps the clock, by the newest start; empty: none was started",
    )
    # --- who is at it ---
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    claimed_until = models.DateTimeField(null=True, blank=True)
    holds = models.JSONField(
        default=dict,
        editable=False,
        help_text="How long each has held it in this tier; kept by `services.holds`.",
    )
    escalated_group = models.CharField(
        max_length=150, blank=True, help_text="May sign the current tier as well."
    )
    escalated_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The senior who may sign the current tier as well.",
    )
    escalated_at = models.DateTimeField(null=True, blank=True)
    search_text = models.TextField(
        blank=True, editable=False, help_text="Title and values of the payload, for searching."
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Whose signature or cancellation ended it; empty: the engine.",
    )
    settled_reason = models.TextField(blank=True)
    settled_reason_code = models.CharField(max_length=60, blank=True)

    objects = ApprovalRequestQuerySet.as_manager()

    class Meta:
        permissions = [
            ("decide_approvalrequest", "Can sign requests (group decides which)"),
            ("edit_approvalrequest", "Can edit what is asked (and then not sign it)"),
            ("reassign_approvalrequest", "Can give a claimed request to somebody else"),
        ]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="settled_has_a_time",
                condition=Q(status="open", settled_at=None)
                | (~Q(status="open") & Q(settled_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="amount_not_negative", condition=Q(amount=None) | Q(amount__gte=0)
            ),
            models.CheckConstraint(name="tier_number_from_one", condition=Q(tier_number__gte=1)),
            models.CheckConstraint(
                name="claim_has_a_lease",
                condition=Q(claimed_by=None, claimed_until=None)
                | Q(claimed_by__isnull=False, claimed_until__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                name="request_open", fields=["-created_at", "-id"], condition=Q(status="open")
            ),
            models.Index(
                name="request_waiting",
                fields=["tier_group", "-created_at", "-id"],
                condition=Q(status="open"),
            ),
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["status", "-created_at", "-id"]),
            models.Index(fields=["kind", "-created_at", "-id"]),
            models.Index(fields=["requested_by", "-created_at", "-id"]),
            models.Index(fields=["subject_type", "subject_id"]),
            models.Index(
                name="request_claimed",
                fields=["claimed_by", "-created_at", "-id"],
                condition=Q(status="open"),
            ),
            models.Index(
                name="request_escalated_group",
                fields=["escalated_group"],
                condition=Q(status="open") & ~Q(escalated_group=""),
            ),
            models.Index(
                name="request_escalated_to",
                fields=["escalated_to"],
                condition=Q(status="open", escalated_to__isnull=False),
            ),
            # For what was decided today.
            models.Index(name="request_ended", fields=["-settled_at"], condition=~Q(status="open")),
            models.Index(name="request_due", fields=["due_at", "id"], condition=Q(status="open")),
            models.Index(name="request_amount", fields=["status", "amount", "id"]),
            # Two indexes: open requests are few and settled ones are years of work. A search of the
            # inbox must not read a frequent word's settled rows.
            GinIndex(
                OpClass(Upper("search_text"), name="gin_trgm_ops"),
                name="request_search",
                condition=Q(status="open"),
            ),
            GinIndex(
                OpClass(Upper("search_text"), name="gin_trgm_ops"),
                name="request_search_settled",
                condition=~Q(status="open"),
            ),
            models.Index(
                name="request_by_workflow", fields=["workflow_id"], condition=Q(status="open")
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def settled_words(self) -> str:
        """Return why it was settled: the coded reason's label and the text written with it."""
        verdict = Verdict.REJECT if self.status == RequestStatus.REJECTED else Verdict.APPROVE
        label = kinds.reason_label(self.kind, verdict, self.settled_reason_code)
        return ": ".join(filter(None, (label, self.settled_reason)))


class PayloadVersion(models.Model):
    """An immutable version of the payload. `hash` covers the canonical payload and the rule
    version."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="payloads")
    number = models.PositiveIntegerField(default=1)
    payload = models.JSONField()
    hash = models.CharField(max_length=64)
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "number"], name="payload_number_once")
        ]
        triggers = [
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return gettext("version {number}").format(number=self.number)
