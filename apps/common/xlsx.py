"""Tables as Excel files: numbers and times as such, in constant memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from apps.common.language import lazy as _

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: A cell takes no longer text, in units of UTF-16. A longer one is cut and ends with words that say
#: so; the whole of it is in the CSV file.
LONGEST_TEXT = 32_767
CUT = _("… [cut: the CSV file has the whole text]")
#: A number has so many exact digits; an amount with more is written as a text.
EXACT_DIGITS = 15
_CHUNK = 64 * 1024
_WIDTH = 18


def export(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield an Excel file of the rows, whose first row names the columns.

    The whole file is made before its first byte, in a temporary file and row by row: memory does
    not grow with the rows. Decimals and integers are numbers with the places that they have, times
    are in UTC, and everything else is a text, which Excel never executes. A file that is cut off
    cannot be opened: its directory is at its end.
    """
    # Only processes that make such files load it.
    from xlsxwriter import Workbook

    # The library keeps the rows in a file of its own, which it leaves behind when a row fails.
    with TemporaryDirectory() as folder, TemporaryFile(dir=folder) as file:
        options = {"constant_memory": True, "in_memory": False, "tmpdir": folder}
        book = Workbook(file, options)
        sheet = _only_plain(book.add_worksheet())
        heads = book.add_format({"bold": True})
        formats: dict[str, Any] = {}

        def format_of(pattern: str) -> Any:
            if pattern not in formats:
                formats[pattern] = book.add_format({"num_format": pattern})
            return formats[pattern]

        sheet.set_column(0, len(columns) - 1, _WIDTH)
        sheet.freeze_panes(1, 0)
        for place, name in enumerate(columns):
            sheet.write_string(0, place, name, heads)
        for number, row in enumerate(rows, start=1):
            for place, name in enumerate(columns):
                _write(sheet, number, place, row[name], format_of)
        book.close()
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def _only_plain(sheet: Any) -> Any:
    """Return the sheet, which from now on writes texts as texts.

    The library takes a text from `<r>` to `</r>` for XML that it has made of formatted pieces, and
    copies it into the file: whoever named a row so could add cells with formulas.
    """

    def plain(text: str, attributes: Any = ()) -> None:
        sheet._xml_inline_string(text, False, attributes)

    sheet._xml_rich_inline_string = plain
    return sheet


def _write(sheet: Any, number: int, place: int, value: Any, format_of: Any) -> None:
    if value is None or value == "":
        return
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None)
        sheet.write_datetime(number, place, naive, format_of('yyyy-mm-dd"T"hh:mm:ss"Z"'))
    elif isinstance(value, date):
        sheet.write_datetime(number, place, value, format_of("yyyy-mm-dd"))
    elif isinstance(value, int | Decimal) and not isinstance(value, bool) and _exact(value):
        sheet.write_number(number, place, float(value), format_of(_pattern(value)))
    else:
        sheet.write_string(number, place, _fitting(str(value)))


def _fitting(text: str) -> str:
    """Return the text, or as much of it as a cell takes with CUT at its end."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * LONGEST_TEXT:
        return text
    words = str(CUT)
    room = LONGEST_TEXT - len(words.encode("utf-16-le")) // 2
    # A character of two units is left out as a whole.
    return units[: 2 * room].decode("utf-16-le", "ignore") + words


def _exact(value: int | Decimal) -> bool:
    number = Decimal(value)
    return number.is_finite() and len(number.as_tuple().digits) <= EXACT_DIGITS


def _pattern(value: int | Decimal) -> str:
    if isinstance(value, int):
        return "0"
    exponent = value.as_tuple().exponent
    places = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return f"#,##0.{'0' * places}" if places else "#,##0"
