"""The admin of a row that a workflow carries."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.web.admin import ReadOnlyAdmin, link, workflow_link
from apps.web.links import temporal_url
from apps.web.tones import badge


class Carried(Protocol):
    """What is asked here of `engine.process.Process`."""

    @property
    def url_name(self) -> str: ...
    @property
    def id_field(self) -> str: ...


class ProcessAdmin(ReadOnlyAdmin):
    """Rows that a workflow owns: what they are, where they stand, whether somebody has to look, and
    the ways to the staff page and to the workflow. Verbs (`admin_verbs`) are all that changes one.

    `process` says which; `columns` are the domain's own in the list, after `name` and its state.
    """

    process: ClassVar[Carried]
    name = "__str__"
    columns: Sequence[Any] = ()
    list_filter: ClassVar[Any] = ("status", ("created_at", admin.DateFieldListFilter))
    ordering = ("-created_at", "-id")
    search_exact: Sequence[str] = ("id", "workflow_id")
    search_help_text = "An exact id, of the row or of its workflow."
    exclude = ("request_digest", "idempotency_key")
    readonly_fields: ClassVar[Any] = ("state", "workflow", "staff_page")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The same order for every process: what, where it stands, whose, when, where to go."""
        amount = ["amount"] if hasattr(self.model, "amount") else []
        before = [self.name, "state", *amount, "attention", *self.columns]
        after = ["requested_by", "created_at", "settled_at", "staff_page", "temporal"]
        return self.in_currency([*before, *after])

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Where it stands comes first."""
        names = super().get_fields(request, obj)
        return ["state", *(name for name in names if name != "state")]

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.exclude, "status", self.process.id_field)

    @property
    def page_name(self) -> str:  # type: ignore[override]
        return self.process.url_name

    @admin.display(description="status", ordering="status")
    def state(self, row: Any) -> SafeString:
        """Its status as a badge."""
        return badge(row.status)

    @admin.display(description="attention")
    def attention(self, row: Any) -> SafeString | None:
        """The code that it stands at or has ended with; marked while somebody can do something."""
        if not (code := getattr(row, "error_code", "")):
            return None
        ended = row.settled_at
        return format_html(
            '<span class="badge{}" title="{}">{}</span>',
            "" if ended else " tone-warn",
            getattr(row, "error_detail", ""),
            code,
        )

    @admin.display(description="workflow")
    def temporal(self, row: Any) -> SafeString | str:
        """The way to its workflow."""
        return link(temporal_url(getattr(row, self.process.id_field)), "Temporal UI") or "–"

    @admin.display(description="workflow")
    def workflow(self, row: Any) -> SafeString | str:
        """Its workflow's id, and the way to it."""
        return workflow_link(getattr(row, self.process.id_field))
