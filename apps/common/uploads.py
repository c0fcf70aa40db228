"""Uploaded files: their type by content, what is refused, and how they are served.

The library puremagic compares signatures, and tests showed that this is not enough: it does not
recognise plain text, CSV, or HTML without a doctype; it takes an SVG after an XML declaration for
XML, any zip for a Word document, a PNG with a script behind it for a PNG, and a memo that begins
with "BM" for a bitmap. So its answer only selects among the accepted types, and each of them is
then checked again. Only a scanner can judge what PDF and Office documents do.
"""

import csv
import io
import json
import lzma
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import puremagic
from django.conf import settings
from django.http import HttpResponse
from django.utils.formats import number_format
from django.utils.http import content_disposition_header
from django.utils.module_loading import import_string
from django.utils.translation import gettext, ngettext

from apps.common.correlation import get_logger
from apps.common.errors import DomainError, Invalid, Unavailable
from apps.common.language import filled, later
from apps.common.language import lazy as _

logger = get_logger(__name__)

#: Accepted types and their file name extensions; the first is added to a name that has none of
#: them.
TYPES: dict[str, tuple[str, ...]] = {
    "application/pdf": (".pdf",),
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/tiff": (".tif", ".tiff"),
    "image/heif": (".heic", ".heif"),
    "text/plain": (".txt", ".log", ".md"),
    "text/csv": (".csv", ".tsv"),
    "application/json": (".json",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (".pptx",),
    "application/vnd.oasis.opendocument.text": (".odt",),
    "application/vnd.oasis.opendocument.spreadsheet": (".ods",),
    "application/vnd.oasis.opendocument.presentation": (".odp",),
}
#: In words, and for the file field of a form.
TYPES_IN_WORDS = _("PDF, images, text, CSV, JSON, Word, Excel, PowerPoint and OpenDocument files")
ACCEPT = ",".join(sorted(ending for endings in TYPES.values() for ending in endings))
#: Multipart's own lines, the note and the form's token, on top of the file.
ENVELOPE_BYTES = 64 * 1024
NAME_LIMIT = 120
SCANNER_WORDS_LIMIT = 200
MOST_MEMBERS = 10_000
MOST_MEMBER_BYTES = 1024 * 1024

_OFFICE = {
    "word/document.xml": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/workbook.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt/presentation.xml": (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    ),
}
_ZIP = b"PK\x03\x04"
#: Exceptions of zipfile: damaged, encrypted, unknown compression.
_DAMAGED = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError),
    *(zlib.error, lzma.LZMAError, struct.error),
)
#: In a text any of these makes it a page; in other files they mean that it is also a page. Searched
#: by `in`, as below, because a pattern would start at each `<` of a file full of them. Each tag
#: ends in any character that ends it for a browser, all normalised to a blank. A prefixed tag
#: (`<svg:svg`) is XML, which is recognised by its first tag.
_TAGS = (
    *("!doctype", "html", "svg", "script", "iframe", "object", "embed", "foreignobject", "meta"),
    *("body", "img", "style", "form", "link", "base", "video", "audio", "math"),
)
_MARKUP = (
    *(f"<{tag} ".encode() for tag in _TAGS),
    *(b"<?php", b"<?xml-stylesheet", b"<%"),
)
_TAG_ENDS = bytes.maketrans(b"\t\n\r\f/>", b"      ")
#: Anywhere in a picture or a PDF: a browser could read it as a page. Searched by `in`, because a
#: case-insensitive pattern takes a second for the largest file.
_SECOND_FACE = (b"<!doctype html", b"<html>", b"<html ", b"<script>", b"<script ", b"<svg ")
#: Extensions that are not allowed even in the middle of a name: some programs look at each one.
_ACTIVE_ENDING = re.compile(
    r"\.(?=(?:html?|xhtml|shtml|mht(?:ml)?|svgz?|xml|xsl|js|mjs|jse|vbs?|vbe|wsf?|wsh|hta|php\d?|"
    r"phtml|asp|aspx|jsp|cgi|pl|py|rb|sh|bash|bat|cmd|com|exe|scr|msi|dll|jar|apk|app|ps1|lnk|"
    r"reg|url|docm|xlsm|pptm|iso|img|zip)(?:[^A-Za-z0-9]|$))",
    re.IGNORECASE,
)
_WINDOWS_NAMES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)


class TooLarge(DomainError):
    """More bytes than are accepted."""

    status: ClassVar[int] = 413
    code = "too_large"


@dataclass(frozen=True)
class Upload:
    """A file that may be stored: a harmless name, and the type of its content."""

    name: str
    content_type: str
    body: bytes


def inspect(*, name: str, body: bytes, most: int) -> Upload:
    """Return the file, if it may be stored.

    Raises Invalid `empty_file` or `type_not_allowed` (HTML, SVG, scripts, programs, archives,
    macros, and whatever is not in TYPES), TooLarge `too_large` (more than `most` bytes). A name is
    never refused: harmful parts are removed, and a name that does not fit the content gets the
    right extension.
    """
    if not body:
        raise Invalid(_("The file is empty."), code="empty_file")
    if len(body) > most:
        raise TooLarge(
            filled(_("A file may have at most {size}."), size=later(size_in_words, most)), most=most
        )
    try:
        content_type = type_of(body)
    except Exception as error:
        # A parser of a library failed on unexpected bytes: the file is of no accepted type.
        logger.warning("an upload broke its parser", error=repr(error), size=len(body))
        content_type = None
    if content_type is None:
        raise Invalid(
            filled(_("Only {types_in_words} are taken."), types_in_words=TYPES_IN_WORDS),
            code="type_not_allowed",
        )
    return Upload(name=safe_name(name, content_type), content_type=content_type, body=body)


def scan(body: bytes) -> bool:
    """Pass the bytes to EVIDENCE_SCANNER; return False when none is set.

    A scanner returns for a clean file and raises Invalid `scan_refused` for one that must not be
    stored. When it cannot be imported or its server cannot be reached (OSError, or its own
    Unavailable) nothing is stored: Unavailable.
    """
    path = settings.EVIDENCE_SCANNER
    if not path:
        return False
    try:
        scanner: Callable[[bytes], object] = import_string(path)
        scanner(body)
    except (ImportError, OSError, Unavailable) as error:
        logger.error("the scanner of uploads does not answer", scanner=path, error=repr(error))
        raise Unavailable(
            _("Files cannot be checked for harm now, so none is taken. Try again in a moment."),
            code="scan_unavailable",
        ) from error
    except Exception as error:
        logger.warning("the scanner refused an upload", scanner=path, error=repr(error))
        reason = "".join(c for c in str(error) if c.isprintable())[:SCANNER_WORDS_LIMIT]
        detail = gettext("The scanner refused the file.")
        raise Invalid(
            f"{detail[:-1]}: {reason}." if reason else detail, code="scan_refused"
        ) from error
    return True


def as_attachment(*, name: str, content_type: str, body: bytes) -> HttpResponse:
    """Return a download that no browser shows as a page of this site, whatever its content."""
    response = HttpResponse(body, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Length"] = str(len(body))
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = "private, no-store"
    return response


def size_in_words(size: int) -> str:
    """Return a size such as `812 bytes`, `14 KB`, `9.8 MB`."""
    if size < 1024:
        return ngettext("{count} byte", "{count} bytes", size).format(count=size)
    if size < 1024 * 1024:
        return gettext("{size} KB").format(size=round(size / 1024))
    megabytes = f"{size / (1024 * 1024):.1f}".removesuffix(".0")
    return gettext("{size} MB").format(size=number_format(megabytes))


# --- names ----------------------------------------------------------------------------------------
def safe_name(name: str, content_type: str) -> str:
    """Return the last part of a path, in printable characters, with the type's extension."""
    # Cf includes the marks that turn the writing direction: "fdp.exe" would be shown as "exe.pdf".
    kept = "".join(" " if c.isspace() else c for c in unicodedata.normalize("NFC", name))
    kept = "".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    kept = re.split(r"[/\\]", kept)[-1]
    kept = re.sub(r'[<>:"|?*;%]', "_", kept)
    kept = re.sub(r"\s+", " ", kept).strip(" .")
    endings = TYPES.get(content_type, (".bin",))
    stem, ending = kept, endings[0]
    for known in endings:
        if kept.lower().endswith(known):
            stem, ending = kept[: -len(known)], known
            break
    stem = _ACTIVE_ENDING.sub("_", stem).strip(" .")[: NAME_LIMIT - len(ending)].rstrip(" .")
    if not stem or _WINDOWS_NAMES.match(stem):
        stem = f"file {stem}".strip()
    return stem + ending


# --- content --------------------------------------------------------------------------------------
def type_of(body: bytes) -> str | None:
    """Return the content's type in TYPES; None for every other content."""
    if body.startswith(_ZIP):
        return _office(body)
    guessed = _guess(body)
    if guessed in TYPES and guessed.startswith(("image/", "application/pdf")):
        return None if _two_faced(body) else guessed
    return _textual(body)


def _two_faced(body: bytes) -> bool:
    """Return whether a browser or an archiver would read a picture or a PDF as something else."""
    lowered = body.lower()
    if any(mark in lowered for mark in _SECOND_FACE):
        return True
    try:
        return zipfile.is_zipfile(io.BytesIO(body))
    except zipfile.BadZipFile:
        return True  # the end of a damaged archive


def _guess(body: bytes) -> str:
    try:
        guess: str = puremagic.from_string(body, mime=True)
    except (puremagic.PureError, ValueError):
        return ""
    return guess


def _office(body: bytes) -> str | None:
    """Return the type of an Office or OpenDocument file without macros; None for any other
    archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = {member.filename for member in archive.infolist()[: MOST_MEMBERS + 1]}
            if len(names) > MOST_MEMBERS or any(_macro(name) for name in names):
                return None
            if "[Content_Types].xml" in names:
                listed = _member(archive, "[Content_Types].xml").lower()
                if b"macroenabled" in listed or b"vbaproject" in listed:
                    return None
                return next((kind for part, kind in _OFFICE.items() if part in names), None)
            if "mimetype" in names:
                mimetype = _member(archive, "mimetype").decode("ascii", "replace").strip()
                return mimetype if mimetype in TYPES and "opendocument" in mimetype else None
    except _DAMAGED:
        return None
    return None


def _macro(name: str) -> bool:
    lowered = name.lower()
    return lowered.endswith("vbaproject.bin") or lowered.startswith(("basic/", "scripts/"))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member of at most MOST_MEMBER_BYTES: a zip bomb is not unpacked further."""
    with archive.open(name) as member:
        content = member.read(MOST_MEMBER_BYTES + 1)
    if len(content) > MOST_MEMBER_BYTES:
        raise ValueError("too large for what it should be")
    return content


def _textual(body: bytes) -> str | None:
    text = _text(body)
    if text is None:
        return None
    # Check characters, not bytes: in UTF-16 a tag has zeros between its letters.
    plain = text.lstrip("\ufeff \t\r\n\f")
    if plain.startswith("#!"):
        return None
    # Append a character, because a tag may end the text.
    tagged = (plain.encode().lower() + b" ").translate(_TAG_ENDS)
    if any(mark in tagged for mark in _MARKUP):
        return None
    if re.match(r"<[A-Za-z!?]", plain):
        return None  # other markup: it is unknown what a browser would make of it
    if plain[:1] in ("{", "[") and _is_json(plain):
        return "application/json"
    return "text/csv" if _is_table(plain) else "text/plain"


def _text(body: bytes) -> str | None:
    """Return the decoded text; None if it has characters that do not occur in text."""
    wide = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", text):
            return None
        return text
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_table(text: str) -> bool:
    """Return whether there are two or more lines, and the first ones have equally many fields, more
    than one."""
    lines = text.splitlines()[:20]
    if len(lines) == 20:
        lines.pop()
    for delimiter in (",", ";", "\t"):
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        except csv.Error:
            continue
        if len(lines) > 1 and len(widths) == 1 and widths.pop() > 1:
            return True
    return False
