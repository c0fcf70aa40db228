"""A form for a table: a CSV file, or pasted text."""

from typing import Any

from django import forms
from django.utils.translation import gettext

from apps.common.language import lazy as _

#: The largest file that is put back into the form; for a larger one the user chooses the file
#: again.
MOST_TEXT = 1_000_000


class TableForm(forms.Form):
    """A file of CSV or JSON lines, or pasted text; the file takes precedence.

    `cleaned_data["body"]` has at most one byte more than `most_bytes()`: enough to refuse it. The
    content of a file comes back as text, because browsers forget the chosen file and the user can
    correct it at once. `too_long`: the content is too long for that.
    """

    file = forms.FileField(
        required=False,
        label=_("File"),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.jsonl,.ndjson,text/csv"}),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label=_("Or paste it"),
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "mono"}),
    )
    too_long = False

    def most_bytes(self) -> int:
        """Return the most bytes that the service accepts."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Require a file or a text."""
        cleaned = super().clean() or {}
        file, text = cleaned.pop("file", None), cleaned.pop("text", None) or ""
        if file:
            cleaned["body"] = file.read(self.most_bytes() + 1)
            self._show(cleaned["body"])
        elif text.strip():
            cleaned["body"] = text.encode("utf-8", "replace")
        elif not self.errors:
            self.add_error("text", gettext("Choose a file, or paste its lines."))
        return cleaned

    def _show(self, body: bytes) -> None:
        self.too_long = len(body) > MOST_TEXT
        if not self.too_long:
            text = body.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
            self.data = {**self.data.dict(), "text": text}  # type: ignore[attr-defined]
