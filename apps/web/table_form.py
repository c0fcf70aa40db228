"""A table that a person brings: as a CSV file, or pasted."""

from typing import Any

from django import forms

#: What of a file is put back into the form after a check; a larger one is chosen once more.
MOST_TEXT = 1_000_000


class TableForm(forms.Form):
    """A file of CSV or JSON lines, or the same pasted; a file goes before what is pasted.

    `cleaned_data` has its bytes as `body`, one more than `most_bytes()` at most: enough to refuse
    it. The content of a file comes back as text: browsers forget which file was chosen, and what is
    wrong in it can be corrected at once. `too_long`: it is too long for that.
    """

    file = forms.FileField(
        required=False,
        label="File",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.jsonl,.ndjson,text/csv"}),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label="Or paste it",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "mono"}),
    )
    too_long = False

    def most_bytes(self) -> int:
        """Bytes that the service takes."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Something must be there."""
        cleaned = super().clean() or {}
        file, text = cleaned.pop("file", None), cleaned.pop("text", None) or ""
        if file:
            cleaned["body"] = file.read(self.most_bytes() + 1)
            self._show(cleaned["body"])
        elif text.strip():
            cleaned["body"] = text.encode("utf-8", "replace")
        elif not self.errors:
            self.add_error("text", "Choose a file, or paste its lines.")
        return cleaned

    def _show(self, body: bytes) -> None:
        self.too_long = len(body) > MOST_TEXT
        if not self.too_long:
            text = body.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
            self.data = {**self.data.dict(), "text": text}  # type: ignore[attr-defined]
