"""Admin of rows that a user asked for, and of rows that a workflow carries."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin, workflow_link
from apps.web.tones import badge


class Carried(Protocol):
    """The attributes of `engine.process.Process` used here."""

    @property
    def url_name(self) -> str: ...
    @property
    def id_field(self) -> str: ...


class AskedAdmin(ReadOnlyAdmin):
    """Rows that a user asked for: content, status, whether a person must act, and a link to the
    staff page (`page_name`). Only actions (`admin_verbs`) change a row.

    `columns` are the domain's own columns of the list, after `name` and status.
    """

    name = "__str__"
    columns: Sequence[Any] = ()
    list_filter: ClassVar[Any] = ("status", ("created_at", admin.DateFieldListFilter))
    ordering = ("-created_at", "-id")
    search_exact: Sequence[str] = ("id",)
    search_help_text = _("An exact id.")
    exclude: ClassVar[Any] = ("request_digest", "idempotency_key", "status")
    readonly_fields: ClassVar[Any] = ("state", "staff_page")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns in the same order for all models: name, status, own columns,
        requester, time, link."""
        amount = ["amount"] if hasattr(self.model, "amount") else []
        before = [self.name, "state", *amount, "attention", *self.columns]
        after = ["requested_by", "created_at", "staff_page"]
        return self.in_currency([*before, *after])

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Put the status first."""
        names = super().get_fields(request, obj)
        return ["state", *(name for name in names if name != "state")]

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: Any) -> SafeString:
        """Show the status as a badge."""
        return badge(row.status)

    @admin.display(description=_("attention"))
    def attention(self, row: Any) -> SafeString | None:
        """Show the row's error code, marked while a person can do something about it."""
        if not (code := getattr(row, "error_code", "")):
            return None
        ended = row.settled_at
        return format_html(
            '<span class="badge{}" title="{}">{}</span>',
            "" if ended else " tone-warn",
            getattr(row, "error_detail", ""),
            code,
        )


class ProcessAdmin(AskedAdmin):
    """Rows that a workflow carries, with links to it; `process` describes them."""

    process: ClassVar[Carried]
    search_exact: Sequence[str] = ("id", "workflow_id")
    search_help_text = _("An exact id, of the row or of its workflow.")
    readonly_fields: ClassVar[Any] = ("state", "workflow", "staff_page")

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.exclude, self.process.id_field)

    @property
    def page_name(self) -> str:  # type: ignore[override]
        return self.process.url_name

    @admin.display(description=_("workflow"))
    def workflow(self, row: Any) -> SafeString | str:
        """Show the id of the row's workflow, linked."""
        return workflow_link(getattr(row, self.process.id_field))
