"""A table that is brought as a file, or pasted."""

from typing import Any

import pytest
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict

from apps.web import table_form
from apps.web.table_form import TableForm


class Table(TableForm):
    title = forms.CharField(required=False, max_length=5)

    def most_bytes(self) -> int:
        return 40


def sent(text: str = "", file: bytes | None = None, **fields: str) -> Table:
    data = QueryDict(mutable=True)
    data.update({"text": text, **fields})
    files: Any = {} if file is None else {"file": SimpleUploadedFile("a.csv", file)}
    return Table(data, files)


@pytest.mark.parametrize(
    ("text", "file", "body"),
    [
        ("a,b\n1,2\n", None, b"a,b\n1,2\n"),
        ("é", None, "é".encode()),
        ("pasted", b"of a file", b"of a file"),
        ("", b"x" * 100, b"x" * 41),
    ],
)
def test_its_bytes_come_from_the_file_or_from_what_is_pasted(
    text: str, file: bytes | None, body: bytes
) -> None:
    form = sent(text, file)
    assert form.is_valid()
    assert form.cleaned_data == {"title": "", "body": body}


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_something_must_be_there(text: str) -> None:
    assert sent(text).errors == {"text": ["Choose a file, or paste its lines."]}


def test_a_file_comes_back_as_text_also_when_something_else_is_wrong() -> None:
    form = sent(file=b"\xef\xbb\xbfa,b\x00", title="too long")
    assert set(form.errors) == {"title"}
    assert form["text"].value() == "a,b\ufffd"
    assert not form.too_long


def test_a_long_file_is_chosen_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_form, "MOST_TEXT", 10)
    form = sent("before", file=b"x" * 11)
    assert form.is_valid()
    assert form.too_long
    assert form["text"].value() == "before"
