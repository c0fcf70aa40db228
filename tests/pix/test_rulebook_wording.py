"""A rulebook, and what changes in it, in sentences for two people who sign the change."""

from copy import deepcopy
from typing import Any

from apps.pix.rulebooks.book import Rulebook
from apps.pix.rulebooks.documents import DICT, SOURCE
from apps.pix.rulebooks.wording import diff_words, words


def edited(document: dict[str, Any]) -> tuple[dict[str, Any], Rulebook]:
    return deepcopy(document), Rulebook.parse(document)


def test_every_rule_and_period_is_said() -> None:
    said = words(Rulebook.parse(DICT))
    assert "Ownership: for keys of type PHONE." in said
    assert "Portability: the donor has 7 days (604800 s) to answer." in said
    assert (
        "Ownership, while waiting for the donor: the clock on behalf of our donor acts; it is then "
        "confirmed. Reason: DEFAULT_OPERATION. Not before the donor's time has ended. With it: the "
        "donor's entry is removed."
    ) in said
    assert len(set(said)) == len(said)
    assert "A claim that is open counts as waiting for the donor." in words(Rulebook.parse(SOURCE))


def test_nothing_is_said_where_only_the_order_differs() -> None:
    document, old = edited(DICT)
    document["rows"].reverse()
    for row in document["rows"]:
        row["states"].reverse()
        row["reasons"].reverse()
    assert diff_words(old, Rulebook.parse(document)) == []


def test_a_longer_period_is_said_to_the_second() -> None:
    document, old = edited(SOURCE)
    document["types"]["OWNERSHIP"]["seconds"]["resolution"] += 1
    assert diff_words(old, Rulebook.parse(document)) == [
        "No longer: Ownership: the donor has 30 days (2592000 s) to answer.",
        "New: Ownership: the donor has 30 days (2592001 s) to answer.",
    ]


def test_a_reason_more_is_said_alone() -> None:
    document, old = edited(DICT)
    (row,) = (row for row in document["rows"] if row["reasons"] == ["RECONCILIATION"])
    row["states"].append("WAITING_RESOLUTION")
    assert diff_words(old, Rulebook.parse(document)) == [
        "New: Portability, while waiting for the donor: the claimer may cancel; it is then "
        "cancelled. Reason: RECONCILIATION."
    ]


def test_another_end_is_said_as_one_rule_less_and_one_more() -> None:
    document, old = edited(DICT)
    (row,) = (
        row
        for row in document["rows"]
        if row["event"] == "elapse" and row["types"] == ["PORTABILITY"]
    )
    row["to"] = "EXPIRED"
    gone, come = diff_words(old, Rulebook.parse(document))
    assert gone.startswith("No longer: Portability") and "then cancelled" in gone
    assert come.startswith("New: Portability") and "then expired" in come


def test_keys_and_other_statuses_are_said_one_by_one() -> None:
    document, old = edited(SOURCE)
    document["types"]["OWNERSHIP"]["keys"] = ["PHONE"]
    document["types"]["OWNERSHIP"]["without_key"] = False
    document["same"] = {}
    assert diff_words(old, Rulebook.parse(document)) == [
        "No longer: Ownership: for keys of type EMAIL.",
        "No longer: Ownership: also for a key that is not known here.",
        "No longer: A claim that is open counts as waiting for the donor.",
    ]
    assert len(diff_words(Rulebook.parse(document), old)) == 3


def test_from_one_rulebook_to_the_other_and_back_the_same_is_said() -> None:
    source, directory = Rulebook.parse(SOURCE), Rulebook.parse(DICT)
    there, back = diff_words(source, directory), diff_words(directory, source)
    assert sorted(line.split(": ", 1)[1] for line in there) == sorted(
        line.split(": ", 1)[1] for line in back
    )
