"""Invoices: numbers without gaps, frozen data, and the PDF that was made of them once."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.amounts import AmountField
from apps.engine.models_abstract import as_signed
from apps.wallets.models.payments import ProviderTransaction
from apps.wallets.models.riders import Wallet


class InvoiceCounter(models.Model):
    """The last number of a year. Its row is locked from the number to the commit, so that a number
    is only ever missing while its transaction runs."""

    series = models.CharField(max_length=10)
    year = models.PositiveSmallIntegerField()
    last = models.PositiveIntegerField()

    class Meta:
        ordering = ["series", "year"]
        constraints = [models.UniqueConstraint(fields=["series", "year"], name="counter_once")]

    def __str__(self) -> str:
        return f"{self.series} {self.year}: {self.last}"


class Invoice(models.Model):
    """An invoice about a payment that was credited. `body` is all that is printed."""

    series = models.CharField(max_length=10)
    year = models.PositiveSmallIntegerField()
    sequence = models.PositiveIntegerField()
    number = models.CharField(max_length=40, unique=True)
    payment = models.OneToOneField(
        ProviderTransaction, on_delete=models.PROTECT, related_name="invoice"
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="invoices")
    amount = AmountField()
    currency = models.CharField(max_length=3)
    body = models.JSONField()
    receipt_at = models.DateTimeField(
        null=True, blank=True, help_text="When its e-mail was queued."
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["series", "year", "sequence"], name="invoice_number_once"
            )
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="invoices_newest"),
            models.Index(
                fields=["created_at", "id"],
                condition=Q(receipt_at=None),
                name="invoices_without_receipt",
            ),
        ]
        triggers = [
            as_signed(
                *("series", "year", "sequence", "number", "payment_id", "wallet_id"),
                *("amount", "currency", "body"),
                name="invoice_stays",
            ),
            pgtrigger.Protect(name="invoice_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.number


class InvoiceContent(models.Model):
    """The PDF of an invoice, made once."""

    invoice = models.OneToOneField(
        Invoice, primary_key=True, on_delete=models.PROTECT, related_name="content"
    )
    body = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        triggers = [
            pgtrigger.Protect(name="content_stays", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return self.sha256[:12]
