"""The site's search: one text, and everything that the user may see and it can mean.

Each app registers its sources in `AppConfig.ready()`. A source answers from indexes and never
counts. All are asked at once; if one takes long, they are asked one after the other, and what
takes too long is left out and named, so that a search always answers.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext
from psycopg.errors import QueryCanceled

from apps.common.compiled import Asked, Compiled, Shape, Slot, answers, shape_of
from apps.common.registry import Registry
from apps.web.navigation import Permission
from apps.web.search_query import Query

T = TypeVar("T")

#: A source shows so many; there may be more.
SHOWN = 8
#: A database query of a source ends after so many milliseconds.
MOST_MS = 1000
#: One of those that are sent at once ends after so many, and so many are sent at once.
TOGETHER_MS, AT_ONCE = 250, 12
#: After so many seconds no further source is asked.
MOST_SECONDS = 3.0

#: What a trigram index needs to find a part of a word.
_PART = re.compile(r"[^\W_]{3}")
_WORD = re.compile(r"[^\W_]")
#: The pattern of codes, of errors and others.
CODE = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A row that was found. `state` is shown with its tone, `at` as an age; `notes` are short
    texts. With a `workflow_id` the page also says where the row is in the engine."""

    title: str
    href: str
    key: str = ""
    state: str = ""
    notes: tuple[str, ...] = ()
    at: datetime | None = None
    amount: Decimal | None = None
    currency: str = ""
    workflow_id: str = ""


#: Yields the queries that it wants answered, is sent what each finds, and returns a T.
Asking = Generator["Asked[Any]", "list[Any]", T]
#: Returns at most that many of what the user may see.
Finder = Callable[[Any, Query, int], Asking["list[Found]"]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of things that can be found.

    `title`: of several of them. `hint` says by what they are found. `find` returns what the user
    may see, best first, from indexes; `among` makes it from rows. Users without `permission` do not
    know of the source, nor do API keys without `scope`; an empty `scope` needs all scopes.
    `more(query)`: the URL of the list of all that match, or an empty text.
    """

    key: str
    title: str
    hint: str
    find: Finder
    order: int
    permission: Permission = ""
    scope: str = ""
    more: Callable[[Query], str] = lambda query: ""

    def allows(self, user: Any) -> bool:
        """Return whether the user may search here."""
        if callable(self.permission):
            return self.permission(user)
        return not self.permission or user.has_perm(self.permission)


@dataclass(frozen=True)
class Group:
    """What a source found: up to SHOWN; `more`: there are others, which `more_url` may list."""

    source: Source
    found: list[Found]
    more: bool = False
    more_url: str = ""


@dataclass(frozen=True)
class Answer:
    """What was found, by source. `late`: sources that took too long and are left out."""

    groups: list[Group] = field(default_factory=list)
    late: list[Source] = field(default_factory=list)

    @property
    def late_titles(self) -> list[str]:
        """Return the titles of those that are left out."""
        return [source.title for source in self.late]

    @property
    def total(self) -> int:
        """Return how many results are shown."""
        return sum(len(group.found) for group in self.groups)

    @property
    def more(self) -> bool:
        """Return whether there are more than are shown."""
        return any(group.more for group in self.groups)


_sources = Registry[Source]("source of the search")


def register(*sources: Source) -> None:
    """Register sources. Raises ImproperlyConfigured when another source has a key."""
    for source in sources:
        _sources.add(source.key, source)


def sources(user: Any) -> list[Source]:
    """Return the sources that the user may search, sorted by order."""
    allowed = [source for source in _sources.values() if source.allows(user)]
    return sorted(allowed, key=lambda source: source.order)


def search(user: Any, query: Query, among: Iterable[Source]) -> Answer:
    """Search these sources. Nothing is found for a text with `trouble`.

    Takes about MOST_SECONDS at most: a query of the database ends after MOST_MS.
    """
    asked = [] if query.trouble else list(among)
    ends = time.monotonic() + MOST_SECONDS
    try:
        with _bounded(min(TOGETHER_MS, MOST_MS)):
            found = _ask_together(asked, user, query, ends)
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        found = _ask_in_turn(asked, user, query, ends)
    answer = Answer(late=[source for source in asked if source.key not in found])
    for source in asked:
        if rows := found.get(source.key):
            more = len(rows) > SHOWN
            url = source.more(query) if more else ""
            answer.groups.append(Group(source, rows[:SHOWN], more, url))
    return answer


def _ask_together(
    among: Iterable[Source], user: Any, query: Query, ends: float
) -> dict[str, list[Found]]:
    """Return what each source finds that ends in time; of each the next query is sent with the
    next ones of others. Raises OperationalError if one takes longer than the transaction lets it.
    """
    found: dict[str, list[Found]] = {}
    answered: list[tuple[Source, Asking[list[Found]], Any]]
    answered = [(source, source.find(user, query, SHOWN + 1), None) for source in among]
    while answered:
        asking = []
        for source, finder, rows in answered:
            try:
                asking.append((source, finder, finder.send(rows)))
            except StopIteration as end:
                found[source.key] = end.value
        answered = []
        for start in range(0, len(asking), AT_ONCE):
            if time.monotonic() > ends:
                return found
            some = asking[start : start + AT_ONCE]
            sent = answers([one for _, _, one in some])
            answered += [(*asker[:2], rows) for asker, rows in zip(some, sent, strict=True)]
    return found


def _ask_in_turn(
    among: Iterable[Source], user: Any, query: Query, ends: float
) -> dict[str, list[Found]]:
    """Return what each source finds that ends in time, asked one after the other."""
    found: dict[str, list[Found]] = {}
    waiting = deque(among)
    while waiting:
        try:
            # One transaction for all; a query that is stopped ends it, and the rest gets another.
            with _bounded(MOST_MS):
                while waiting:
                    source = waiting.popleft()
                    if time.monotonic() < ends:
                        found[source.key] = asked_alone(source.find(user, query, SHOWN + 1))
        except OperationalError as error:
            if not isinstance(error.__cause__, QueryCanceled):
                raise
    return found


def asked_alone(asking: Asking[T]) -> T:
    """Return what it does, each of its queries answered when it is asked."""
    try:
        one = next(asking)
        while True:
            one = asking.send(answers([one])[0])
    except StopIteration as end:
        returned: T = end.value
        return returned


@contextmanager
def _bounded(ms: int) -> Iterator[None]:
    """Run in a transaction in which queries end after so long with an OperationalError."""
    inside = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(ms)])
        yield
        if inside:
            # The transaction around this one goes on without the limit.
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


# --- how rows are found ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Match:
    """A way to find rows: a condition that an index serves, or None when the text cannot mean any
    row that way; and an order in which the index, or one of few rows, gives them."""

    condition: Callable[[Query], Q | None]
    order: tuple[str, ...] = ("-pk",)


def held(find: Callable[[Any, Query, int], list[Found]]) -> Finder:
    """Return a finder of what is held in memory."""

    def asking(user: Any, query: Query, most: int) -> Asking[list[Found]]:
        return find(user, query, most)
        yield

    return asking


#: Which rows of a source a user may see; an empty condition: all of them.
Seen = Callable[[Any], Q]


def everything(user: Any) -> Q:
    """Return the condition of a source in which whoever may search it sees all rows."""
    return Q()


def among(
    rows: "Callable[[], QuerySet[Any]]",
    *ways: Match,
    found: Callable[[Any], Found],
    seen: Seen,
) -> Finder:
    """Return a finder among `rows`, which are the same for every user; of them a user finds those
    that `seen` names. The ways are tried one after the other until there are enough; each is one
    query, compiled once a process for all texts and users of a shape. `found` describes a row."""

    def find(user: Any, query: Query, most: int) -> Asking[list[Found]]:
        got = yield from rows_found(rows, ways, seen(user), query, most)
        return [found(row) for row in got]

    return find


def rows_found(
    rows: "Callable[[], QuerySet[Any]]",
    ways: Iterable[Match],
    seen: Q,
    query: Query,
    most: int,
) -> Asking[list[Any]]:
    """Return the rows that `among` finds, at most so many, for a finder of a source's own."""
    got: dict[Any, Any] = {}
    for way in ways:
        condition = way.condition(query)
        if condition is None or len(got) >= most:
            continue
        shape, values = shape_of(seen & condition)
        statement = _statement(rows, shape, len(values), way.order, most)
        asked = statement.asked(**{f"value{place}": one for place, one in enumerate(values)})
        for row in (yield asked) if asked else ():
            got.setdefault(row.pk, row)
    return list(got.values())[:most]


@lru_cache(maxsize=1000)
def _statement(
    rows: "Callable[[], QuerySet[Any]]", shape: Shape, slots: int, order: tuple[str, ...], most: int
) -> Compiled[Any]:
    def build(**values: Slot) -> "QuerySet[Any]":
        condition = shape.condition([values[f"value{place}"] for place in range(slots)])
        return rows().filter(condition).order_by(*order)[:most]

    return Compiled(build)


def _by_uuid(query: Query) -> Q | None:
    if not query.uuids:
        return None
    lowest, highest = query.uuids
    return Q(pk__gte=lowest, pk__lte=highest)


def _by_number(query: Query) -> Q | None:
    return None if query.number is None else Q(pk=query.number)


#: Rows by their id: a UUID or its beginning, also as part of a workflow's id; or a number.
BY_UUID, BY_NUMBER = Match(_by_uuid), Match(_by_number)


def by_value(column: str, order: tuple[str, ...] = ("-pk",), *, like: str = r"\S+") -> Match:
    """Find rows whose column is the text; an index begins with it. `like`: the pattern of all
    values; the database is not asked for other texts."""
    pattern = re.compile(like)
    return Match(
        lambda query: Q(**{column: query.text}) if pattern.fullmatch(query.text) else None, order
    )


def by_start(column: str) -> Match:
    """Find rows whose column, a text without blanks, starts with the text; its index has a
    `pattern_ops` class."""
    return Match(
        lambda query: None if " " in query.text else Q(**{f"{column}__startswith": query.text})
    )


def by_text(*columns: str, where: Q | None = None, order: tuple[str, ...] = ("-pk",)) -> Match:
    """Find rows by a part of a text, with trigram indexes on UPPER(column); `where` names the
    condition of a partial one. In one column the whole text is looked for, in several each word in
    any of them. Less than three letters or digits in a row find the beginning of a word."""

    def condition(query: Query) -> Q | None:
        text = text_condition(query, *columns)
        return text & where if text is not None and where is not None else text

    return Match(condition, order)


def text_condition(query: Query, *columns: str) -> Q | None:
    """Return the condition of `by_text`; None for texts without letters and digits, and for whole
    ids: they are long to look for, and no name has one."""
    if query.uuid:
        return None
    whole = Q()
    for word in query.words if len(columns) > 1 else (query.text,):
        if _PART.search(word):
            lookups = [("icontains", word)]
        elif _WORD.match(word):
            lookups = [("istartswith", word), ("icontains", f" {word}")]
        else:
            continue
        here = Q(pk__in=[])
        for column in columns:
            for lookup, value in lookups:
                here |= Q(**{f"{column}__{lookup}": value})
        whole &= here
    return whole or None


def starts_a_word(query: Query, text: str) -> bool:
    """Return whether a word of this text starts with the query, for few texts held in memory."""
    return f" {query.text}".casefold() in f" {text}".casefold()


def asked(row: Any, url_name: str, title: str, *notes: str) -> Found:
    """Describe a row that a user asked for: its state, age, amount if it has one, and workflow."""
    return Found(
        title=title,
        href=reverse(url_name, args=[row.pk]),
        key=str(row.pk),
        state=row.status,
        notes=(*notes, gettext("asked by {requested_by}").format(requested_by=row.requested_by)),
        at=row.created_at,
        amount=getattr(row, "amount", None),
        currency=getattr(row, "currency", ""),
        workflow_id=getattr(row, "workflow_id", ""),
    )
