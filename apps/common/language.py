"""Texts in the language of whoever reads them, and in the site's own.

`from apps.common.language import lazy as _` marks a text that is made once, when a module is
loaded, and read in many languages; inside functions `django.utils.translation.gettext` is enough.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import override

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:

    def lazy(message: str) -> str:
        """Mark the text; it is translated whenever it is shown. Not a `str` at run time: whatever
        needs one, such as `join`, takes `str(text)`."""

else:
    from django.utils.translation import gettext_lazy as lazy

__all__ = ["as_written", "filled", "for_record", "in_site_language", "lazy"]


def filled(text: str, /, **values: object) -> str:
    """Fill the braces of a marked text: `filled(_("{name} is not active."), name=user)`. Like
    `lazy` it is put into words when it is shown: a refusal is read in one language and recorded in
    another."""
    return cast("str", format_lazy(text, **values))


def in_site_language(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function in LANGUAGE_CODE, whatever the language of the request: for texts that are
    kept in rows or sent, because who reads them is not who acts."""

    @wraps(function)
    def spoken(*args: P.args, **kwargs: P.kwargs) -> R:
        with override(settings.LANGUAGE_CODE):
            return function(*args, **kwargs)

    return spoken


def as_written(text: object) -> str:
    """Return the text as the code has it, in no language: for names that programs know, such as
    columns of files, keys, and ids of elements."""
    with override(None):
        return str(text)


@in_site_language
def for_record(text: object) -> str:
    """Return the text as rows keep it: a marked one in LANGUAGE_CODE."""
    return str(text)
