"""Policies in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from apps.adminbase import acting
from apps.adminverbs import ServiceFormAdmin
from apps.interventions import services
from apps.interventions.models import Policy


class PolicyForm(forms.Form):
    """A policy's new version."""

    code = forms.SlugField(max_length=80)
    name = forms.CharField(max_length=160)
    currency = forms.CharField(max_length=3, help_text="Three letters; it never changes.")
    reversible = forms.BooleanField(
        required=False, help_text="An execution can be undone; if not, the money is gone."
    )
    max_amount = forms.DecimalField(
        required=False, max_digits=18, decimal_places=2, help_text="Empty: no limit."
    )


@admin.register(Policy)
class PolicyAdmin(ServiceFormAdmin):
    """Policies, version by version. Saving makes a new version; interventions keep theirs."""

    list_display = (
        "code",
        "version",
        "name",
        "currency",
        "reversible",
        "max_amount",
        "active",
        "created_at",
    )
    list_filter = ("active", "reversible")
    ordering = ("code", "-version")
    search_exact = ("code", "name")
    search_help_text = "An exact code or name."
    service_form = PolicyForm
    new_label = "New policy"

    def initial_of(self, row: Policy) -> dict[str, Any]:
        return {name: getattr(row, name) for name in PolicyForm.base_fields}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        return services.policy_put(**data, by=acting(request), via="admin")
