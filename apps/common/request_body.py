"""Bodies of API requests with many rows: JSON, or a form with a file. They may be larger than other
bodies, and are read up to their limit only."""

from typing import Any, TypeVar

import pydantic
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from ninja import Schema
from ninja.errors import HttpError, ValidationError

from apps.common.strict_json import document_of

S = TypeVar("S", bound=Schema)


def described(*, json: type[Schema], form: type[Schema]) -> dict[str, Any]:
    """Return the `openapi_extra` of an operation that takes either and reads its body itself."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                media: {
                    "schema": one.model_json_schema(ref_template="#/components/schemas/{model}")
                }
                for media, one in (("application/json", json), ("multipart/form-data", form))
            },
        }
    }


def document(request: HttpRequest, schema: type[S], *, most: int) -> S:
    """Return the parsed JSON of a body of at most `most` bytes.

    Raises 400 for what is not JSON, 413 `too_large`, 422 for what does not fit the schema.
    """
    try:
        content = document_of(_body(request, most))
    except (ValueError, RecursionError) as error:
        raise HttpError(400, "Cannot parse request body") from error
    return _checked(schema, content)


def form_with_file(request: HttpRequest, schema: type[S], *, most: int) -> tuple[S, bytes]:
    """Return the fields of a form and the content of its `file`, at most one byte more than `most`:
    enough to refuse it. Raises 422 for what does not fit the schema, which has a `file`."""
    file = request.FILES.get("file")
    # A text in place of the file does not count as one.
    fields: dict[str, Any] = {k: v for k, v in request.POST.items() if k != "file"}
    form = _checked(schema, fields | ({} if file is None else {"file": b""}))
    assert isinstance(file, UploadedFile)  # the schema requires it
    return form, file.read(most + 1)


def _body(request: HttpRequest, most: int) -> bytes:
    try:
        return request.body
    except RequestDataTooBig:
        body = request.read(most + 1)
        if len(body) > most:
            raise
        return body


def _checked(schema: type[S], content: Any) -> S:
    try:
        return schema.model_validate(content)
    except pydantic.ValidationError as error:
        raise ValidationError(
            [
                {"loc": ("body", *one["loc"]), "type": one["type"], "msg": one["msg"]}
                for one in error.errors(include_input=False, include_context=False)
            ]
        ) from error
