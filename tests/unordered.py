"""A query without ORDER BY gives its rows in any order: the tests hold the project to that.

PostgreSQL sorts nothing by itself: the order of such rows is that of the plan, which depends on the
statistics of the moment. A test that leans on it fails once in some hundred runs; with the rows
shuffled it fails the day that it is written, and so does code of the product that forgot to sort.
"""

import random
from typing import Any

from django.db.models import QuerySet


def any_order(fetch: Any) -> Any:
    """`QuerySet._fetch_all` that shuffles the rows that the query does not sort, at random."""

    def fetch_all(self: QuerySet[Any]) -> None:
        first = self._result_cache is None
        fetch(self)
        rows: Any = self._result_cache
        if first and len(rows) > 1 and not self.ordered:
            random.shuffle(rows)

    return fetch_all
