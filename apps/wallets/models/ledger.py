"""The double-entry ledger: accounts, and journals of lines that sum to zero.

A debit is positive, a credit negative. Nothing is ever changed or removed: a mistake is corrected
by another journal.
"""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.amounts import AmountField
from apps.common.identifiers import new_id
from apps.engine.models_abstract import as_signed
from apps.wallets.contracts import AccountKind


def _append_only() -> pgtrigger.Protect:
    return pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)


def _balanced(journal: str) -> pgtrigger.Trigger:
    """Return a trigger that refuses the commit of a journal that does not balance.

    It counts the lines as well, because a pair of lines that sums to zero could otherwise join an
    old journal.
    """
    return pgtrigger.Trigger(
        name="balanced",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func=f"""
            IF (
                SELECT count(*) <> max(journal.size) OR sum(line.amount) <> 0
                       OR bool_or(account.currency <> journal.currency)
                  FROM wallets_journal journal
                  JOIN wallets_journalline line ON line.journal_id = journal.id
                  JOIN wallets_account account ON account.id = line.account_id
                 WHERE journal.id = {journal}
            ) IS DISTINCT FROM FALSE THEN
                RAISE EXCEPTION 'ledger: the journal % does not balance', {journal}
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        """,  # noqa: S608 - a column, from below
    )


class Account(models.Model):
    """What money is moved between. Only wallets keep a balance; of others it is the sum of the
    lines."""

    code = models.CharField(max_length=100, unique=True, help_text="wallet:ada, prepaid:NGN.")
    kind = models.CharField(max_length=12, choices=[(kind, kind) for kind in AccountKind])
    currency = models.CharField(max_length=3)

    class Meta:
        ordering = ["code"]
        triggers = [
            as_signed("code", "kind", name="account_stays"),
            pgtrigger.Trigger(
                name="currency_stays",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("currency"),
                condition=pgtrigger.Q(old__currency__df=pgtrigger.F("new__currency")),
                func="""
                    IF EXISTS (SELECT FROM wallets_journalline WHERE account_id = OLD.id) THEN
                        RAISE EXCEPTION 'ledger: the account % has lines', OLD.code
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Journal(models.Model):
    """A movement of money. `key` is unique, so a repeated step writes no second one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.CharField(max_length=160, unique=True)
    # Without choices: the domains that move money name their own kinds.
    kind = models.CharField(max_length=30)
    currency = models.CharField(max_length=3)
    size = models.PositiveSmallIntegerField(help_text="How many lines it has.")
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=80)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="journals_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="journals_of_a_kind"),
        ]
        triggers = [_append_only(), _balanced("NEW.id")]

    def __str__(self) -> str:
        return self.key


class JournalLine(models.Model):
    """What a journal adds to an account."""

    # The unique constraint and the index below begin with these columns.
    journal = models.ForeignKey(
        Journal, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    amount = AmountField(help_text="A debit is positive, a credit negative.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["journal", "account"], name="line_once"),
            models.CheckConstraint(name="line_not_zero", condition=~Q(amount=0)),
        ]
        indexes = [
            # Also adds up an account by an index-only scan.
            models.Index(name="lines_of_an_account", fields=["account", "-id"], include=["amount"])
        ]
        triggers = [_append_only(), _balanced("NEW.journal_id")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.amount}"
