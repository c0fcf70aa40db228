"""A simulated Paystack: it takes no money and answers as Paystack does, in kobo and envelopes.

The interface (with the bearer key): POST /paystack/transaction/initialize, GET …/transaction/
verify/<reference>, POST and GET /paystack/refund. Its payers and its clock are played by:

- POST /paystack/pay/<reference> {amount?, currency?, status?, webhook?} pays, in minor units, and
  sends the signed webhook: true, false, "twice", "forged" or {times, forged, delay_seconds}. A
  reference that nobody initialized may be paid too. `status` is what `verify` says then; unless it
  is success, a webhook is sent only if it is asked for, and says success all the same.
- POST /paystack/refunds/<id> {status, webhook?} ends a refund: processed, failed, needs-attention.
- POST /paystack/webhooks {event, data} or {body} with webhook? sends whatever is told, signed.
- GET /paystack/checkout/<access code> is the page on which a person pays.
- GET /paystack/transactions shows what is known and what was sent.
- GET and POST /paystack/behaviour: the faults.
"""

import asyncio
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from apps.simulators.behaviour import Behaviour
from apps.simulators.http import NOTHING_ACTIVE, Answer, Refusal, Request
from apps.simulators.kept import Kept
from apps.simulators.pages import HTML, frame
from apps.simulators.signed import Sender, Sending, event_bytes

SUCCESS, UNPAID = "success", "abandoned"
STATUSES = (SUCCESS, "failed", UNPAID, "pending", "ongoing", "processing", "queued", "reversed")
REFUND_ENDS = ("processed", "failed", "needs-attention")
_REFERENCE = re.compile(r"[A-Za-z0-9.=-]{1,100}")
_FORM_POLICY = f"{NOTHING_ACTIVE.replace('sandbox', 'sandbox allow-forms')}; form-action 'self'"


@dataclass(frozen=True)
class PaystackBehaviour(Behaviour):
    """`fail_verify` answers of verify are `fail_status`; `refuse_emails` and `refuse_refunds`
    refuse for good; `down`: nothing is answered but with 503. `ignore_keys`: refunds are made as
    often as they are asked for, as Paystack itself, which promises nothing for a key, may do."""

    fail_verify: int = 0
    refuse_emails: tuple[str, ...] = ()
    refuse_refunds: bool = False
    down: bool = False
    ignore_keys: bool = False


class No(Refusal):
    """A refusal in Paystack's envelope."""

    def __init__(self, message: str, code: str, *, status: int = 400) -> None:
        super().__init__(status, code, message)
        self.answer = Answer(
            status,
            {"status": False, "message": message, "type": "validation_error", "code": code},
        )


@dataclass
class Transaction:
    """A reference. Amounts in minor units: what was asked for, and what was paid."""

    reference: str
    email: str
    requested: int
    amount: int
    currency: str
    status: str = UNPAID
    paid_at: str | None = None

    @property
    def id(self) -> int:
        """An id that needs all of 64 unsigned bits."""
        return int.from_bytes(sha256(self.reference.encode()).digest()[:8]) | 1 << 63

    @property
    def access_code(self) -> str:
        return sha256(f"access {self.reference}".encode()).hexdigest()[:15]

    @property
    def data(self) -> dict[str, Any]:
        """As verify and webhooks show it."""
        return {
            "id": self.id,
            "domain": "test",
            "status": self.status,
            "reference": self.reference,
            "amount": self.amount,
            "requested_amount": self.requested,
            "currency": self.currency,
            "channel": "card",
            "gateway_response": "Successful" if self.status == SUCCESS else "Not successful",
            "paid_at": self.paid_at,
            "metadata": {"referrer": "https://example.org/"},
            "customer": {"email": self.email},
        }


@dataclass
class Refunded:
    """A refund, in minor units."""

    id: int
    reference: str
    amount: int
    currency: str
    key: str
    merchant_note: str
    status: str = "pending"

    def data(self, transaction: Transaction) -> dict[str, Any]:
        """As the interface shows it."""
        shown = asdict(self)
        del shown["key"], shown["reference"]
        return {**shown, "transaction": transaction.id}


class PaystackSink:
    """The state and its URLs. With a file, it survives a kill of the process."""

    def __init__(
        self, *, secret: str, webhook_url: str, public_url: str = "", file: Path | None = None
    ) -> None:
        self.secret, self.webhook_url, self.public_url = secret, webhook_url, public_url
        self.transactions: dict[str, Transaction] = {}
        self.refunds: dict[int, Refunded] = {}
        self.behaviour = PaystackBehaviour()
        self._failures = self._verify_failures = 0
        self._sender = Sender(secret=secret)
        self._kept = Kept(file)
        # Later lines of a reference or refund replace earlier ones.
        for known in self._kept.read():
            if "email" in known:
                self.transactions[known["reference"]] = Transaction(**known)
            else:
                self.refunds[known["id"]] = Refunded(**known)

    async def answer(self, request: Request) -> Answer:
        """Route a request below /paystack."""
        match request.method, request.parts:
            case "GET", ["behaviour"]:
                return Answer(200, asdict(self.behaviour))
            case "POST", ["behaviour"]:
                self.behaviour = PaystackBehaviour.parse(request.json())
                self._failures = self.behaviour.fail_next
                self._verify_failures = self.behaviour.fail_verify
                return Answer(200, asdict(self.behaviour))
            case "GET", ["transactions"]:
                return self._all()
            case "POST", ["pay", reference]:
                return await self._pay(reference, request.json())
            case "POST", ["refunds", number]:
                return await self._end_refund(number, request.json())
            case "POST", ["webhooks"]:
                return await self._send_anything(request.json())
            case (("GET" | "POST"), ["checkout", code]):
                return await self._checkout(code, request)
        return await self._interface(request)

    # --- the interface ---------------------------------------------------------------------------
    async def _interface(self, request: Request) -> Answer:
        if self.behaviour.down:
            raise Refusal(503, "down", "As told.")
        if request.headers.get("authorization") != f"Bearer {self.secret}":
            raise No("Invalid key", "invalid_Key", status=401)
        match request.method, request.parts:
            case "POST", ["transaction", "initialize"]:
                return await self._failing(self._initialize, request)
            case "GET", ["transaction", "verify", reference]:
                return await self._verify(reference)
            case "POST", ["refund"]:
                return await self._failing(self._refund, request)
            case "GET", ["refund"]:
                return self._list_refunds(request)
        raise No("No such address", "not_found", status=404)

    async def _failing(self, call: Any, request: Request) -> Answer:
        """Answer with the faults that are told."""
        fails = self._failures > 0
        self._failures -= fails
        told = Refusal(self.behaviour.fail_status, "told_to_fail", "As told.")
        if fails and not self.behaviour.fail_after_effect:
            raise told
        await asyncio.sleep(self.behaviour.delay_seconds)
        answer: Answer = call(request)
        await asyncio.sleep(self.behaviour.answer_delay_seconds)
        if fails:
            raise told
        return answer

    def _initialize(self, request: Request) -> Answer:
        body = request.json()
        email, reference = body.get("email"), body.get("reference")
        if not isinstance(email, str) or "@" not in email or email in self.behaviour.refuse_emails:
            raise No("Invalid Email Address Passed", "invalid_email_address")
        amount, currency = _minor(body.get("amount")), body.get("currency", "NGN")
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
            raise No("Invalid transaction reference", "invalid_params")
        if reference in self.transactions:
            raise No("Duplicate Transaction Reference", "duplicate_reference")
        made = Transaction(reference, email, amount, amount, _currency(currency))
        self._keep(made)
        base = self.public_url or f"http://{request.headers.get('host', '')}"
        data = {
            "authorization_url": f"{base}/paystack/checkout/{made.access_code}",
            "access_code": made.access_code,
            "reference": reference,
        }
        return _yes("Authorization URL created", data)

    async def _verify(self, reference: str) -> Answer:
        await asyncio.sleep(self.behaviour.delay_seconds)
        if self._verify_failures > 0:
            self._verify_failures -= 1
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told.")
        if (known := self.transactions.get(reference)) is None:
            raise No("Transaction reference not found.", "transaction_not_found")
        return _yes("Verification successful", known.data)

    def _refund(self, request: Request) -> Answer:
        body, key = request.json(), request.headers.get("idempotency-key", "")
        known = self._transaction(str(body.get("transaction", "")))
        if key and not self.behaviour.ignore_keys:
            for made in self.refunds.values():
                if made.key == key:
                    return _yes("Refund has been queued for processing", made.data(known))
        if known.status != SUCCESS or self.behaviour.refuse_refunds:
            raise No("Transaction cannot be refunded", "transaction_not_refundable")
        refunds = [one for one in self.refunds.values() if one.reference == known.reference]
        left = known.amount - sum(one.amount for one in refunds if one.status != "failed")
        if not left:
            raise No("Transaction has been fully reversed", "transaction_reversed")
        amount = _minor(body.get("amount", left))
        if body.get("currency", known.currency) != known.currency:
            raise No("Currency does not match the transaction's", "invalid_params")
        if amount > left:
            raise No("Refund amount cannot be more than transaction amount", "invalid_params")
        number = int.from_bytes(sha256(f"{known.reference} {len(refunds)}".encode()).digest()[:7])
        note = str(body.get("merchant_note", ""))
        made = Refunded(number, known.reference, amount, known.currency, key, note)
        self._keep(made)
        return _yes("Refund has been queued for processing", made.data(known))

    def _list_refunds(self, request: Request) -> Answer:
        known = self._transaction(request.query.get("transaction", ""))
        mine = [one for one in self.refunds.values() if one.reference == known.reference]
        most = request.query.get("perPage", "")
        data = [one.data(known) for one in mine[: int(most) if most.isdecimal() else 50]]
        return _yes("Refunds retrieved", data)

    def _transaction(self, name: str) -> Transaction:
        for known in self.transactions.values():
            if name in (known.reference, str(known.id)):
                return known
        raise No("Transaction not found", "transaction_not_found", status=404)

    # --- payers and clock ------------------------------------------------------------------------
    async def _pay(self, reference: str, body: dict[str, Any]) -> Answer:
        if not body.keys() <= {"amount", "currency", "status", "webhook"}:
            raise Refusal(422, "invalid", "Known are amount, currency, status and webhook.")
        status = body.get("status", SUCCESS)
        if status not in STATUSES or not reference:
            raise Refusal(422, "invalid", f"The status is one of {list(STATUSES)}.")
        sending = Sending.parse(body.get("webhook", status == SUCCESS))
        known = self.transactions.get(reference)
        amount = _minor(body.get("amount", known and known.requested))
        currency = _currency(body.get("currency", known.currency if known else "NGN"))
        if known is None:
            known = Transaction(reference, "somebody@example.org", amount, amount, currency)
        if known.status == SUCCESS:
            if (status, amount, currency) != (SUCCESS, known.amount, known.currency):
                raise Refusal(409, "already_paid", "It was paid, and otherwise.")
        else:
            known.status, known.amount, known.currency = status, amount, currency
            known.paid_at = _now() if status == SUCCESS else None
            self._keep(known)
        said = {**known.data, "status": SUCCESS, "paid_at": known.paid_at or _now()}
        answers = await self._send(event_bytes("charge.success", said), sending)
        shown = {"reference": reference, "transactionId": str(known.id), "status": known.status}
        return Answer(200, {**shown, "webhooks": answers})

    async def _end_refund(self, number: str, body: dict[str, Any]) -> Answer:
        known = self.refunds.get(int(number) if number.isdecimal() else 0)
        if known is None:
            raise Refusal(404, "not_found", "There is no such refund.")
        if body.get("status") not in REFUND_ENDS:
            raise Refusal(422, "invalid", f"The status is one of {list(REFUND_ENDS)}.")
        sending = Sending.parse(body.get("webhook", True))
        known.status = body["status"]
        self._keep(known)
        data = {
            "status": known.status,
            "transaction_reference": known.reference,
            "refund_reference": None,
            # A text here, and a number in answers, as Paystack has it.
            "amount": str(known.amount),
            "currency": known.currency,
        }
        answers = await self._send(event_bytes(f"refund.{known.status}", data), sending)
        return Answer(200, {"status": known.status, "webhooks": answers})

    async def _send_anything(self, body: dict[str, Any]) -> Answer:
        sending = Sending.parse(body.get("webhook", True))
        if isinstance(text := body.get("body"), str):
            content = text.encode()
        elif isinstance(event := body.get("event"), str):
            content = event_bytes(event, body.get("data") or {})
        else:
            raise Refusal(422, "invalid", "Send {event, data} or {body}.")
        return Answer(200, {"webhooks": await self._send(content, sending)})

    async def _checkout(self, code: str, request: Request) -> Answer:
        found = [one for one in self.transactions.values() if one.access_code == code]
        if not found:
            raise Refusal(404, "not_found", "There is no such payment.")
        known = found[0]
        if request.method == "POST" and known.status != SUCCESS:
            chosen = dict(parse_qsl(request.body.decode("latin-1"))).get("status", SUCCESS)
            await self._pay(known.reference, {"status": chosen})
        title = f"{known.currency} {known.amount / 100:,.2f} to pay"
        if known.status == SUCCESS:
            text = "<p>Paid. You can close this page; the top-up goes on by itself.</p>"
        else:
            said = "<p>The card was refused.</p>" if known.status == "failed" else ""
            text = (
                f"<p>Reference {escape(known.reference)}. No money moves: this is a simulator.</p>"
                f'{said}<form method="post"><button name="status" value="success">Pay</button> '
                '<button name="status" value="failed">Have the card refused</button></form>'
            )
        return Answer(200, frame(escape(title), text), HTML, _FORM_POLICY)

    async def _send(self, content: bytes, sending: Sending) -> list[int]:
        return await self._sender.send(self.webhook_url, content, sending)

    def _all(self) -> Answer:
        return Answer(
            200,
            {
                "transactions": {one.reference: one.data for one in self.transactions.values()},
                "refunds": [asdict(one) for one in self.refunds.values()],
                "webhooks": list(self._sender.sent),
            },
        )

    def _keep(self, row: Transaction | Refunded) -> None:
        if isinstance(row, Transaction):
            self.transactions[row.reference] = row
        else:
            self.refunds[row.id] = row
        self._kept.write(asdict(row))


def _yes(message: str, data: Any) -> Answer:
    return Answer(200, {"status": True, "message": message, "data": data})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _minor(raw: Any) -> int:
    text = str(raw) if isinstance(raw, int | str) and not isinstance(raw, bool) else ""
    if not re.fullmatch(r"[1-9]\d{0,17}", text, re.ASCII):
        raise No("Invalid Amount Sent", "invalid_amount")
    return int(text)


def _currency(raw: Any) -> str:
    if not isinstance(raw, str) or not re.fullmatch("[A-Z]{3}", raw):
        raise No("Currency not supported by merchant", "unsupported_currency")
    return raw
