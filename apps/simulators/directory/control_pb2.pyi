import datetime

from apps.pix.bridge import directory_pb2 as _directory_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClockRequest(_message.Message):
    __slots__ = ("advance_seconds",)
    ADVANCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    advance_seconds: float
    def __init__(self, advance_seconds: _Optional[float] = ...) -> None: ...

class ClockResponse(_message.Message):
    __slots__ = ("now", "ahead_seconds")
    NOW_FIELD_NUMBER: _ClassVar[int]
    AHEAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    ahead_seconds: float
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ahead_seconds: _Optional[float] = ...) -> None: ...

class TamperRequest(_message.Message):
    __slots__ = ("participant", "key_type", "changed", "missing", "extra")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    participant: str
    key_type: str
    changed: int
    missing: int
    extra: int
    def __init__(self, participant: _Optional[str] = ..., key_type: _Optional[str] = ..., changed: _Optional[int] = ..., missing: _Optional[int] = ..., extra: _Optional[int] = ...) -> None: ...

class TamperResponse(_message.Message):
    __slots__ = ("changed", "missing", "extra")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    changed: int
    missing: int
    extra: int
    def __init__(self, changed: _Optional[int] = ..., missing: _Optional[int] = ..., extra: _Optional[int] = ...) -> None: ...

class FaultsRequest(_message.Message):
    __slots__ = ("operation", "lose_answer", "status", "delay_seconds", "next", "clear", "retry_after")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    LOSE_ANSWER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    operation: str
    lose_answer: bool
    status: int
    delay_seconds: float
    next: int
    clear: bool
    retry_after: float
    def __init__(self, operation: _Optional[str] = ..., lose_answer: _Optional[bool] = ..., status: _Optional[int] = ..., delay_seconds: _Optional[float] = ..., next: _Optional[int] = ..., clear: _Optional[bool] = ..., retry_after: _Optional[float] = ...) -> None: ...

class FaultsResponse(_message.Message):
    __slots__ = ("faults",)
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    faults: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, faults: _Optional[_Iterable[str]] = ...) -> None: ...

class OpenClaimRequest(_message.Message):
    __slots__ = ("type", "key", "claimer_participant", "claimer_tax_id", "claimer_name")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_TAX_ID_FIELD_NUMBER: _ClassVar[int]
    CLAIMER_NAME_FIELD_NUMBER: _ClassVar[int]
    type: str
    key: str
    claimer_participant: str
    claimer_tax_id: str
    claimer_name: str
    def __init__(self, type: _Optional[str] = ..., key: _Optional[str] = ..., claimer_participant: _Optional[str] = ..., claimer_tax_id: _Optional[str] = ..., claimer_name: _Optional[str] = ...) -> None: ...

class OpenInfractionRequest(_message.Message):
    __slots__ = ("counterparty_participant", "reporter_participant", "transaction_id", "reason", "situation_type", "details", "amount")
    COUNTERPARTY_PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    REPORTER_PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SITUATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    counterparty_participant: str
    reporter_participant: str
    transaction_id: str
    reason: str
    situation_type: str
    details: str
    amount: str
    def __init__(self, counterparty_participant: _Optional[str] = ..., reporter_participant: _Optional[str] = ..., transaction_id: _Optional[str] = ..., reason: _Optional[str] = ..., situation_type: _Optional[str] = ..., details: _Optional[str] = ..., amount: _Optional[str] = ...) -> None: ...

class BehaveRequest(_message.Message):
    __slots__ = ("participant", "behaviour")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOUR_FIELD_NUMBER: _ClassVar[int]
    participant: str
    behaviour: str
    def __init__(self, participant: _Optional[str] = ..., behaviour: _Optional[str] = ...) -> None: ...

class BehaveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LoadRequest(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_directory_pb2.CidEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[_directory_pb2.CidEntry, _Mapping]]] = ...) -> None: ...

class LoadResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: int
    def __init__(self, entries: _Optional[int] = ...) -> None: ...

class DumpRequest(_message.Message):
    __slots__ = ("participant", "key_type")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    participant: str
    key_type: str
    def __init__(self, participant: _Optional[str] = ..., key_type: _Optional[str] = ...) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowResponse(_message.Message):
    __slots__ = ("now", "ahead_seconds", "lag_seconds", "holdings", "claims", "infractions", "faults", "calls")
    class CallsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NOW_FIELD_NUMBER: _ClassVar[int]
    AHEAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HOLDINGS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    INFRACTIONS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    ahead_seconds: float
    lag_seconds: float
    holdings: _containers.RepeatedCompositeFieldContainer[Holding]
    claims: _containers.RepeatedCompositeFieldContainer[_directory_pb2.Claim]
    infractions: _containers.RepeatedCompositeFieldContainer[_directory_pb2.Infraction]
    faults: _containers.RepeatedScalarFieldContainer[str]
    calls: _containers.ScalarMap[str, int]
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ahead_seconds: _Optional[float] = ..., lag_seconds: _Optional[float] = ..., holdings: _Optional[_Iterable[_Union[Holding, _Mapping]]] = ..., claims: _Optional[_Iterable[_Union[_directory_pb2.Claim, _Mapping]]] = ..., infractions: _Optional[_Iterable[_Union[_directory_pb2.Infraction, _Mapping]]] = ..., faults: _Optional[_Iterable[str]] = ..., calls: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("participant", "name", "behaviour", "key_type", "entries", "verifier")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOUR_FIELD_NUMBER: _ClassVar[int]
    KEY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    participant: str
    name: str
    behaviour: str
    key_type: str
    entries: int
    verifier: str
    def __init__(self, participant: _Optional[str] = ..., name: _Optional[str] = ..., behaviour: _Optional[str] = ..., key_type: _Optional[str] = ..., entries: _Optional[int] = ..., verifier: _Optional[str] = ...) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ("lag_seconds", "limits")
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    lag_seconds: float
    limits: bool
    def __init__(self, lag_seconds: _Optional[float] = ..., limits: _Optional[bool] = ...) -> None: ...

class ResetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
