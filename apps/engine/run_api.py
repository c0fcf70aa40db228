"""API routes of a kind of run: list, read, items, and its actions."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Cursor, Limit, NumberCursor, ReasonIn, page_of, why
from apps.common.pagination import numbered_page, page
from apps.engine import process, runs
from apps.engine.runs.items import items_of
from apps.engine.runs.spec import R, RunSpec
from apps.web.denied import row_of
from apps.web.filters import FilterForm, Narrow, filtered


class ProgressOut(Schema):
    """Numbers of items by status: total = waiting + running + done + failed + cancelled."""

    total: int
    waiting: int = Field(validation_alias="progress.waiting")
    running: int = Field(validation_alias="progress.running")
    done: int = Field(validation_alias="progress.done")
    failed: int = Field(validation_alias="progress.failed")
    cancelled: int = Field(validation_alias="progress.cancelled")


def run_routes(
    router: Router,
    spec: RunSpec[R],
    *,
    name: str,
    rows: Callable[[User], Any],
    filters: type[FilterForm],
    answers: tuple[type[Schema], type[Schema], type[Schema]],
    statuses: type[StrEnum],
    scopes: tuple[str, str],
) -> None:
    """Add the routes to the noun's router; `name` is the prefix of the operations' names.

    `rows(user)` are those that a user may see. `answers` are the schemas of a run in a list, of a
    single run, both with the fields of ProgressOut, and of an item, whose statuses are `statuses`.
    `scopes`: to read, and to act.
    """
    one, detail, item = answers
    to_read, to_act = scopes
    item_status: Any = statuses

    def count(*found: Any) -> None:
        counts = runs.progress_by_run(spec, found)
        for run in found:
            run.progress = counts[run.pk]

    def get(user: User, run_id: UUID) -> Any:
        run = row_of(rows(user), process.unknown(spec.process), pk=run_id)
        count(run)
        return run

    def act(request: HttpRequest, verb: Callable[..., R], run_id: UUID, body: Any) -> Any:
        user = require(request, scope=to_act)
        verb(spec, run_id, by=user, via="api", reason=why(body), as_of=timezone.now())
        return get(user, run_id)

    def add(method: str, path: str, operation: Callable[..., Any], answer: type[Schema]) -> None:
        operation.__name__ = f"{name}_{operation.__name__}"
        router.add_api_operation(path, [method], operation, response=answer)

    @filtered(filters)
    def list(
        request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
    ) -> dict[str, Any]:
        """Runs that the caller may see, newest first."""
        user = require(request, scope=to_read)
        found = page(narrow(rows(user), user=user), cursor=cursor, limit=limit)
        count(*found["items"])
        return found

    def read(request: HttpRequest, run_id: UUID) -> Any:
        """One run, with its progress."""
        return get(require(request, scope=to_read), run_id)

    def items(
        request: HttpRequest,
        run_id: UUID,
        status: item_status | None = None,
        cursor: NumberCursor = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Items in the order in which they were given. Refusals: 422 `bad_cursor`."""
        run = get(require(request, scope=to_read), run_id)
        found = items_of(spec, run.pk).filter(**{"status": status} if status else {})
        return numbered_page(found.select_related(spec.run), cursor=cursor, limit=limit)

    def pause(request: HttpRequest, run_id: UUID, body: ReasonIn | None = None) -> Any:
        """Pause: start no further item; running ones finish.

        Refusals: 403 `permission_denied`; 404; 409 `not_running`, `already_settled`.
        """
        return act(request, runs.pause, run_id, body)

    def resume(request: HttpRequest, run_id: UUID, body: ReasonIn | None = None) -> Any:
        """Resume. Refusals: 403 `permission_denied`; 404; 409 `not_paused`, `already_settled`."""
        return act(request, runs.resume, run_id, body)

    def cancel(request: HttpRequest, run_id: UUID, body: ReasonIn | None = None) -> Any:
        """Cancel: waiting items never start; running ones finish.

        Refusals: 403 `permission_denied`; 404; 409 `already_settled`.
        """
        return act(request, runs.cancel, run_id, body)

    add("GET", "", list, page_of(one))
    add("GET", "/{run_id}", read, detail)
    add("GET", "/{run_id}/items", items, page_of(item))
    for verb in (pause, resume, cancel):
        add("POST", f"/{{run_id}}/{verb.__name__}", verb, detail)
