"""Shapes that the API of this domain answers with."""

from ninja import Schema


class ErrorOut(Schema):
    """Why it did not end as asked, or what is missing although it did."""

    code: str
    detail: str
