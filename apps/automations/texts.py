"""Definitions as people type them: JSON text, and what is wrong with it by line."""

from dataclasses import dataclass
from typing import Any

from apps.automations.checking import Issue, issues_of
from apps.automations.places import Lines, NotReadable, lines_of
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, document_of


@dataclass(frozen=True)
class Marked:
    """An issue, and the line where it is."""

    issue: Issue
    line: int


@dataclass(frozen=True)
class Read:
    """A text that was read; `document` is None for one that is not JSON."""

    document: Any
    marked: tuple[Marked, ...]


def read(text: str) -> Read:
    """Read a definition and everything that is wrong with it."""
    try:
        lines = lines_of(text)
    except NotReadable as error:
        return _unread(filled(_("It is not JSON: {why}"), why=error.detail), error.line)
    try:
        document = document_of(text.encode())
    except NotJson as error:
        return _unread(str(error), 1)
    except Invalid as error:
        return _unread(error.detail, 1)
    return Read(document, _marked(lines, issues_of(document)))


def document_in(text: str) -> Any:
    """Return the document. Raises Invalid `definition_not_json`, which names the line."""
    found = read(text)
    if found.document is None and found.marked:
        first = found.marked[0]
        if first.issue.code == "not_json":
            raise Invalid(
                filled(_("Line {line}: {detail}"), line=first.line, detail=first.issue.detail),
                code="definition_not_json",
            )
    return found.document


def marked(text: str, issues: list[Issue]) -> tuple[Marked, ...]:
    """Return the issues of a text that is JSON, each with its line."""
    try:
        return _marked(lines_of(text), issues)
    except NotReadable:
        # JSON that is nested a level deeper than lines are counted.
        return tuple(Marked(issue, 1) for issue in issues)


def _marked(lines: Lines, issues: list[Issue]) -> tuple[Marked, ...]:
    return tuple(Marked(issue, lines.nearest(issue.path)) for issue in issues)


def _unread(detail: str, line: int) -> Read:
    return Read(None, (Marked(Issue("not_json", detail), line),))
