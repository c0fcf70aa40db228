"""Section 1 of the directory's rules: keys, accounts, owners, limits, reasons, idempotency."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from apps.pix.bridge.problems import DirectoryRefused
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.simulators.directory.acting import (
    COMPANY,
    PERSON,
    PHONE,
    STRANGER,
    account,
    create,
    refusal,
)


def update(directory: SimulatedDirectory, key: str = PHONE, **other: Any) -> Any:
    words: dict[str, Any] = {
        "participant": OURS,
        "account": account(),
        "name": PERSON.name,
        "trade_name": "",
        "reason": "USER_REQUESTED",
    }
    return directory.client.entry_update(key=key, **{**words, **other})


def delete(directory: SimulatedDirectory, key: str = PHONE, **other: Any) -> None:
    words = {"participant": OURS, "reason": "USER_REQUESTED", **other}
    directory.client.entry_delete(key=key, **words)


@pytest.mark.parametrize(
    ("key_type", "key", "owner"),
    [
        ("CPF", "11122233300", replace(PERSON, tax_id="11122233300")),
        ("CNPJ", "11222333000150", replace(COMPANY, tax_id="11222333000150")),
        ("CNPJ", "12ABC34501DE35", replace(COMPANY, tax_id="12abc34501de35")),
        ("PHONE", "+551187654321", PERSON),
        ("EMAIL", "a.!#$'*+/=?^_`{|}~-@x", PERSON),
        ("EMAIL", "a" * 69 + "@x.co.ao", PERSON),
    ],
)
def test_keys_are_taken_without_a_look_at_their_check_digits(
    directory: SimulatedDirectory, key_type: str, key: str, owner: Any
) -> None:
    made = create(directory, key, key_type=key_type, owner=owner)
    assert (made.key_type, made.key, made.owner) == (key_type, key, owner)
    assert directory.client.entry_get(participant=OTHER, key=key) == made


@pytest.mark.parametrize(
    ("key_type", "key"),
    [
        *(("CPF", "1112223339"), ("CPF", "١١١٢٢٢٣٣٣٩٦"), ("CPF", "11122233396\n")),
        *(("CNPJ", "11.222.333/0001-81"), ("PHONE", "5511987654321"), ("PHONE", "+0511987654321")),
        *(("PHONE", "+1234567890123456"), ("EMAIL", "A@x.com"), ("EMAIL", "a&b@x.com")),
        *(("EMAIL", "a%b@x.com"), ("EMAIL", "a" * 70 + "@x.co.ao"), ("EMAIL", "@")),
        *(("EVP", "{00000000-0000-4000-8000-000000000000}"), ("IBAN", "DE1"), ("", "")),
        ("CPF", "98765432100"),  # not the owner's
    ],
)
def test_what_is_no_key_is_refused(directory: SimulatedDirectory, key_type: str, key: str) -> None:
    with pytest.raises(DirectoryRefused) as refused:
        create(directory, key, key_type=key_type)
    assert refused.value.code == "entry_invalid"
    assert refused.value.violations[0].property in ("key", "key_type")


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("account.number", {"account": replace(account(), number="7-1")}),
        ("account.branch", {"account": replace(account(), branch="00001")}),
        ("account.type", {"account": replace(account(), type="GOLD")}),
        ("account.participant", {"account": replace(account(), participant="1234567")}),
        ("owner.name", {"owner": replace(PERSON, name="")}),
        ("owner.name", {"owner": replace(PERSON, name="x" * 151)}),
        ("owner.type", {"owner": replace(PERSON, type="ROBOT")}),
        ("owner.tax_id", {"owner": replace(PERSON, tax_id="11222333000181")}),
        ("owner.trade_name", {"owner": replace(PERSON, trade_name="Joãozinho")}),
        ("owner.trade_name", {"owner": replace(COMPANY, trade_name="x" * 101)}),
    ],
)
def test_what_is_no_account_or_owner_is_refused_with_its_field(
    directory: SimulatedDirectory, field: str, other: dict[str, Any]
) -> None:
    with pytest.raises(DirectoryRefused) as refused:
        create(directory, **other)
    assert refused.value.code == "entry_invalid"
    assert refused.value.violations[0].property == field


def test_a_random_key_is_made_by_the_directory_once_for_a_request(
    directory: SimulatedDirectory,
) -> None:
    request_id = str(uuid4())
    made = create(directory, "", key_type="EVP", request_id=request_id)
    assert len(made.key) == 36
    assert create(directory, "", key_type="EVP", request_id=request_id) == made
    assert create(directory, "", key_type="EVP").key != made.key


def test_a_conflict_names_what_stands_in_the_way(directory: SimulatedDirectory) -> None:
    create(directory)
    assert refusal(create, directory) == "EntryAlreadyExists"
    assert refusal(create, directory, owner=STRANGER) == "EntryKeyOwnedByDifferentPerson"
    there = {"participant": OTHER}
    assert refusal(create, directory, owner=STRANGER, **there) == "EntryKeyOwnedByDifferentPerson"
    assert refusal(create, directory, **there) == "EntryKeyInCustodyOfDifferentParticipant"
    upper = replace(COMPANY, tax_id="12ABC34501DE35")
    create(directory, "12abc34501de35", key_type="CNPJ", owner=upper)
    said = refusal(create, directory, "12ABC34501DE35", key_type="CNPJ", owner=upper)
    assert said == "EntryAlreadyExists"


@pytest.mark.parametrize(("owner", "most"), [(PERSON, 5), (COMPANY, 20)])
def test_an_account_has_room_for_so_many_keys(
    directory: SimulatedDirectory, owner: Any, most: int
) -> None:
    for number in range(most):
        create(directory, f"+55119000000{number:02}", owner=owner)
    assert refusal(create, directory, owner=owner) == "EntryLimitExceeded"
    create(directory, owner=owner, account=account(number="1"))
    moved = refusal(
        update, directory, account=account(), name=owner.name, trade_name=owner.trade_name
    )
    assert moved == "EntryLimitExceeded"


def test_a_request_id_belongs_to_one_entry(directory: SimulatedDirectory) -> None:
    request_id = str(uuid4())
    made = create(directory, request_id=request_id)
    assert create(directory, request_id=request_id.upper()) == made
    changed = {"request_id": request_id, "owner": replace(PERSON, name="João da Silva")}
    assert refusal(create, directory, **changed) == "RequestIdAlreadyUsed"
    create(directory, "+5511900000001", request_id=request_id, participant=OTHER)
    for wrong in ("", "x", "a946d533-7f22-12a5-9a9b-e87cd55c0f4d", "٤" * 36):
        said = refusal(create, directory, "+5511900000002", request_id=wrong)
        assert said == "BadRequest"


ALL = (
    *("USER_REQUESTED", "BRANCH_TRANSFER", "RECONCILIATION", "RFB_VALIDATION"),
    *("ACCOUNT_CLOSURE", "FRAUD", "PARTICIPANT_EXCLUSION", ""),
)
UPDATE = {"USER_REQUESTED", "BRANCH_TRANSFER", "RECONCILIATION", "RFB_VALIDATION"}
DELETE = {"USER_REQUESTED", "ACCOUNT_CLOSURE", "RECONCILIATION", "FRAUD", "RFB_VALIDATION"}


@pytest.mark.parametrize("reason", ALL)
def test_each_operation_has_its_reasons(directory: SimulatedDirectory, reason: str) -> None:
    good = reason in ("USER_REQUESTED", "RECONCILIATION")
    said = refusal(create, directory, "+5511900000001", reason=reason)
    assert said == ("" if good else "InvalidReason")
    create(directory)
    evp = create(directory, "", key_type="EVP").key
    said = refusal(update, directory, name="Another", reason=reason)
    assert said == ("" if reason in UPDATE else "InvalidReason")
    said = refusal(update, directory, evp, name="Another", reason=reason)
    assert said == ("" if reason in UPDATE - {"USER_REQUESTED"} else "InvalidReason")
    said = refusal(delete, directory, reason=reason)
    assert said == ("" if reason in DELETE else "InvalidReason")


def test_an_update_changes_account_and_names_and_nothing_else(
    directory: SimulatedDirectory,
) -> None:
    made = create(directory)
    elsewhere = replace(account(OTHER), number="42", branch="7")
    changed = update(directory, account=elsewhere, name="João da Silva")
    assert changed.account == replace(elsewhere, participant=OURS)
    assert changed.owner == replace(PERSON, name="João da Silva")
    assert (changed.created_at, changed.owned_since) == (made.created_at, made.owned_since)
    assert update(directory, account=elsewhere, name="João da Silva") == changed
    assert refusal(update, directory, participant=OTHER) == "Forbidden"
    assert refusal(update, directory, "+5511900000000") == "NotFound"


def test_a_key_is_deleted_by_its_participant_alone(directory: SimulatedDirectory) -> None:
    create(directory)
    assert refusal(delete, directory, participant=OTHER) == "Forbidden"
    delete(directory)
    assert refusal(delete, directory) == "NotFound"
    assert create(directory, owner=STRANGER).owner == STRANGER


def test_strangers_to_the_directory_and_accounts_of_others_are_refused(
    directory: SimulatedDirectory,
) -> None:
    assert refusal(create, directory, participant="99999999") == "ParticipantInvalid"
    assert refusal(create, directory, account=account(OTHER)) == "Forbidden"


def test_two_participants_of_ours_have_the_same_rights(directory: SimulatedDirectory) -> None:
    for participant in (OURS, OTHER):
        key = f"+55119{participant}"
        made = create(directory, key, participant=participant)
        assert made.account.participant == participant
        assert update(
            directory, key, participant=participant, account=account(participant), name="X"
        )
        delete(directory, key, participant=participant)
