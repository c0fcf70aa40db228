"""What a file is, by its content; what is refused; how names and downloads are made harmless."""

import io
import os
import struct
import time
import zipfile

import pytest
from django.test import override_settings

from apps.common import uploads
from apps.common.errors import DomainError, Invalid, Unavailable
from apps.common.uploads import inspect, safe_name, scan, type_of

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000100ffff03000006000557bfabd40000000049454e44ae426082"
)
PDF = b"%PDF-1.7\n1 0 obj\n<</Type /Catalog>>\nendobj\ntrailer\n%%EOF\n"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
SCRIPT = b"<script>alert(document.cookie)</script>"


def zipped(**members: str) -> bytes:
    """A zip of these members; two underscores stand for a slash, one for a dot."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return content.getvalue()


def office(part: str = "word/document.xml", types: str = "<Types/>", **more: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr(part, "<w/>")
        for name, text in more.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return content.getvalue()


def damaged(method: int) -> bytes:
    """An Office file whose first part does not unpack."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>" * 400)
        archive.writestr("word/document.xml", "<w/>")
    body = bytearray(content.getvalue())
    start = 30 + len("[Content_Types].xml")
    body[start + 9 : start + 23] = b"\xff" * 14
    body[start : start + 2] = b"\xff\xff" if method != zipfile.ZIP_LZMA else body[start : start + 2]
    return bytes(body)


def many_disks(before: bytes) -> bytes:
    """An archive behind something, whose zip64 locator tells of another disk: `is_zipfile` itself
    raises for it."""
    archive = zipped(a_txt="x")
    end = archive.rfind(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 2)
    return before + archive[:end] + locator + archive[end:]


#: Cases by name: bytes in the names of tests would differ from process to process.
KNOWN = [
    (PDF, "application/pdf"),
    (PNG, "image/png"),
    (b"GIF89a" + bytes(20), "image/gif"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(40) + b"\xff\xd9", "image/jpeg"),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(30), "image/webp"),
    (b"Dear all,\nplease find below what we saw.\n", "text/plain"),
    ("João, Açúcar e pão".encode("cp1252"), "text/plain"),
    ("Ngozi wrote this".encode("utf-16"), "text/plain"),
    (b"BM: a memo that begins like a bitmap", "text/plain"),
    (b"-> a < b and <ngozi@example.org> wrote", "text/plain"),
    (b"the <bodyguard> of a <linkedin> <metaphor>", "text/plain"),
    (b"date;amount\n2026-01-02;12,50\n2026-01-03;9,00\n", "text/csv"),
    (b'{"amount": "12.00", "to": ["a", "b"]}', "application/json"),
    (b"[" * 100_000, "text/plain"),
    (office(), DOCX),
    (office("xl/workbook.xml"), XLSX),
    (zipped(mimetype=ODT, content_xml="<x/>"), ODT),
]
REFUSED = {
    "html": b"<!DOCTYPE html><html><body>hi</body></html>",
    "html-after-a-mark": b"\xef\xbb\xbf  \n<HTML>",
    "html-without-doctype": b"\n\n<p>hello " + SCRIPT,
    "script-in-a-text": b"just a text, " + SCRIPT,
    "html-in-utf-16": "<html>".encode("utf-16"),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg-behind-xml": b'<?xml version="1.0"?>\n<!-- a picture -->\n<svg:svg xmlns:svg="x"/>',
    "xml": b'<?xml version="1.0"?><note/>',
    "php": b"<?php system('id') ?>",
    "shell": b"#!/bin/sh\nrm -rf /\n",
    "picture-with-a-script": PNG + SCRIPT,
    "document-with-a-page": PDF + b"<!doctype html><title>x</title>",
    "gif-with-a-script": b"GIF89a/*" + SCRIPT,
    "picture-with-an-archive": PNG + zipped(a_txt="behind a picture"),
    "document-with-an-archive": PDF + zipped(a_txt="behind a document"),
    "windows-program": b"MZ\x90\x00" + bytes(200),
    "program": b"\x7fELF" + bytes(200),
    "old-word": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600),
    "archive": zipped(a_txt="an archive"),
    "java": zipped(**{"META-INF__MANIFEST_MF": "a program"}),
    "macro": office(word__vbaProject_bin="a macro"),
    "hidden-macro": office(types="application/vnd.ms-word.document.macroEnabled.main+xml"),
    "bomb": office(types="x" * 20_000_000),
    "cut-off": office()[:200],
    "false-mimetype": zipped(mimetype="text/html"),
    "zeros": bytes(3),
    "last-word-is-a-tag": b"a text that ends with <script",
    "tag-on-two-lines": b"a text with <SCRIPT\nsrc=x>",
    "tag-with-a-slash": b"a text with <svg/onload=alert(1)>",
    "damaged-deflate": damaged(zipfile.ZIP_DEFLATED),
    "damaged-lzma": damaged(zipfile.ZIP_LZMA),
    "damaged-bzip2": damaged(zipfile.ZIP_BZIP2),
    "archive-of-many-disks": many_disks(b""),
    "picture-with-many-disks": many_disks(PNG),
    "noise": os.urandom(4096) + b"\x00",
}


@pytest.mark.parametrize(
    ("number", "expected"), [(n, expected) for n, (_, expected) in enumerate(KNOWN)]
)
def test_the_type_is_told_from_the_content(number: int, expected: str) -> None:
    assert type_of(KNOWN[number][0]) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_act_or_is_not_on_the_list_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        inspect(name="harmless.pdf", body=REFUSED[name], most=50_000_000)
    assert refused.value.code == "type_not_allowed"


def test_a_parser_that_breaks_on_a_file_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(body: bytes, mime: bool) -> str:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(uploads.puremagic, "from_string", breaks)
    with pytest.raises(Invalid) as refused:
        inspect(name="a.pdf", body=PDF, most=1000)
    assert refused.value.code == "type_not_allowed"


@pytest.mark.parametrize("piece", [b"<", b"<formx", b"\n", b"<?p"], ids=range(4))
def test_the_largest_file_is_looked_at_in_a_moment(piece: bytes) -> None:
    body = b"text " + piece * (10 * 1024 * 1024 // len(piece))
    began = time.process_time()
    assert type_of(body) == "text/plain"
    # A pattern took ten times as long.
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("body", "most", "code", "status"),
    [(b"", 10, "empty_file", 422), (b"x" * 11, 10, "too_large", 413)],
)
def test_nothing_and_too_much_are_refused(body: bytes, most: int, code: str, status: int) -> None:
    with pytest.raises(DomainError) as refused:
        inspect(name="a.txt", body=body, most=most)
    assert (refused.value.code, refused.value.status) == (code, status)


def test_as_much_as_the_limit_is_taken() -> None:
    assert inspect(name="a.txt", body=b"x" * 10, most=10).name == "a.txt"


@pytest.mark.parametrize(
    ("name", "content_type", "expected"),
    [
        ("report.v1.2.pdf", "application/pdf", "report.v1.2.pdf"),
        ("Ação é.PDF", "application/pdf", "Ação é.pdf"),
        ("photo.jpg", "image/png", "photo.jpg.png"),
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("C:\\temp\\invoice.pdf", "application/pdf", "invoice.pdf"),
        ("invoice.pdf.exe", "application/pdf", "invoice.pdf_exe.pdf"),
        ("page.html.pdf", "application/pdf", "page_html.pdf"),
        ("picture.svg", "text/plain", "picture_svg.txt"),
        ("a\x00b\r\nSet-Cookie: x.pdf", "application/pdf", "ab Set-Cookie_ x.pdf"),
        ("\u202efdp.exe", "application/pdf", "fdp_exe.pdf"),
        ("\ud800\ue000.pdf", "application/pdf", "pdf.pdf"),
        ('say "hi"; x=1.png', "image/png", "say _hi__ x=1.png"),
        (".htaccess", "text/plain", "htaccess.txt"),
        ("con.txt", "text/plain", "file con.txt"),
        ("", "image/png", "file.png"),
        (" . . ", "text/csv", "file.csv"),
    ],
)
def test_a_name_is_cleaned_and_says_what_is_in_the_file(
    name: str, content_type: str, expected: str
) -> None:
    assert safe_name(name, content_type) == expected


def test_a_long_name_is_cut_and_keeps_its_ending() -> None:
    name = safe_name("é" * 5000 + ".pdf", "application/pdf")
    assert len(name) == uploads.NAME_LIMIT
    assert name.endswith(".pdf")


def test_a_download_can_never_be_shown_as_a_page() -> None:
    answer = uploads.as_attachment(name="Ação.txt", content_type="text/plain", body=b"hi")
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''A%C3%A7%C3%A3o.txt"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["Cache-Control"] == "private, no-store"


# --- scanners that EVIDENCE_SCANNER names below ---
def clean(body: bytes) -> None:
    assert isinstance(body, bytes)


def infected(body: bytes) -> None:
    raise ValueError("Eicar-Test-Signature\x00\n")


def unreachable(body: bytes) -> None:
    raise ConnectionRefusedError


def says_unavailable(body: bytes) -> None:
    raise Unavailable("later")


def scanner(name: str) -> override_settings:
    return override_settings(EVIDENCE_SCANNER=f"tests.common.test_uploads.{name}" if name else "")


def test_without_a_scanner_nothing_is_scanned_and_with_one_the_clean_pass() -> None:
    with scanner(""):
        assert scan(b"x") is False
    with scanner("clean"):
        assert scan(b"x") is True


def test_what_the_scanner_refuses_is_refused_in_its_words() -> None:
    with scanner("infected"), pytest.raises(Invalid) as refused:
        scan(b"x")
    assert refused.value.code == "scan_refused"
    assert refused.value.detail == "The scanner refused the file: Eicar-Test-Signature."


@pytest.mark.parametrize("name", ["unreachable", "says_unavailable", "not_there"])
def test_a_scanner_that_cannot_tell_is_an_outage_and_not_a_refusal(name: str) -> None:
    with scanner(name), pytest.raises(Unavailable) as refused:
        scan(b"x")
    assert refused.value.code == "scan_unavailable"


def test_sizes_read_as_people_say_them() -> None:
    said = [uploads.size_in_words(n) for n in (1, 812, 14_336, 10 * 1024 * 1024, 10_276_045)]
    assert said == ["1 byte", "812 bytes", "14 KB", "10 MB", "9.8 MB"]
