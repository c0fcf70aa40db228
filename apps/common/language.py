"""Texts in the language of whoever reads them, and in the site's own.

`from apps.common.language import lazy as _` marks a text that is made once, when a module is
loaded, and read in many languages; inside functions `django.utils.translation.gettext` is enough.
"""

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from django.conf import settings
from django.utils.functional import lazy as made_later
from django.utils.text import format_lazy
from django.utils.translation import override

from apps.common.dates import day_words, moment_words

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:

    def lazy(message: str) -> str:
        """Mark the text; it is translated whenever it is shown. Not a `str` at run time: whatever
        needs one, such as `join`, takes `str(text)`."""

    def lazy_plural(singular: str, plural: str, number: int) -> str:
        """Mark both texts, as `lazy` does; the number chooses one when it is shown."""

else:
    from django.utils.translation import gettext_lazy as lazy
    from django.utils.translation import ngettext_lazy as lazy_plural

__all__ = ["as_written", "filled", "for_record", "in_site_language", "later", "lazy", "lazy_plural"]


def filled(text: str, /, **values: object) -> str:
    """Fill the braces of a marked text: `filled(_("{name} is not active."), name=user)`. Like
    `lazy` it is put into words when it is shown: a refusal is read in one language and recorded in
    another. Days and times are put into words with it."""
    return cast("str", format_lazy(text, **{name: _said(one) for name, one in values.items()}))


def later(function: Callable[P, str], /, *args: P.args, **kwargs: P.kwargs) -> str:
    """Return what the function returns, called whenever it is shown, in the reader's language: for
    values in `filled` that are words themselves."""
    return made_later(function, str)(*args, **kwargs)


def _said(value: object) -> object:
    if isinstance(value, datetime):
        return later(moment_words, value)
    return later(day_words, value) if isinstance(value, date) else value


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
