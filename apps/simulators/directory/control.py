"""What tests, demos and `manage.py simdirectory` tell the simulated directory."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import (
    bulk,
    claims,
    control_pb2_grpc,
    entries,
    infractions,
    strangers,
)
from apps.simulators.directory import control_pb2 as pb_control
from apps.simulators.directory.faults import Fault
from apps.simulators.directory.refusals import TYPES, Refused, end
from apps.simulators.directory.store import (
    BEHAVIOURS,
    LAG_SECONDS,
    SECOND,
    Store,
    timestamp,
)

if TYPE_CHECKING:
    from apps.simulators.directory.server import Door

#: Every operation that faults can be for.
OPERATIONS = tuple(
    f"{service.name}.{method.name}"
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
#: Ten years: nobody means more.
MOST_AHEAD = 3660 * 86_400
#: The person who claims our users' phones.
_CLAIMER = pb.Owner(type="NATURAL_PERSON", tax_id="98765432100", name="Joana Pereira Lima")


class Control(control_pb2_grpc.ControlServicer):
    """Without buckets and faults of its own."""

    def __init__(self, door: "Door") -> None:
        self.door = door
        self.store = door.store

    def Clock(self, request: Any, context: Any) -> Any:
        """Put the clock forward, and let strangers do what is due then."""
        return self._do(context, self._clock, request)

    def Tamper(self, request: Any, context: Any) -> Any:
        """Change, remove and add entries behind everybody's back."""
        return self._do(context, bulk.tamper, request)

    def Faults(self, request: Any, context: Any) -> Any:
        """Have calls go wrong."""
        return self._do(context, self._faults, request)

    def OpenClaim(self, request: Any, context: Any) -> Any:
        """A stranger claims a key."""
        return self._do(context, _open_claim, request)

    def OpenInfraction(self, request: Any, context: Any) -> Any:
        """A stranger reports a participant."""
        return self._do(context, _open_infraction, request)

    def Behave(self, request: Any, context: Any) -> Any:
        """Have a participant behave otherwise."""
        return self._do(context, _behave, request)

    def Load(self, requests: Iterator[Any], context: Any) -> Any:
        """Take many entries."""
        loaded = 0
        for request in requests:
            loaded += self._do(context, bulk.load, request)
        return pb_control.LoadResponse(entries=loaded)

    def Dump(self, request: Any, context: Any) -> Iterator[Any]:
        """Tell all entries."""
        return bulk.dump(self.store, request)

    def Show(self, request: Any, context: Any) -> Any:
        """Tell what there is."""
        return self._do(context, self._show, request)

    def Reset(self, request: Any, context: Any) -> Any:
        """Forget everything."""
        lag = request.lag_seconds if request.lag_seconds >= 0 else LAG_SECONDS
        self.store.reset(lag_seconds=lag)
        self.door.faults.clear()
        self.door.limits.reset(on=request.limits)
        self.door.calls.clear()
        with self.store.transaction():
            strangers.seed(self.store)
        return pb_control.ResetResponse()

    def _do(self, context: Any, fn: Callable[[Store, Any], Any], request: Any) -> Any:
        try:
            with self.store.transaction():
                answer = fn(self.store, request)
        except Refused as refused:
            end(context, refused)
        return answer

    def _clock(self, store: Store, request: Any) -> Any:
        seconds = request.advance_seconds
        if not 0 <= seconds + store.ahead / SECOND <= MOST_AHEAD or seconds < 0:
            raise Refused("BadRequest", "Forward, and by ten years at most.", field="advance")
        if seconds:
            store.advance(int(seconds * SECOND))
        strangers.settle(store)
        return pb_control.ClockResponse(
            now=timestamp(store.now()), ahead_seconds=store.ahead / SECOND
        )

    def _faults(self, store: Store, request: Any) -> Any:
        if request.operation and request.operation not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise Refused("BadRequest", f"There is no {request.operation}. There are: {known}.")
        if request.status and request.status not in TYPES:
            known = ", ".join(map(str, TYPES))
            raise Refused("BadRequest", f"A status is one of {known}.")
        if not 0 <= request.delay_seconds <= 3600 or request.next < 0 or request.retry_after < 0:
            raise Refused("BadRequest", "A delay has 3600 s at most; nothing is below 0.")
        if request.clear:
            self.door.faults.clear()
        if request.lose_answer or request.status or request.delay_seconds:
            fault = Fault(
                request.operation,
                lose_answer=request.lose_answer,
                status=request.status,
                retry_after=request.retry_after,
                delay_seconds=request.delay_seconds,
                left=request.next,
            )
            self.door.faults.add(fault)
        return pb_control.FaultsResponse(faults=self.door.faults.lines())

    def _show(self, store: Store, request: Any) -> Any:
        answer = pb_control.ShowResponse(
            now=timestamp(store.now()),
            ahead_seconds=store.ahead / SECOND,
            lag_seconds=store.lag / SECOND,
            faults=self.door.faults.lines(),
            calls=dict(self.door.calls),
        )
        for row in store.db.execute(
            "SELECT p.ispb, p.name, p.behaviour, v.key_type, v.entries, v.value FROM participants p"
            " LEFT JOIN verifiers v ON v.participant = p.ispb ORDER BY p.ispb, v.key_type"
        ):
            answer.holdings.add(
                participant=row["ispb"],
                name=row["name"],
                behaviour=row["behaviour"],
                key_type=row["key_type"] or "",
                entries=row["entries"] or 0,
                verifier=row["value"].hex() if row["value"] else "",
            )
        open_claims = f"SELECT body FROM claims WHERE {entries.ACTIVE} ORDER BY modified_at"  # noqa: S608
        for row in store.db.execute(f"{open_claims} LIMIT 1000"):
            answer.claims.append(pb.Claim.FromString(row["body"]))
        for row in store.db.execute(
            "SELECT body FROM infractions WHERE status IN ('OPEN', 'ACKNOWLEDGED') "
            "ORDER BY modified_at LIMIT 1000"
        ):
            answer.infractions.append(pb.Infraction.FromString(row["body"]))
        return answer


def _open_claim(store: Store, request: Any) -> Any:
    row = entries.must(store, request.key)
    type = request.type or ("OWNERSHIP" if row["key_type"] == "PHONE" else "PORTABILITY")
    claimer = pb.Owner()
    if type == "PORTABILITY":
        claimer.CopyFrom(entries.plain_message(row).owner)
    else:
        claimer.CopyFrom(_CLAIMER)
    if request.claimer_tax_id:
        claimer.tax_id = request.claimer_tax_id
        claimer.type = "LEGAL_PERSON" if len(request.claimer_tax_id) == 14 else "NATURAL_PERSON"
        if claimer.type == "NATURAL_PERSON":
            claimer.trade_name = ""
    if request.claimer_name:
        claimer.name = request.claimer_name
    participant = request.claimer_participant or _first_stranger(store, row["participant"])
    _known(store, participant)
    strangers.settle(store)
    return claims.create(
        store,
        pb.CreateClaimRequest(
            participant=participant,
            type=type,
            key_type=row["key_type"],
            key=row["key"],
            claimer_account=pb.Account(
                participant=participant,
                branch="0001",
                number=f"{uuid4().int % 10**10:010}",
                type="CACC",
            ),
            claimer=claimer,
        ),
    )


def _open_infraction(store: Store, request: Any) -> Any:
    _known(store, request.counterparty_participant)
    reporter = request.reporter_participant
    reporter = reporter or _first_stranger(store, request.counterparty_participant)
    _known(store, reporter)
    reason = request.reason or "REFUND_REQUEST"
    letter = "D" if reason == "REFUND_CANCELLED" else "E"
    situation = request.situation_type or ("OTHER" if letter == "D" else "SCAM")
    asked = pb.CreateInfractionRequest(
        participant=reporter,
        transaction_id=request.transaction_id
        or infractions.new_transaction(store, reporter, letter),
        reason=reason,
        situation_type=situation,
        details=request.details or ("Said by telephone." if situation == "OTHER" else ""),
        contact_email="med@stranger.example",
    )
    infractions.check(asked)
    return infractions.opened(store, asked, request.counterparty_participant, amount=request.amount)


def _behave(store: Store, request: Any) -> Any:
    _known(store, request.participant)
    if request.behaviour not in BEHAVIOURS:
        raise Refused("BadRequest", f"A behaviour is one of {', '.join(BEHAVIOURS)}.")
    store.db.execute(
        "UPDATE participants SET behaviour = ? WHERE ispb = ?",
        (request.behaviour, request.participant),
    )
    return pb_control.BehaveResponse()


def _known(store: Store, participant: str) -> None:
    if store.behaviour(participant) is None:
        raise Refused("ParticipantInvalid", f"There is no participant {participant}.")


def _first_stranger(store: Store, other_than: str) -> str:
    row = store.db.execute(
        "SELECT ispb FROM participants WHERE behaviour != 'ours' AND ispb != ? ORDER BY ispb",
        (other_than,),
    ).fetchone()
    if row is None:
        raise Refused("ParticipantInvalid", "There is no stranger.")
    return str(row["ispb"])
