"""Bulk decisions: one verdict on many requests, each signed by itself with its own outcome."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import ngettext

from apps.approvals import kinds
from apps.approvals.contracts import BulkStatus, ItemStatus, Verdict
from apps.approvals.models.requests import ApprovalRequest
from apps.engine.models_abstract import AskedQuerySet, Run, RunItem, status_field

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Auditors read other people's bulk decisions. Reviewers view requests, but only their own bulk
#: decisions.
VIEW_OTHERS_PERMISSION = "audit.view_auditentry"


class BulkDecisionQuerySet(AskedQuerySet["BulkDecision"]):
    """Queries of bulk decisions."""

    view_permission = VIEW_OTHERS_PERMISSION
    open_statuses = [BulkStatus.PENDING, BulkStatus.RUNNING]

    def seen_by(self, user: "User") -> Q:
        """Return the condition of the user's own bulk decisions; of all of them for auditors."""
        return super().seen_by(user) if user.is_active else Q(pk__in=[])


class BulkDecision(Run):
    """One user's verdict on many requests. A workflow works through the items."""

    idempotency_key = models.CharField(max_length=150, help_text="Made once, however often sent")
    verdict = models.CharField(max_length=10, choices=[(v, v) for v in Verdict])
    reason = models.TextField(blank=True)
    reason_codes = models.JSONField(
        default=dict, blank=True, help_text="The coded reason of each kind that has some"
    )
    via = models.CharField(max_length=20, help_text="The door it was asked through")
    status = status_field(BulkStatus.PENDING, longest=10)
    done = models.PositiveIntegerField(default=0, help_text="Items that were signed")
    failed = models.PositiveIntegerField(default=0, help_text="Items that were refused")

    objects = BulkDecisionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="bulk_counts_fit",
                condition=Q(total__gte=models.F("done") + models.F("failed")),
            ),
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"], name="bulk_key_once"
            ),
        ]
        indexes = [models.Index(fields=["requested_by", "-created_at", "-id"])]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """Say what is decided."""
        text = (
            ngettext("Approve {total} request", "Approve {total} requests", self.total)
            if self.verdict == Verdict.APPROVE
            else ngettext("Reject {total} request", "Reject {total} requests", self.total)
        )
        return text.format(total=self.total)

    @property
    def runs(self) -> bool:
        """Return whether a workflow should be working on the items."""
        return self.status in {BulkStatus.PENDING, BulkStatus.RUNNING}

    @property
    def reason_labels(self) -> list[tuple[str, str]]:
        """Return the coded reasons' labels, each with the title of its kind."""
        return [
            (kinds.title_of(name), kinds.reason_label(name, self.verdict, code))
            for name, code in sorted(self.reason_codes.items())
        ]

    @property
    def left(self) -> int:
        """Return the number of items without an outcome: not signed yet, or stopped."""
        return self.total - self.done - self.failed


class BulkItem(RunItem):
    """One request of a bulk decision, bound to the payload and the tier that the user saw."""

    bulk = models.ForeignKey(BulkDecision, on_delete=models.CASCADE, related_name="items")
    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="+")
    payload_hash = models.CharField(max_length=64)
    tier = models.PositiveIntegerField(null=True, help_text="That the signature is meant for")
    asked_authority = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Under whose it was asked for; empty: whichever makes it possible",
    )
    authority = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Under whose it was signed; until then whose it would be",
    )
    status = status_field(ItemStatus.WAITING, longest=10)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["bulk", "request"], name="bulk_request_once"),
            models.UniqueConstraint(fields=["bulk", "number"], name="bulk_number_once"),
        ]
        indexes = [
            models.Index(
                name="bulk_item_waiting", fields=["bulk", "number"], condition=Q(status="waiting")
            )
        ]

    def __str__(self) -> str:
        return f"{self.number}. {self.status}"
