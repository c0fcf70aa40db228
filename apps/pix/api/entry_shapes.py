"""What the API of keys takes and answers; claims take the same accounts and owners."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

from apps.pix.contracts import (
    AccountType,
    ChangeKind,
    ChangeStatus,
    EntryStatus,
    KeyType,
    OwnerType,
)
from apps.pix.contracts.entries import USER_REQUESTED, AccountGiven, OwnerGiven
from apps.pix.holders import LONGEST_NAME, LONGEST_TRADE_NAME

#: Longer than any of them is: the service says what is wrong with one.
Word = Annotated[str, Field(max_length=100)]
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
TradeName = Annotated[str, Field(max_length=LONGEST_TRADE_NAME)]
EntryId = Annotated[str, Field(max_length=100)]


class _In(Schema):
    model_config = ConfigDict(extra="forbid")


class PixAccountIn(_In):
    """`participant`: ISPB. All of it is text: the branch `1` is not the branch `0001`."""

    participant: Word
    branch: Word | None = None
    number: Word
    type: Word

    def given(self) -> AccountGiven:
        return AccountGiven(**self.dict())


class PixOwnerIn(_In):
    """`tax_id`: CPF of a person, CNPJ of a company, with or without punctuation; only a company
    has a `trade_name`."""

    type: Word
    tax_id: Word
    name: Name
    trade_name: TradeName | None = None

    def given(self) -> OwnerGiven:
        return OwnerGiven(**self.dict())


class PixEntryIn(_In):
    """`key`: without one for EVP, which the directory makes."""

    key_type: Word
    key: Annotated[str, Field(max_length=200)] | None = None
    account: PixAccountIn
    owner: PixOwnerIn
    idempotency_key: Annotated[str, Field(max_length=120)] = ""


class PixAccountChange(PixAccountIn):
    participant: Word = ""


class PixOwnerChange(PixOwnerIn):
    type: Word = ""
    tax_id: Word = ""
    name: Name = ""


class PixEntryChangeIn(_In):
    """What is left out stays as it is. Only account, name and trade name can change."""

    account: PixAccountChange | None = None
    owner: PixOwnerChange | None = None
    reason: Word = USER_REQUESTED
    idempotency_key: Annotated[str, Field(max_length=120)] = ""


class PixCodeIn(_In):
    code: Annotated[str, Field(max_length=20)]


class PixLookupIn(_In):
    """`participant`: the one of ours that asks; the first of them without it."""

    key_type: Word
    key: Annotated[str, Field(max_length=200)]
    participant: Word = ""


class PixEntryStarted(Schema):
    """`id`: of the entry; `status`: its own."""

    id: UUID
    status: EntryStatus
    workflow_id: str


class PixAccountOut(Schema):
    participant: str
    branch: str | None
    number: str | None
    type: AccountType | None


class PixOwnerOut(Schema):
    """`tax_id` of a person is masked."""

    type: OwnerType | None
    tax_id: str | None
    name: str | None
    trade_name: str | None


class PixChangeOut(Schema):
    id: UUID
    kind: ChangeKind
    status: ChangeStatus
    reason: str
    workflow_id: str
    code: str | None
    error: str | None
    created_at: datetime


class PixEntryOut(Schema):
    """`key` is masked: `POST …/full-key` gives it whole. `change`: the newest."""

    id: UUID
    entry_id: str
    key_type: KeyType | None
    key: str
    account: PixAccountOut
    owner: PixOwnerOut
    status: EntryStatus
    ownership_at: datetime | None
    created_at: datetime
    removed_at: datetime | None
    version: int
    change: PixChangeOut | None


class PixEntryPage(Schema):
    items: list[PixEntryOut]
    next: str | None


class PixFullKey(Schema):
    key_type: KeyType | None
    key: str
    tax_id: str


class PixFoundOut(Schema):
    """`source`: `here`, `directory`, or `copy` of what one of them said within the last minute."""

    key_type: KeyType
    key: str
    account: PixAccountOut
    owner: PixOwnerOut
    ownership_at: datetime | None
    entry_id: str | None
    source: str
