"""`manage.py simdirectory`: what the simulated directory of Pix keys is told."""

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import grpc
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from grpc_status import rpc_status

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import control_pb2 as control
from apps.simulators.directory import control_pb2_grpc

#: A file of a million entries is changed within that.
SECONDS = 120.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST = timedelta(days=3650)
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")


class Command(BaseCommand):
    help = (
        "Tell the simulated directory of Pix keys what to do. Exit status 1: it refuses, or it is "
        "not there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        words = parser.add_subparsers(dest="word", required=True)
        clock = words.add_parser("clock", help="tell its time, or put it forward")
        clock.add_argument("--advance", type=_duration, default=timedelta(), help="7d, 1h30m, 10s")
        claim = words.add_parser("claim", help="a stranger claims a key")
        claim.add_argument("--key", type=_text, required=True)
        claim.add_argument("--type", choices=("OWNERSHIP", "PORTABILITY"))
        claim.add_argument("--claimer", type=_ispb, help="ISPB of who claims")
        claim.add_argument("--tax-id", type=_text, help="of its user")
        claim.add_argument("--name", type=_text, help="of its user")
        infraction = words.add_parser("infraction", help="a stranger reports one")
        infraction.add_argument("--counterparty", type=_ispb, default="12345678")
        infraction.add_argument("--reporter", type=_ispb)
        infraction.add_argument("--transaction", type=_text)
        infraction.add_argument("--reason", type=_text)
        infraction.add_argument("--situation", type=_text)
        infraction.add_argument("--details", type=_text)
        infraction.add_argument("--amount", type=_amount)
        tamper = words.add_parser("tamper", help="change entries behind everybody's back")
        tamper.add_argument("--participant", type=_ispb, default="12345678")
        tamper.add_argument("--key-type", type=_text)
        for kind in ("changed", "missing", "extra"):
            tamper.add_argument(f"--{kind}", type=_count, default=0)
        faults = words.add_parser("faults", help="have calls go wrong; alone it tells of them")
        faults.add_argument("--lose-answer", type=_text, metavar="OP")
        faults.add_argument("--operation", type=_text, help="as in Claims.Create")
        faults.add_argument("--status", type=_count, default=0, help="HTTP's")
        faults.add_argument("--retry-after", type=_seconds, default=0.0)
        faults.add_argument("--delay", type=_seconds, default=0.0, help="in seconds")
        faults.add_argument("--next", type=_count, default=0, help="so many calls, not all")
        faults.add_argument("--clear", action="store_true", help="end those that there are")
        words.add_parser("show", help="tell what it holds")

    def handle(self, *, word: str, **options: Any) -> None:
        """Raises CommandError for what the directory refuses, and without one."""
        if not settings.SIMULATORS_ALLOWED:
            raise CommandError("These settings refuse simulators.")
        # A default that is a text would be checked as if somebody had said it.
        said = {name: "" if value is None else value for name, value in options.items()}
        with _stub() as stub:
            getattr(self, f"_{word}")(stub, said)

    def _clock(self, stub: Any, options: dict[str, Any]) -> None:
        seconds = options["advance"].total_seconds()
        told = stub.Clock(control.ClockRequest(advance_seconds=seconds), timeout=SECONDS)
        self._line(f"It is {_time(told.now)} there, {_ahead(told.ahead_seconds)}.")

    def _claim(self, stub: Any, options: dict[str, Any]) -> None:
        request = control.OpenClaimRequest(
            type=options["type"],
            key=options["key"],
            claimer_participant=options["claimer"],
            claimer_tax_id=options["tax_id"],
            claimer_name=options["name"],
        )
        self._line(_claim_line(stub.OpenClaim(request, timeout=SECONDS)))

    def _infraction(self, stub: Any, options: dict[str, Any]) -> None:
        request = control.OpenInfractionRequest(
            counterparty_participant=options["counterparty"],
            reporter_participant=options["reporter"],
            transaction_id=options["transaction"],
            reason=options["reason"],
            situation_type=options["situation"],
            details=options["details"],
            amount=options["amount"],
        )
        self._line(_infraction_line(stub.OpenInfraction(request, timeout=SECONDS)))

    def _tamper(self, stub: Any, options: dict[str, Any]) -> None:
        kinds = {kind: options[kind] for kind in ("changed", "missing", "extra")}
        if not any(kinds.values()):
            raise CommandError("Say how many: --changed, --missing, --extra.")
        request = control.TamperRequest(
            participant=options["participant"], key_type=options["key_type"], **kinds
        )
        done = stub.Tamper(request, timeout=SECONDS)
        self._line(
            f"{options['participant']}: {done.changed} changed, {done.missing} removed, "
            f"{done.extra} added, without an event."
        )

    def _faults(self, stub: Any, options: dict[str, Any]) -> None:
        lost, operation = options["lose_answer"], options["operation"]
        if lost and operation:
            raise CommandError("--lose-answer names its operation itself.")
        answer = stub.Faults(
            control.FaultsRequest(
                operation=lost or operation,
                lose_answer=bool(lost),
                status=options["status"],
                retry_after=options["retry_after"],
                delay_seconds=options["delay"],
                # One lost answer is what is meant; more are asked for.
                next=int(options["next"] or bool(lost)),
                clear=options["clear"],
            ),
            timeout=SECONDS,
        )
        for line in answer.faults or ["Nothing goes wrong."]:
            self._line(line)

    def _show(self, stub: Any, options: dict[str, Any]) -> None:
        told = stub.Show(control.ShowRequest(), timeout=SECONDS)
        self._line(
            f"It is {_time(told.now)} there, {_ahead(told.ahead_seconds)}; lists are "
            f"{told.lag_seconds:g} s late."
        )
        for one in told.holdings:
            held = f"{one.key_type} {one.entries} {one.verifier}" if one.key_type else "no keys"
            self._line(f"{one.participant} {one.name} ({one.behaviour}): {held}")
        for claim in told.claims:
            self._line(_claim_line(claim))
        for infraction in told.infractions:
            self._line(_infraction_line(infraction))
        for fault in told.faults:
            self._line(fault)
        for operation, calls in sorted(told.calls.items()):
            self._line(f"{operation}: {calls} calls")

    def _line(self, text: str) -> None:
        self.stdout.write("".join(c if c.isprintable() else " " for c in text))


@contextmanager
def _stub() -> Iterator[Any]:
    with grpc.insecure_channel(
        settings.BRIDGE_GRPC_ADDR, options=[("grpc.enable_http_proxy", 0)]
    ) as channel:
        try:
            yield control_pb2_grpc.ControlStub(channel)
        except grpc.RpcError as error:
            raise CommandError(_said(error)) from error


def _said(error: Any) -> str:
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        problem = pb.Problem()
        if detail.Unpack(problem):
            return f"{problem.type}: {problem.detail}"
    return f"There is no simulated directory on {settings.BRIDGE_GRPC_ADDR}: {error.code().name}"


# --- what is told --------------------------------------------------------------------------------
def _claim_line(claim: Any) -> str:
    return (
        f"claim {claim.id}: {claim.type} of {claim.key} from {claim.donor_participant} to "
        f"{claim.claimer_account.participant}, {claim.status}, until "
        f"{_time(claim.resolution_ends_at)}"
    )


def _infraction_line(infraction: Any) -> str:
    return (
        f"infraction {infraction.id}: {infraction.reason} of {infraction.transaction_id} by "
        f"{infraction.reporter_participant} against {infraction.counterparty_participant}, "
        f"{infraction.status}"
    )


def _time(value: Any) -> str:
    return f"{value.ToDatetime(tzinfo=UTC):%Y-%m-%d %H:%M:%S} UTC"


def _ahead(seconds: float) -> str:
    return f"{timedelta(seconds=round(seconds))} ahead" if seconds else "as here"


# --- what is asked -------------------------------------------------------------------------------
def _duration(value: str) -> timedelta:
    """Such as 7d or 1h30m."""
    if not re.fullmatch(r"(?:[0-9]{1,7}(?:ms|[smhd]))+", value, re.ASCII):
        raise ArgumentTypeError(f"{value!r} is no duration like 7d, 1h30m or 10s")
    seconds = sum(
        int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|[smhd])", value)
    )
    if seconds > _LONGEST.total_seconds():
        raise ArgumentTypeError("ten years at most")
    return timedelta(seconds=seconds)


def _count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", value, re.ASCII):
        raise ArgumentTypeError(f"{value!r} is no number from 0 to 9999999")
    return int(value)


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,3})?", value, re.ASCII):
        raise ArgumentTypeError(f"{value!r} are no seconds")
    return float(value)


def _ispb(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{8}", value, re.ASCII):
        raise ArgumentTypeError(f"{value!r} is no ISPB of 8 signs")
    return value


def _amount(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,2})?", value, re.ASCII):
        raise ArgumentTypeError(f"{value!r} is no amount like 12.34")
    return f"{Decimal(value):.2f}"


def _text(value: str) -> str:
    if not _TEXT.fullmatch(value):
        raise ArgumentTypeError("a text has 1 to 200 signs, on one line")
    return value
