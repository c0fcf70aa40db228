"""What is signed, in words: nothing is hidden, nothing is said that the payload does not have."""

from typing import Any

from apps.approvals.signed_words import Form, Said, Wording, as_it_stands, difference_in_words

PAYLOAD: dict[str, Any] = {
    "amount": "600000.00",
    "currency": "NGN",
    "target": "Makoko Health Post",
    "policy": "relief",
    "policy_version": 3,
    "reversible": False,
    "requested_by": "user:7",
}


def words(payload: Any) -> list[Said]:
    said = Wording(payload)
    said.amount("Amount", "amount")
    said.text("Paid to", "target")
    said.named("Policy", {"policy": "relief", "policy_version": 3}, "Relief, version 3")
    said.either("Undoing it", "reversible", yes="possible", no="not possible", warn=False)
    said.named("Asked by", {"requested_by": "user:7"}, "Amina Bello")
    return said.lines()


def in_words(payload: Any) -> dict[str, str]:
    return {line.label: line.value for line in words(payload)}


def test_each_field_is_said_once_in_the_words_of_the_domain():
    assert in_words(PAYLOAD) == {
        "Amount": "NGN\u00a0600,000.00",
        "Paid to": "Makoko Health Post",
        "Policy": "Relief, version 3",
        "Undoing it": "not possible",
        "Asked by": "Amina Bello",
    }
    fields = [field for line in words(PAYLOAD) for field in line.fields]
    assert sorted(fields) == sorted(PAYLOAD)


def test_a_field_without_words_stands_as_it_is_signed():
    added = in_words({**PAYLOAD, "bank_code": "044", "limits": {"day": 2}, "urgent": True})
    assert (added["Bank code"], added["Limits"], added["Urgent"]) == ("044", '{"day":2}', "yes")


def test_a_name_is_shown_only_for_the_value_that_it_stands_for():
    other = in_words({**PAYLOAD, "requested_by": "user:8", "policy_version": 4})
    assert "Asked by" not in other and "Policy version" in other
    assert (other["Requested by"], other["Policy"], other["Policy version"]) == (
        "user:8",
        "relief",
        "4",
    )


def test_an_amount_is_never_rounded_and_never_guessed():
    for amount in ("0.005", "1e400x", "NaN", "", None, 5):
        stands = in_words({**PAYLOAD, "amount": amount})
        assert not stands["Amount"].startswith("NGN")
        assert stands["Currency"] == "NGN"
    assert in_words({**PAYLOAD, "amount": "5", "currency": "JPY"})["Amount"] == "JPY\u00a05"
    without = {name: value for name, value in PAYLOAD.items() if name != "currency"}
    assert in_words(without)["Amount"] == "600000.00"


def test_a_list_of_rows_is_a_table_with_the_first_rows_and_the_number_of_all():
    rows = [[number, f"{number}000.00", None] for number in range(1, 31)]
    said = Wording({"currency": "NGN", "columns": ["no", "amount", "region"], "items": rows})
    said.table("Payments", "items", titles={"no": "No."}, amounts=("amount",))
    table = said.lines()[0]
    assert (table.form, table.columns) == (Form.TABLE, ("No.", "amount", "region"))
    assert (table.fields, table.number, table.more) == (("items", "columns"), 30, 10)
    assert table.rows[0] == ("1", "NGN\u00a01,000.00", "–")
    # Without words too: nothing is left out.
    plain = as_it_stands({"columns": ["no"], "items": rows})
    assert {field for line in plain for field in line.fields} == {"columns", "items"}


def test_a_difference_is_told_in_the_same_words():
    now = {**PAYLOAD, "amount": "500.00", "policy_version": 4, "note": "new"}
    assert difference_in_words(words, PAYLOAD, now) == [
        {"field": "Amount", "was": "NGN\u00a0600,000.00", "now": "NGN\u00a0500.00"},
        {"field": "Note", "was": "", "now": "new"},
        {"field": "Policy version", "was": "Relief, version 3", "now": "4"},
    ]
    assert difference_in_words(words, PAYLOAD, dict(PAYLOAD)) == []


def test_two_lines_with_one_label_do_not_hide_each_other() -> None:
    def both(payload: Any) -> list[Said]:
        said = Wording(payload)
        said.text("Account", "debited")
        said.text("Account", "credited")
        return said.lines()

    was = {"debited": "1", "credited": "2"}
    assert difference_in_words(both, was, {"debited": "3", "credited": "4"}) == [
        {"field": "Account", "was": "2", "now": "4"},
        {"field": "Account", "was": "1", "now": "3"},
    ]
