import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Problem(_message.Message):
    __slots__ = ("type", "title", "status", "detail", "violations", "retry_after")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    type: str
    title: str
    status: int
    detail: str
    violations: _containers.RepeatedCompositeFieldContainer[Violation]
    retry_after: float
    def __init__(self, type: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[int] = ..., detail: _Optional[str] = ..., violations: _Optional[_Iterable[_Union[Violation, _Mapping]]] = ..., retry_after: _Optional[float] = ...) -> None: ...

class Violation(_message.Message):
    __slots__ = ("reason", "value", "property")
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    value: str
    property: str
    def __init__(self, reason: _Optional[str] = ..., value: _Optional[str] = ..., property: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("participant", "branch", "number", "type", "opened_at")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    participant: str
    branch: str
    number: str
    type: str
    opened_at: _timestamp_pb2.Timestamp
    def __init__(self, participant: _Optional[str] = ..., branch: _Optional[str] = ..., number: _Optional[str] = ..., type: _Optional[str] = ..., opened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Owner(_message.Message):
    __slots__ = ("type", "tax_id", "name", "trade_name")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TAX_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRADE_NAME_FIELD_NUMBER: _ClassVar[int]
    type: str
    tax_id: str
    name: str
    trade_name: str
    def __init__(self, type: _Optional[str] = ..., tax_id: _Optional[str] = ..., name: _Optional[str] = ..., trade_name: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("key_type", "key", "account", "owner", "created_at", "owned_since", "claimed_at")
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    OWNED_SINCE_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    key_type: str
    key: str
    account: Account
    owner: Owner
    created_at: _timestamp_pb2.Timestamp
    owned_since: _timestamp_pb2.Timestamp
    claimed_at: _timestamp_pb2.Timestamp
    def __init__(self, key_type: _Optional[str] = ..., key: _Optional[str] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., owned_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., claimed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateEntryRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "request_id", "key_type", "key", "account", "owner", "reason")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    request_id: str
    key_type: str
    key: str
    account: Account
    owner: Owner
    reason: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., request_id: _Optional[str] = ..., key_type: _Optional[str] = ..., key: _Optional[str] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class GetEntryRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "key")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    key: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class UpdateEntryRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "key", "account", "name", "trade_name", "reason")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRADE_NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    key: str
    account: Account
    name: str
    trade_name: str
    reason: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., key: _Optional[str] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., name: _Optional[str] = ..., trade_name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DeleteEntryRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "key", "reason")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    key: str
    reason: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., key: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DeleteEntryResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("id", "type", "key_type", "key", "claimer_account", "claimer", "donor_participant", "status", "resolution_ends_at", "completion_ends_at", "modified_at", "confirm_reason", "cancel_reason", "cancelled_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_FIELD_NUMBER: _ClassVar[int]
    DONOR_PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_REASON_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    key_type: str
    key: str
    claimer_account: Account
    claimer: Owner
    donor_participant: str
    status: str
    resolution_ends_at: _timestamp_pb2.Timestamp
    completion_ends_at: _timestamp_pb2.Timestamp
    modified_at: _timestamp_pb2.Timestamp
    confirm_reason: str
    cancel_reason: str
    cancelled_by: str
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., key_type: _Optional[str] = ..., key: _Optional[str] = ..., claimer_account: _Optional[_Union[Account, _Mapping]] = ..., claimer: _Optional[_Union[Owner, _Mapping]] = ..., donor_participant: _Optional[str] = ..., status: _Optional[str] = ..., resolution_ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completion_ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confirm_reason: _Optional[str] = ..., cancel_reason: _Optional[str] = ..., cancelled_by: _Optional[str] = ...) -> None: ...

class CreateClaimRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "type", "key_type", "key", "claimer_account", "claimer")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    type: str
    key_type: str
    key: str
    claimer_account: Account
    claimer: Owner
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., type: _Optional[str] = ..., key_type: _Optional[str] = ..., key: _Optional[str] = ..., claimer_account: _Optional[_Union[Account, _Mapping]] = ..., claimer: _Optional[_Union[Owner, _Mapping]] = ...) -> None: ...

class GetClaimRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ListClaimsRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "role", "statuses", "modified_from", "modified_to", "limit")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_FROM_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_TO_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    role: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    modified_from: _timestamp_pb2.Timestamp
    modified_to: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., role: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., modified_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., modified_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListClaimsResponse(_message.Message):
    __slots__ = ("claims", "has_more")
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    claims: _containers.RepeatedCompositeFieldContainer[Claim]
    has_more: bool
    def __init__(self, claims: _Optional[_Iterable[_Union[Claim, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class AcknowledgeClaimRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ConfirmClaimRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id", "reason")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    reason: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelClaimRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id", "reason")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    reason: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CompleteClaimRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "request_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    request_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., request_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class CompleteClaimResponse(_message.Message):
    __slots__ = ("claim", "created_at", "owned_since")
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    OWNED_SINCE_FIELD_NUMBER: _ClassVar[int]
    claim: Claim
    created_at: _timestamp_pb2.Timestamp
    owned_since: _timestamp_pb2.Timestamp
    def __init__(self, claim: _Optional[_Union[Claim, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., owned_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Infraction(_message.Message):
    __slots__ = ("id", "transaction_id", "reason", "situation_type", "details", "contact_email", "contact_phone", "status", "reporter_participant", "counterparty_participant", "funds_recovery_id", "fraud_marker_id", "analysis_result", "analysis_details", "fraud_type", "amount", "created_at", "modified_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SITUATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    CONTACT_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REPORTER_PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    FUNDS_RECOVERY_ID_FIELD_NUMBER: _ClassVar[int]
    FRAUD_MARKER_ID_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_RESULT_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_DETAILS_FIELD_NUMBER: _ClassVar[int]
    FRAUD_TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    transaction_id: str
    reason: str
    situation_type: str
    details: str
    contact_email: str
    contact_phone: str
    status: str
    reporter_participant: str
    counterparty_participant: str
    funds_recovery_id: str
    fraud_marker_id: str
    analysis_result: str
    analysis_details: str
    fraud_type: str
    amount: str
    created_at: _timestamp_pb2.Timestamp
    modified_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., reason: _Optional[str] = ..., situation_type: _Optional[str] = ..., details: _Optional[str] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ..., status: _Optional[str] = ..., reporter_participant: _Optional[str] = ..., counterparty_participant: _Optional[str] = ..., funds_recovery_id: _Optional[str] = ..., fraud_marker_id: _Optional[str] = ..., analysis_result: _Optional[str] = ..., analysis_details: _Optional[str] = ..., fraud_type: _Optional[str] = ..., amount: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateInfractionRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "transaction_id", "reason", "situation_type", "details", "contact_email", "contact_phone")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SITUATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    CONTACT_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    transaction_id: str
    reason: str
    situation_type: str
    details: str
    contact_email: str
    contact_phone: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., reason: _Optional[str] = ..., situation_type: _Optional[str] = ..., details: _Optional[str] = ..., contact_email: _Optional[str] = ..., contact_phone: _Optional[str] = ...) -> None: ...

class GetInfractionRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ListInfractionsRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "role", "statuses", "modified_from", "modified_to", "limit")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_FROM_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_TO_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    role: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    modified_from: _timestamp_pb2.Timestamp
    modified_to: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., role: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., modified_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., modified_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListInfractionsResponse(_message.Message):
    __slots__ = ("infractions", "has_more")
    INFRACTIONS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    infractions: _containers.RepeatedCompositeFieldContainer[Infraction]
    has_more: bool
    def __init__(self, infractions: _Optional[_Iterable[_Union[Infraction, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class AcknowledgeInfractionRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class CloseInfractionRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id", "analysis_result", "analysis_details", "fraud_type")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_RESULT_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_DETAILS_FIELD_NUMBER: _ClassVar[int]
    FRAUD_TYPE_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    analysis_result: str
    analysis_details: str
    fraud_type: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ..., analysis_result: _Optional[str] = ..., analysis_details: _Optional[str] = ..., fraud_type: _Optional[str] = ...) -> None: ...

class CancelInfractionRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "key_type", "verifier")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    key_type: str
    verifier: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., key_type: _Optional[str] = ..., verifier: _Optional[str] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("id", "result", "verified_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    result: str
    verified_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., result: _Optional[str] = ..., verified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CidEvent(_message.Message):
    __slots__ = ("type", "cid", "at")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    type: str
    cid: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[str] = ..., cid: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "key_type", "since", "until", "limit")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    key_type: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., key_type: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "has_more", "verifier_start", "verifier_end")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_START_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_END_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[CidEvent]
    has_more: bool
    verifier_start: str
    verifier_end: str
    def __init__(self, events: _Optional[_Iterable[_Union[CidEvent, _Mapping]]] = ..., has_more: _Optional[bool] = ..., verifier_start: _Optional[str] = ..., verifier_end: _Optional[str] = ...) -> None: ...

class CreateFileRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "key_type")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    key_type: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., key_type: _Optional[str] = ...) -> None: ...

class GetFileRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class CidFile(_message.Message):
    __slots__ = ("id", "key_type", "status", "requested_at", "made_at", "bytes", "sha256")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    id: str
    key_type: str
    status: str
    requested_at: _timestamp_pb2.Timestamp
    made_at: _timestamp_pb2.Timestamp
    bytes: int
    sha256: str
    def __init__(self, id: _Optional[str] = ..., key_type: _Optional[str] = ..., status: _Optional[str] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., made_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class DownloadFileRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "id", "offset")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    id: str
    offset: int
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetEntryByCidRequest(_message.Message):
    __slots__ = ("participant", "correlation_id", "cid")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CID_FIELD_NUMBER: _ClassVar[int]
    participant: str
    correlation_id: str
    cid: str
    def __init__(self, participant: _Optional[str] = ..., correlation_id: _Optional[str] = ..., cid: _Optional[str] = ...) -> None: ...

class CidEntry(_message.Message):
    __slots__ = ("cid", "request_id", "entry")
    CID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    cid: str
    request_id: str
    entry: Entry
    def __init__(self, cid: _Optional[str] = ..., request_id: _Optional[str] = ..., entry: _Optional[_Union[Entry, _Mapping]] = ...) -> None: ...
