"""What `database` nodes have written."""

from django.db import models
from django.db.models.functions import Now


class Write(models.Model):
    """A write that was committed, in the same transaction as this row: under its key nothing is
    written again. The only table of ours that the role of automations may write."""

    key = models.TextField(primary_key=True, help_text="Of an execution and its node.")
    count = models.BigIntegerField(default=0, help_text="Rows that were written.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "automations_write"
        ordering = ["-at", "key"]
        indexes = [models.Index(fields=["at"], name="automation_writes_by_age")]

    def __str__(self) -> str:
        return self.key
