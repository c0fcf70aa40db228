"""The CIDs of the simulator are those of the directory's manual: its vectors, by its own code."""

from functools import reduce

import pytest

from apps.simulators.directory import cids

FIRST = "28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88"


def cid(request_id: bytes, branch: str, name: str = "João Silva") -> str:
    return cids.cid_of(
        request_id,
        key_type="PHONE",
        key="+5511987654321" if branch == "00001" else "+5561988880000",
        tax_id="11122233300",
        name=name,
        trade_name="",
        participant="12345678",
        branch=branch,
        number="0007654321",
        account_type="CACC",
    ).hex()


def test_the_manuals_first_vector() -> None:
    assert cid(bytes(range(1, 17)), "00001") == FIRST


def test_the_manuals_second_vector() -> None:
    several = [
        FIRST,
        "4d4abb9168114e349672b934d16ed201a919cb49e28b7f66a240e62c92ee007f",
        "fce514f84f37934bc8aa0f861e4f7392273d71b9d18e8209d21e4192a7842058",
    ]
    xor = reduce(cids.xor, map(bytes.fromhex, several), cids.EMPTY)
    assert xor.hex() == "996fc1dd3b6b14bcf0c9fe8320eb66d7e2a3fd874ccf767b2e939641b1ea8eaf"
    assert reduce(cids.xor, map(bytes.fromhex, several), xor) == cids.EMPTY


def test_the_third_vector_with_a_request_id() -> None:
    request_id = cids.request_bytes("a946d533-7f22-42a5-9a9b-e87cd55c0f4d")
    made = cid(request_id, "0001")
    assert made == "11bc81ee9e1e04290bb98285eb59d6a0452fe853136ac6e69e0670b905704da7"


@pytest.mark.parametrize("name", ["Joa\u0303o Silva", "João Silva ", "JOÃO SILVA"])
def test_values_are_hashed_exactly_as_they_were_sent(name: str) -> None:
    assert cid(bytes(range(1, 17)), "00001", name) != FIRST
