"""Schemas of the API of batches."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict, Field

from apps.common.api import AskedOut, Code, Currency, ErrorOut, Failing, InCurrency, Key, Title
from apps.common.money import exact, exact_or_none
from apps.engine.run_api import ProgressOut
from apps.interventions.contracts import BatchItemStatus, BatchStatus
from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.services.batches import BatchTrial
from apps.interventions.services.batches_signing import SIGNED_BATCH
from apps.web.links import temporal_url


class BatchHead(Schema):
    model_config = ConfigDict(extra="forbid")

    policy: Code
    budget: Code
    currency: Currency
    title: Title = ""
    idempotency_key: Key = ""
    dry_run: bool = False


class BatchIn(BatchHead):
    """Items are `{amount, target, justification, region?}`, 1 to 20,000. Each is checked
    separately: an invalid item fails, the others proceed."""

    items: list[Any]


class BatchForm(BatchHead):
    """The same fields with a CSV file instead of the items: a header row with the columns amount,
    target, justification and optionally region; separated by comma, semicolon or tab; UTF-8.
    Amounts may be written 1234.56, 1234,56, 1,234.56 or 1.234,56; an ambiguous amount (1,234) fails
    its item with `amount_ambiguous`."""

    file: Annotated[bytes, Field(json_schema_extra={"format": "binary"})]


class BatchRef(Schema):
    id: UUID
    workflow_id: str
    status: BatchStatus


class BatchError(ErrorOut):
    """`line`: the line of the file at which the item begins; null without a file."""

    number: int
    line: Annotated[int | None, BeforeValidator(lambda line: line or None)]


class BatchTry(InCurrency):
    """The result of a dry run. `errors` are the first 100 items that would fail; `warnings` the
    first 100 that look like another payment (`same_in_batch`, `paid_recently`: within 30 days), of
    `warned` in total; `signatures` says who would have to sign, empty: nobody; `covered`: that much
    is available in the budget now."""

    dry_run: bool = True
    total: int
    sound: int
    failed: int
    errors: list[BatchError]
    warnings: list[BatchError] = Field(validation_alias="warned.first")
    warned: int = Field(validation_alias="warned.total")
    signatures: str
    available: str
    covered: bool

    @staticmethod
    def resolve_failed(trial: BatchTrial) -> int:
        """Return the number of invalid items."""
        return trial.total - trial.sound

    @staticmethod
    def resolve_available(trial: BatchTrial) -> str:
        """Return the amount with the currency's decimal places."""
        return exact(trial.available, trial.currency)


class BatchOut(AskedOut, ProgressOut, BatchRef):
    """total = waiting + running + done + failed + cancelled. `amount` is the sum of the valid
    items."""

    title: str
    policy: str = Field(validation_alias="policy.code")
    policy_version: int = Field(validation_alias="policy.version")
    budget: str = Field(validation_alias="budget.code")
    started_at: datetime | None


class BatchDetail(BatchOut):
    """`approval` is the id of the request for a signature, null when none was needed."""

    items_digest: str
    approval: UUID | None
    temporal_url: str | None

    @staticmethod
    def resolve_approval(batch: InterventionBatch) -> UUID | None:
        """Return the id; takes one more query."""
        approval = SIGNED_BATCH.request_of(batch)
        return approval.pk if approval else None

    @staticmethod
    def resolve_temporal_url(batch: InterventionBatch) -> str | None:
        """Return null if there is no Temporal UI."""
        return temporal_url(batch.workflow_id) or None


class BatchItemOut(Failing):
    """Of an invalid item, `amount` is null and `raw` is the input as it was received."""

    number: int
    status: BatchItemStatus
    amount: str | None
    target: str
    justification: str
    region: str
    intervention: UUID | None = Field(validation_alias="intervention_id")
    raw: Any
    settled_at: datetime | None

    @staticmethod
    def resolve_amount(item: BatchItem) -> str | None:
        """Return the amount with the decimal places of the batch's currency."""
        return exact_or_none(item.amount, item.batch.currency)
