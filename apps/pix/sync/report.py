"""The report of a synchronisation as PDF, made by typst from the kept document. The same data is
the same bytes, on every machine."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typst
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.language import in_site_language
from apps.pix.models import SyncRun
from apps.web.tones import words_of

_TEMPLATE = Path(__file__).with_name("report.typ")
#: Differences on paper; the CSV file has all of them. A thousand take a second.
MOST_SHOWN = 1_000


@in_site_language
def render(
    run: SyncRun, report: Mapping[str, Any], differences: Sequence[Mapping[str, Any]]
) -> bytes:
    """Return the PDF of an ended run."""
    ended = run.settled_at or run.created_at
    # Words of states are lazy: they are said in the site's language here.
    printed = _printed(run, report, differences)
    return bytes(
        typst.compile(
            _TEMPLATE,
            root=_TEMPLATE.parent,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(printed, default=str)},
            timestamp=int(ended.timestamp()),
        )
    )


def _printed(
    run: SyncRun, report: Mapping[str, Any], differences: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return every text of the pages."""
    total = sum(sum(one["states"].values()) for one in report["types"])
    facts = {
        gettext("Participant"): run.participant,
        gettext("Result"): words_of(run.status),
        gettext("Began"): _at(run.created_at),
        gettext("Ended"): _at(run.settled_at),
        gettext("Why it ended"): run.error_detail,
    }
    return {
        "language": settings.LANGUAGE_CODE.partition("-")[0],
        "id": str(run.pk),
        "participant": run.participant,
        "facts": [{"name": name, "value": value} for name, value in facts.items() if value],
        "types": {
            "widths": [0, 1, 1, 0, 0, 0, 0, 0, 0, 2],
            "head": [
                gettext("Keys"),
                gettext("Before"),
                gettext("After"),
                gettext("Here"),
                gettext("In the file"),
                gettext("Changed"),
                gettext("Missing"),
                gettext("Extra"),
                gettext("Repaired"),
                gettext("Left"),
            ],
            "rows": [_type_line(one) for one in report["types"]],
        },
        "differences": {
            "widths": [0, 0, 0, 2, 3, 5],
            "head": [
                gettext("Keys"),
                gettext("Kind"),
                gettext("State"),
                gettext("Why"),
                gettext("Key"),
                gettext("Content id"),
            ],
            "rows": [
                [
                    one["key_type"],
                    words_of(one["kind"]),
                    words_of(one["state"]),
                    words_of(one["why"]) if one["why"] else "",
                    one["key"],
                    one["cid"],
                ]
                for one in differences
            ],
        },
        "more": gettext("And {more:,} more: the CSV file has all of them.").format(
            more=total - len(differences)
        )
        if total > len(differences)
        else "",
        "words": {
            "title": gettext("Synchronisation of keys"),
            "differences": gettext("Differences"),
            # Filled in by typst, which knows the pages.
            "page": gettext("Page {page} of {pages}"),
        },
    }


def _type_line(one: Mapping[str, Any]) -> list[str]:
    left = ", ".join(f"{words_of(why)}: {number:,}" for why, number in one["left"].items())
    return [
        one["key_type"],
        equal_words(one["before"]),
        equal_words(one["after"]) if one["before"] is False else "",
        f"{one['ours']:,}",
        "" if one["theirs"] is None else f"{one['theirs']:,}",
        *(f"{one['kinds'].get(kind, 0):,}" for kind in ("changed", "missing", "extra")),
        f"{one['states'].get('repaired', 0):,}",
        one["error_detail"] or left,
    ]


def equal_words(equal: bool | None) -> str:
    """Say a verdict."""
    if equal is None:
        return gettext("not asked")
    return gettext("equal") if equal else gettext("differs")


def _at(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment else ""
