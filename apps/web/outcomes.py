"""Outcomes of rows (`apps.common.outcomes`): the page, and the API's response."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET
from ninja import Schema
from pydantic import Field, create_model

from apps.common.dates import day_words
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.outcomes import Figures, Found, Outcomes
from apps.common.windows import Window, site_day, window_of
from apps.web import charts
from apps.web.fields import DayField
from apps.web.filters import FilterForm
from apps.web.fragments import person
from apps.web.pieces import Head, Link
from apps.web.tones import words_of

if TYPE_CHECKING:
    from apps.accounts.models import User

HEIGHT = 96


# --- the page -------------------------------------------------------------------------------------
class OutcomesFilter(FilterForm):
    """Empty: the last 30 days, by the first of `by`. The names are those of the API."""

    def __init__(self, data: QueryDict | dict[str, str], *, by: type[StrEnum]) -> None:
        super().__init__(data)
        choices = [(one.value, words_of(one)) for one in by]
        self.fields = {
            "from": DayField(required=False, label=gettext("From")),
            "to": DayField(required=False, label=gettext("To")),
            "by": forms.ChoiceField(required=False, label=gettext("Group by"), choices=choices),
        }


@dataclass(frozen=True, kw_only=True)
class OutcomesPage:
    """The figures of a window of days, with a chart.

    `name`: of its URL. `sees_all`: the permission to see all rows; without it users see only their
    own. `empty`: where to look for rows that have not ended.
    """

    name: str
    outcomes: Outcomes
    crumbs: tuple[Link, ...]
    sees_all: str
    empty: str
    title: str = _("Outcomes")

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the figures. Invalid filters are marked, and the last 30 days are shown."""
        user, kinds = person(request), self.outcomes.by
        form = OutcomesFilter(request.GET, by=kinds)
        refused, values = "", {}
        if form.is_valid():
            values = form.cleaned_data
        else:
            refused = gettext(
                "Correct the marked fields; until then the page shows the last 30 days."
            )
        try:
            window = _window(values)
        except Invalid as error:
            refused = gettext("{detail} Until then the page shows the last 30 days.").format(
                detail=error.detail
            )
            window = _window({})
        by = kinds(values.get("by") or next(iter(kinds)))
        if not refused:
            # The window in use, also if none was asked for.
            meant = {"from": window.first.isoformat(), "to": window.last.isoformat(), "by": by}
            form = OutcomesFilter(meant, by=kinds)
        lead = (
            gettext("Everything that ended from {first} to {last}.")
            if user.has_perm(self.sees_all)
            else gettext("Everything that ended from {first} to {last}, of what you asked for.")
        ).format(first=day_words(window.first), last=day_words(window.last))
        chart = self._chart(user, window)
        context = {
            "page": self,
            "head": Head(self.title, lead, crumbs=self.crumbs, links=self._months(by)),
            "form": form,
            "refused": refused,
            "done": self.outcomes.ends[self.outcomes.done],
            "found": self.outcomes.of(user=user, window=window, by=by),
            "chart": chart,
            "chart_words": [
                gettext("{total:,} ended on these days; {marked:,} failed.").format(
                    total=chart.total, marked=chart.marked
                )
            ],
            "unit": gettext("Month") if window.monthly else gettext("Day"),
            "unit_words": gettext("by month") if window.monthly else gettext("by day"),
            "grouped_words": gettext("By {group}").format(group=words_of(by)),
        }
        return render(request, "web/outcomes.html", context, status=422 if refused else 200)

    def _chart(self, user: "User", window: Window) -> charts.BarChart:
        counts = self.outcomes.bars(user=user, window=window)
        values = [
            charts.Value(
                one.count,
                one.marked,
                gettext("{day}: {count} ended, {marked} failed").format(
                    day=day_words(one.begins), count=one.count, marked=one.marked
                ),
                at=one.begins,
            )
            for one in counts
        ]
        return charts.bars(values, height=HEIGHT, axis=window)

    def _months(self, by: StrEnum) -> list[Link]:
        today = site_day(timezone.now())
        this = Window(today.replace(day=1), today)
        before = this.first - timedelta(days=1)
        months = {
            gettext("Last month"): Window(before.replace(day=1), before),
            gettext("This month"): this,
        }
        return [
            Link(words, f"{reverse(self.name)}?from={month.first}&to={month.last}&by={by}")
            for words, month in months.items()
        ]

    def urls(self, route: str) -> list[URLPattern]:
        """Return its URL."""
        return [path(route, login_required(require_GET(self.page)), name=self.name)]


def _window(values: dict[str, Any]) -> Window:
    return window_of(first=values.get("from"), last=values.get("to"), as_of=timezone.now())


# --- the API --------------------------------------------------------------------------------------
class FiguresOut(Schema):
    """Counts by status; `paid` per currency, never added together."""

    count: int
    paid: dict[str, str] = Field(description="Currency → decimal in major units.")
    success_rate: float | None
    median_seconds: float | None = Field(description="From the request to its end.")
    p95_seconds: float | None

    @staticmethod
    def resolve_paid(figures: Figures) -> dict[str, str]:
        """Format each amount with the decimal places of its currency."""
        return {currency: exact(amount, currency) for currency, amount in figures.paid.items()}


class FailureOut(Schema):
    code: str
    count: int


class OutcomesOut(Schema):
    """`more`: further groups are counted only in `total`. `failures`: the most frequent codes."""

    from_: date = Field(validation_alias="first", serialization_alias="from")
    to: date = Field(validation_alias="last")
    more: bool
    failures: list[FailureOut]

    @staticmethod
    def resolve_failures(found: Found) -> list[dict[str, Any]]:
        """Return each as an object."""
        return [{"code": code, "count": count} for code, count in found.failures]


def outcomes_shape(outcomes: Outcomes, noun: str) -> type[OutcomesOut]:
    """Return the response schema of an operation that returns `outcomes.of(…)`, by alias. `noun` is
    the prefix of the schemas' names."""
    told = "`key`: the day, the month, or what else they are grouped by; empty: none was named."
    # The statuses' names: the API's description is in English, whoever asks first.
    done, failed = str(outcomes.done), str(outcomes.failed)
    rate = Field(description=f"{done.capitalize()} of {done} and {failed}, 0 to 1.")
    counts: dict[str, Any] = {
        status: (int, Field(validation_alias=f"ends.{status}")) for status in outcomes.ends
    }
    figures = create_model(
        f"{noun}FiguresOut",
        __base__=FiguresOut,
        __doc__=FiguresOut.__doc__,
        success_rate=(float | None, rate),
        **counts,
    )
    group: Any = create_model(f"{noun}GroupOut", __base__=figures, __doc__=told, key=(str, ...))
    return create_model(
        f"{noun}OutcomesOut",
        __base__=OutcomesOut,
        __doc__=OutcomesOut.__doc__,
        by=(outcomes.by, ...),
        total=(figures, ...),
        groups=(list[group], ...),
    )
