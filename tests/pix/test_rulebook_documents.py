"""Documents of rulebooks: what people write into one by mistake is refused before a claim depends
on it."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import Invalid
from apps.pix.rulebooks.book import Rulebook
from apps.pix.rulebooks.documents import DICT, DOCUMENTS, SOURCE

Document = dict[str, Any]
Change = Callable[[Document], Any]


def changed(document: Document, change: Change) -> Document:
    copy = deepcopy(document)
    change(copy)
    return copy


def refusal(document: object) -> Invalid:
    with pytest.raises(Invalid) as refused:
        Rulebook.parse(document)
    assert refused.value.code == "rulebook_invalid"
    assert str(refused.value.detail)
    return refused.value


def row(document: Document, event: str, **like: Any) -> Document:
    """The first row of the event that has these members."""
    return next(
        row
        for row in document["rows"]
        if row["event"] == event and all(row.get(name) == value for name, value in like.items())
    )


def without(document: Document, event: str, **like: Any) -> None:
    document["rows"].remove(row(document, event, **like))


def repeated(document: Document, event: str, **other: Any) -> None:
    document["rows"].append(row(document, event) | other)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one["code"])
def test_the_first_rulebooks_are_valid_and_survive_json(document: Document) -> None:
    rulebook = Rulebook.parse(document)
    assert Rulebook.parse(json.loads(json.dumps(document))) == rulebook
    assert (rulebook.code, rulebook.version) == (document["code"], 1)


PERIODS = ("types", "PORTABILITY", "seconds")
WORDS: list[tuple[str, Change]] = [
    ("code", lambda d: d.update(code="Source")),
    ("code", lambda d: d.update(code="a" * 41)),
    ("code", lambda d: d.update(code=None)),
    ("version", lambda d: d.update(version=0)),
    ("version", lambda d: d.update(version=True)),
    ("version", lambda d: d.update(version="1")),
    ("", lambda d: d.update(note="")),
    ("", lambda d: d.pop("same")),
    ("types", lambda d: d.update(types={})),
    ("types", lambda d: d.update(types=[])),
    ("types", lambda d: d["types"].update(GIFT={})),
    ("types.PORTABILITY.keys", lambda d: d["types"]["PORTABILITY"].update(keys=["PIX"])),
    ("types.PORTABILITY.keys", lambda d: d["types"]["PORTABILITY"].update(keys=["CPF", "CPF"])),
    ("types.PORTABILITY.keys", lambda d: d["types"]["PORTABILITY"].update(keys=["EVP"])),
    ("types.PORTABILITY.keys", lambda d: d["types"]["PORTABILITY"].update(keys=[])),
    ("types.PORTABILITY.keys", lambda d: d["types"]["PORTABILITY"].update(keys="CPF")),
    ("types.PORTABILITY.without_key", lambda d: d["types"]["PORTABILITY"].update(without_key=1)),
    ("same", lambda d: d.update(same={"NEW": "OPEN"})),
    ("same.OPEN", lambda d: d.update(same={"OPEN": "OPEN"})),
    ("same.OPEN", lambda d: d.update(same={"OPEN": "COMPLETED"})),
    ("same.EXPIRED", lambda d: d.update(same={"EXPIRED": "OPEN"})),
    ("rows", lambda d: d.update(rows={})),
    ("rows", lambda d: d.update(rows=[{}] * 201)),
    ("rows.1", lambda d: d["rows"].insert(0, None)),
    ("rows.1", lambda d: d["rows"][0].pop("to")),
    ("rows.1", lambda d: d["rows"][0].update(until="resolution")),
    ("rows.1.event", lambda d: d["rows"][0].update(event="begin")),
    ("rows.1.actors", lambda d: d["rows"][0].update(actors=["BANK"])),
    ("rows.1.actors", lambda d: d["rows"][0].update(actors=[["DONOR"]])),
    ("rows.1", lambda d: d["rows"][0].update(actors=[])),
    ("rows.1", lambda d: d["rows"][0].update(types=[])),
    ("rows.1.to", lambda d: d["rows"][0].update(to="open")),
    ("rows.1.reasons", lambda d: d["rows"][0].update(reasons="all")),
    ("rows.1.reasons", lambda d: d["rows"][0].update(reasons=["BECAUSE"])),
    ("rows.1.effects", lambda d: d["rows"][0].update(effects=["delete_everything"])),
    ("rows.1.after", lambda d: d["rows"][0].update(after="never")),
    ("rows.1.after", lambda d: d["rows"][0].update(after=None)),
    ("rows.1.on_behalf_of", lambda d: d["rows"][0].update(on_behalf_of="CLOCK")),
]


@pytest.mark.parametrize(("path", "change"), WORDS)
def test_an_unknown_word_is_refused_where_it_stands(path: str, change: Change) -> None:
    assert refusal(changed(SOURCE, change)).extra["path"] == path


@pytest.mark.parametrize(
    "seconds", [-1, 0, float("nan"), float("inf"), 604800.0, "604800", True, None, 10**18]
)
def test_a_period_is_a_whole_number_of_seconds(seconds: object) -> None:
    document = changed(
        DICT, lambda d: d["types"]["PORTABILITY"]["seconds"].update(resolution=seconds)
    )
    assert refusal(document).extra["path"] == "types.PORTABILITY.seconds.resolution"


@pytest.mark.parametrize("document", [None, [], "source", 1, {}, {1: 2}, [SOURCE]])
def test_what_is_no_document_is_refused(document: object) -> None:
    refusal(document)


BY_DONOR = {"actors": ["DONOR"]}
SENSELESS: list[tuple[str, Change]] = [
    # Periods.
    ("possession ends after", lambda d: d["types"]["OWNERSHIP"]["seconds"].update(possession=9)),
    ("differ: completion", lambda d: d["types"]["OWNERSHIP"]["seconds"].pop("completion")),
    ("differ: completion", lambda d: d["types"]["PORTABILITY"]["seconds"].update(completion=9)),
    # The clock.
    ("no rule of the clock", lambda d: without(d, "elapse", types=["PORTABILITY"])),
    ("no rule of the clock", lambda d: without(d, "elapse", after="possession")),
    ("no rule of the clock", lambda d: row(d, "elapse").update(states=["OPEN"])),
    ("after a period", lambda d: row(d, "elapse").pop("after")),
    ("for one reason", lambda d: row(d, "elapse").update(reasons=[])),
    ("for one reason", lambda d: row(d, "elapse").update(reasons="any")),
    ("for one reason", lambda d: row(d, "elapse").update(reasons=["FRAUD", "DEFAULT_OPERATION"])),
    ("clock does nothing else", lambda d: row(d, "elapse").update(actors=["DONOR"])),
    ("clock does nothing else", lambda d: row(d, "elapse").update(actors=["CLOCK", "DONOR"])),
    ("clock does nothing else", lambda d: row(d, "cancel").update(actors=["CLOCK"])),
    ("on behalf of a side", lambda d: row(d, "cancel").update(on_behalf_of="DONOR")),
    # Two answers to one question.
    ("Two rules", lambda d: repeated(d, "confirm")),
    ("Two rules", lambda d: repeated(d, "confirm", reasons="any")),
    ("Two rules", lambda d: repeated(d, "confirm", reasons=[])),
    ("Two rules", lambda d: repeated(d, "confirm", after="resolution")),
    ("Two rules", lambda d: repeated(d, "elapse", reasons=["FRAUD"], on_behalf_of="CLAIMER")),
    ("Two rules", lambda d: repeated(d, "acknowledge")),
    ("One rule opens", lambda d: repeated(d, "open", actors=["SIGNAL"])),
    # Ways.
    ("One rule opens", lambda d: without(d, "open")),
    ("No rule leads to OPEN", lambda d: row(d, "open").update(to="WAITING_RESOLUTION")),
    ("No rule leads to WAITING_RESOLUTION", lambda d: without(d, "acknowledge")),
    ("only goes forward", lambda d: row(d, "acknowledge").update(states=["CONFIRMED"])),
    ("only goes forward", lambda d: row(d, "cancel").update(states=["COMPLETED"])),
    ("only goes forward", lambda d: row(d, "acknowledge").update(states=["WAITING_RESOLUTION"])),
    ("does not lead to", lambda d: row(d, "cancel").update(to="COMPLETED")),
    ("does not lead to", lambda d: row(d, "confirm").update(to="CANCELLED")),
    ("does not lead to", lambda d: row(d, "elapse").update(to="COMPLETED")),
    ("in which statuses", lambda d: row(d, "cancel").update(states=[])),
    ("from no status", lambda d: row(d, "open").update(states=["OPEN"])),
    ("without a reason", lambda d: row(d, "open").update(reasons=["FRAUD"])),
    ("could be completed", lambda d: without(d, "complete", types=["PORTABILITY"])),
    ("types of claim that the rulebook has", lambda d: d["types"].pop("OWNERSHIP")),
    ("read as another one", lambda d: d.update(same={"OPEN": "WAITING_RESOLUTION"})),
    # Entries.
    ("removed by what confirms", lambda d: row(d, "confirm").update(effects=[])),
    ("removed by what confirms", lambda d: row(d, "cancel").update(effects=["remove_donor_entry"])),
    ("when the claim is completed", lambda d: row(d, "cancel").update(effects=["move_entry"])),
    ("either kept or reset", lambda d: row(d, "complete")["effects"].remove("keep_ownership_date")),
    (
        "either kept or reset",
        lambda d: row(d, "complete")["effects"].append("reset_ownership_date"),
    ),
    ("creates the claimer's entry", lambda d: row(d, "complete")["effects"].append("move_entry")),
    ("request id", lambda d: row(d, "complete")["effects"].remove("new_request_id")),
    ("creates it", lambda d: row(d, "open").update(effects=[])),
    ("is not for", lambda d: row(d, "cancel").update(effects=["notify_donor"])),
    ("is not for", lambda d: row(d, "acknowledge").update(effects=["create_claim"])),
    ("moves the completion", lambda d: row(d, "cancel").update(effects=["completion_ends_now"])),
]


@pytest.mark.parametrize(("says", "change"), SENSELESS)
def test_a_rulebook_that_makes_no_sense_is_refused(says: str, change: Change) -> None:
    assert says in refusal(changed(DICT, change)).detail


def test_a_status_that_nothing_leads_out_of_is_refused() -> None:
    def stuck(document: Document) -> None:
        document["rows"] = [row for row in document["rows"] if "CONFIRMED" not in row["states"]]
        document["types"].pop("OWNERSHIP")
        document["rows"] = [row for row in document["rows"] if "PORTABILITY" in row["types"]]
        for one in document["rows"]:
            one["types"] = ["PORTABILITY"]

    assert "out of CONFIRMED" in refusal(changed(DICT, stuck)).detail


def test_a_rulebook_may_have_other_periods_and_reasons() -> None:
    def edited(document: Document) -> None:
        document["version"] = 2
        document["types"]["PORTABILITY"]["seconds"]["resolution"] = 60
        document["types"]["OWNERSHIP"]["keys"].append("EMAIL")
        row(document, "confirm")["reasons"].append("FRAUD")

    assert Rulebook.parse(changed(DICT, edited)).version == 2


# --- any document ---------------------------------------------------------------------------------
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]


PLACES = [(document, place) for document in DOCUMENTS for place in places(document) if place]


@given(st.sampled_from(PLACES), JSON)
def test_anything_anywhere_in_a_document_is_valid_or_refused(
    at: tuple[Document, tuple[Any, ...]], value: Any
) -> None:
    document, (*way, last) = deepcopy(at[0]), at[1]
    inner: Any = document
    for name in way:
        inner = inner[name]
    inner[last] = value
    try:
        Rulebook.parse(document)
    except Invalid as refused:
        assert refused.code == "rulebook_invalid"


@given(JSON)
def test_any_json_is_refused(document: Any) -> None:
    refusal(document)
