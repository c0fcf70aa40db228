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


class NotRead(Exception):
    """A text is not JSON, or holds what cannot be stored: why, and on which line."""

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.detail, self.line = detail, line


def read(text: str) -> Read:
    """Read a definition and everything that is wrong with it."""
    try:
        document, lines = _parsed(text)
    except NotRead as error:
        return Read(None, (Marked(Issue("not_json", error.detail), error.line),))
    return Read(document, _marked(lines, issues_of(document)))


def document_in(text: str) -> Any:
    """Return the document. Raises Invalid `definition_not_json`, which names the line."""
    try:
        return _parsed(text)[0]
    except NotRead as error:
        raise Invalid(
            filled(_("Line {line}: {detail}"), line=error.line, detail=error.detail),
            code="definition_not_json",
        ) from None


def nodes_in(marked: tuple[Marked, ...]) -> frozenset[str]:
    """Return the ids of nodes that have an issue."""
    return frozenset(one.issue.node for one in marked if one.issue.node)


def marked(text: str, issues: list[Issue]) -> tuple[Marked, ...]:
    """Return the issues of a text that is JSON, each with its line."""
    try:
        return _marked(lines_of(text), issues)
    except NotReadable:
        # JSON that is nested a level deeper than lines are counted.
        return tuple(Marked(issue, 1) for issue in issues)


def _parsed(text: str) -> tuple[Any, Lines]:
    """Return the document and its lines. Raises NotRead."""
    try:
        lines = lines_of(text)
        return document_of(text.encode()), lines
    except NotReadable as error:
        said = filled(_("It is not JSON: {why}"), why=error.detail)
        raise NotRead(said, error.line) from None
    except NotJson as error:
        raise NotRead(str(error), 1) from None
    except Invalid as error:
        raise NotRead(error.detail, 1) from None


def _marked(lines: Lines, issues: list[Issue]) -> tuple[Marked, ...]:
    return tuple(Marked(issue, lines.nearest(issue.path)) for issue in issues)
