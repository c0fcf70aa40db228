"""Template tags of the design system: icons, money, times, states."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from urllib.parse import urlsplit

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.common import lists_in_words
from apps.common.dates import day_words, hour_words, moment_words, weekday_words
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK
from apps.common.money import shown as money_shown
from apps.web.tones import badge, tone_of, words_of

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return a symbol of the sprite. It is decorative: put the words beside it."""
    return _icon(name, settings.STATIC_URL)


@lru_cache(maxsize=500)
def _icon(name: str, at: str) -> SafeString:
    # A page has fifty. The sprite's address is that of the release.
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("console/icons.svg"),
        name,
    )


@register.filter
def money(amount: Decimal | None, currency: str = "") -> str:
    """Return `NGN 25,000.00` without line breaks; a dash without an amount."""
    return money_shown(amount, currency, blank=NO_BREAK)


@register.filter
def words(state: object) -> str:
    """Return a state or step in words."""
    return words_of(state)


@register.simple_tag
def came_from(request: HttpRequest | None) -> str:
    """Return the address of our page that sent the request; empty for any other sender."""
    if not request:
        return ""
    sender = request.headers.get("Referer", "")
    hosts, secure = {request.get_host()}, request.is_secure()
    if not url_has_allowed_host_and_scheme(sender, allowed_hosts=hosts, require_https=secure):
        return ""
    return urlsplit(sender)._replace(scheme="", netloc="").geturl()


@register.filter
def all_of(parts: Iterable[object]) -> str:
    """Return `a, b and c`."""
    return lists_in_words.all_of(parts)


_VIA = {
    "page": _("via a page"),
    "api": _("via the API"),
    "admin": _("via the admin"),
    "engine": _("via the engine"),
    "command": _("via a command"),
    "signal": _("via a signal"),
}


@register.filter
def via(way: str) -> str:
    """Return in words by which way somebody acted."""
    return str(_VIA.get(way) or gettext("via {way}").format(way=way))


@register.filter
def shown(value: object) -> object:
    """Return a document's value for display: yes and no, a dash for nothing, lists with commas."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(str(shown(item)) for item in value) or "–"
    return value


@register.filter
def percent(share: float | None) -> str:
    """Return a share of one such as `97 %` without line breaks; a dash without a value."""
    return "–" if share is None else f"{share:.0%}".replace("%", f"{NO_BREAK}%")


_UNITS = ((60, 1, _("{number} s")), (3600, 60, _("{number} min")), (86400, 3600, _("{number} h")))


@register.filter
def duration(seconds: float | None) -> str:
    """Return `850 ms`, `12 s`, `3.5 min`, `2 h` or `4 d` without line breaks; a dash without a
    value."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return _long(gettext("{number} ms"), round(seconds * 1000))
    for limit, size, unit in _UNITS:
        if seconds < limit:
            return _long(str(unit), seconds / size)
    return _long(gettext("{number} d"), seconds / 86400)


def _long(text: str, number: float) -> str:
    shown = number_format(f"{round(number, 1):g}")
    return text.format(number=shown).replace(" ", NO_BREAK)


@register.simple_tag
def state(value: object) -> SafeString:
    """Return the state as a badge: word and tone, never colour alone."""
    return badge(value)


@register.filter
def tone(value: object) -> str:
    """Return the CSS class of a state's tone, or an empty text."""
    known = tone_of(value)
    return f"tone-{known}" if known else ""


def _utc(at: datetime) -> tuple[str, str]:
    at = at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds"), moment_words(at)


@register.filter
def when(at: datetime | None) -> str | SafeString:
    """Return a point in time: UTC as served; the script converts it to the reader's time zone."""
    if at is None:
        return "–"
    return format_html('<time datetime="{}" data-when="point">{}</time>', *_utc(at))


@register.filter
def age(at: datetime | None) -> str | SafeString:
    """Return a time that the script shows as a distance (`3 min ago`, `in 2 hr`)."""
    if at is None:
        return "–"
    return format_html('<time datetime="{}" data-when="age">{}</time>', *_utc(at))


@register.filter
def clock(at: datetime) -> SafeString:
    """Return a time of day to the second, with the whole time and its zone as the title."""
    at = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-when="clock" title="{}">{}</time>',
        at.isoformat(timespec="milliseconds"),
        at.isoformat(timespec="seconds"),
        f"{at:%H:%M:%S}",
    )


@register.filter
def day(at: datetime) -> SafeString:
    """Return a day, as a heading of what happened on it."""
    at = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-when="day">{}</time>',
        at.isoformat(timespec="milliseconds"),
        weekday_words(at),
    )


@register.filter
def moment(at: date | None) -> str | SafeString:
    """Return a day such as `3 Mar 2026`; of a point in time the time of day, UTC as served, which
    the script converts to the reader's time zone."""
    if at is None:
        return "–"
    if not isinstance(at, datetime):
        return day_words(at)
    iso = _utc(at)[0]
    return format_html('<time datetime="{}" data-when="hour">{}</time>', iso, hour_words(at))


@register.simple_tag(takes_context=True)
def live(
    context: template.Context, topics: str, url_name: str, *args: object, every: int = 0
) -> SafeString:
    """Return the attributes of an element whose parts are fetched again when something on `topics`
    changes, with the open page's query string (`query` of the context). `every`: also after so many
    seconds, for what nobody announces; 0: never."""
    query = context.get("query")
    return format_html(
        'data-live="{}" hx-get="{}" hx-trigger="{}" hx-swap="merge" hx-sync="this:queue last"',
        topics,
        reverse(url_name, args=args) + (f"?{query}" if query else ""),
        f"live, every {every}s" if every else "live",
    )
