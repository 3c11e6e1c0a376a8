"""A double of the part of YooKassa's API that checkout uses: payments, refunds, notifications."""

import base64
import itertools
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from services.checkout.payments.amounts import from_text, to_text
from tests.payments.fakes.deliveries import Deliveries, Weather
from tests.payments.fakes.serving import Answer, ApiDouble, Object

SHOP_ID = "100500"
SECRET_KEY = "test_key_of_the_tests"
_CREDENTIALS = base64.b64encode(f"{SHOP_ID}:{SECRET_KEY}".encode()).decode()


def _headers(_body: bytes) -> Mapping[str, str]:
    return {"Content-Type": "application/json"}


class YooKassaDouble(ApiDouble):
    """Also the customer and the shop's dashboard: pay, refuse, expire, refund. Nothing is signed."""

    def __init__(self, webhook_url: str = "", *, seed: int = 0, weather: Weather | None = None) -> None:
        super().__init__(key_header="Idempotence-Key", replays_errors=False)
        self.payments: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.refund_status = "succeeded"
        self._webhook_url = webhook_url
        self._dice = random.Random(seed)
        self._weather = weather
        self._numbers = itertools.count(1)
        self.route("POST", "/v3/payments", "create_session", self._create)
        self.route("GET", "/v3/payments", "list_payments", self._list_of(self.payments))
        self.route("GET", "/v3/payments/{id}", "read_session", self._read_of(self.payments))
        self.route("POST", "/v3/refunds", "refund", self._refund)
        self.route("GET", "/v3/refunds", "list_refunds", self._list_of(self.refunds))
        self.route("GET", "/v3/refunds/{id}", "read_refund", self._read_of(self.refunds))

    async def start(self) -> None:
        await super().start()
        self.deliveries = Deliveries(self._webhook_url, _headers, self._dice, self._weather)

    async def stop(self) -> None:
        await self.deliveries.close()
        await super().stop()

    # What happens on the pay page and at the dashboard ------------------------------------------------------------

    def payment_of(self, order_id: str) -> Object:
        """The order's newest payment."""
        return next(each for each in reversed(self.payments.values()) if each["metadata"].get("order_id") == order_id)

    def pay(self, payment: Object, *, value: str | None = None, currency: str | None = None) -> None:
        """The money is there; another value or currency than the payment's is YooKassa's own mistake."""
        assert payment["status"] == "pending", "the payment has ended"
        amount = {"value": value or payment["amount"]["value"], "currency": currency or payment["amount"]["currency"]}
        payment.update(status="succeeded", amount=amount, captured_at=_now())
        self.journal.took(payment["id"], _order_of(payment), _minor(amount), amount["currency"])
        self.tell("payment.succeeded", payment)

    def cancel(self, payment: Object, reason: str = "card_expired") -> None:
        """`reason` expired_on_confirmation: the customer never came back."""
        payment.update(status="canceled", cancellation_details={"party": "yoo_money", "reason": reason})
        self.tell("payment.canceled", payment)

    def refund_at_dashboard(self, payment: Object, value: str) -> Object:
        refund = self._new_refund(payment, {"value": value, "currency": payment["amount"]["currency"]}, {})
        if refund["status"] == "succeeded":
            self.tell("refund.succeeded", refund)
        return refund

    def settle_refund(self, refund: Object, status: str) -> None:
        """A pending refund comes through, or is cancelled: of that nobody is told."""
        refund["status"] = status
        if status == "succeeded":
            self._gave_back(refund)
            self.tell("refund.succeeded", refund)
        else:
            refund["cancellation_details"] = {"party": "yoo_money", "reason": "insufficient_funds"}

    def tell(self, event: str, about: Object) -> bytes:
        """Sends a notification, and answers its body."""
        body = json.dumps({"type": "notification", "event": event, "object": about}).encode()
        self.deliveries.send(body)
        return body

    # The API ------------------------------------------------------------------------------------------------------

    def is_known(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Basic {_CREDENTIALS}"

    async def read(self, request: web.Request) -> Object:
        return dict(request.query) if request.method == "GET" else dict(await request.json())

    def refusal(self, status: int, code: str) -> Answer:
        return status, {"type": "error", "id": "error-of-the-tests", "code": code, "description": "no"}

    def _create(self, request: web.Request, parameters: Object) -> Answer:
        if "Idempotence-Key" not in request.headers or parameters.get("capture") is not True:
            return self.refusal(400, "invalid_request")
        payment_id = self._new_id()
        payment = {
            "id": payment_id,
            "status": "pending",
            "paid": False,
            "amount": parameters["amount"],
            "recipient": {"account_id": SHOP_ID, "gateway_id": "1"},
            "created_at": _now(),
            "confirmation": {"type": "redirect", "confirmation_url": f"{self.address}/pay/{payment_id}"},
            "metadata": parameters["metadata"],
            "test": True,
        }
        self.payments[payment_id] = payment
        return 200, dict(payment)

    def _refund(self, request: web.Request, parameters: Object) -> Answer:
        payment = self.payments.get(parameters["payment_id"])
        if "Idempotence-Key" not in request.headers or payment is None or payment["status"] != "succeeded":
            return self.refusal(400, "invalid_request")
        if _minor(parameters["amount"]) > _minor(payment["amount"]) - self._refunding(payment["id"]):
            return self.refusal(400, "invalid_request")
        refund = self._new_refund(payment, parameters["amount"], parameters["metadata"])
        if refund["status"] == "succeeded":
            self.tell("refund.succeeded", refund)
        return 200, dict(refund)

    def _read_of(self, objects: dict[str, Object]) -> Any:
        def answer(request: web.Request, _parameters: Object) -> Answer:
            found = objects.get(request.match_info["id"])
            return self.refusal(404, "not_found") if found is None else (200, dict(found))

        return answer

    def _list_of(self, objects: dict[str, Object]) -> Any:
        def answer(_request: web.Request, parameters: Object) -> Answer:
            since = datetime.fromisoformat(parameters.get("created_at.gte", "1970-01-01T00:00:00+00:00"))
            until = datetime.fromisoformat(parameters.get("created_at.lt", "9999-01-01T00:00:00+00:00"))
            wanted = parameters.get("status")
            found = [
                each
                for each in reversed(objects.values())
                if since <= datetime.fromisoformat(each["created_at"]) < until and wanted in (None, each["status"])
            ]
            start, limit = int(parameters.get("cursor", 0)), int(parameters.get("limit", 10))
            page: Object = {"type": "list", "items": found[start : start + limit]}
            if start + limit < len(found):
                page["next_cursor"] = str(start + limit)
            return 200, page

        return answer

    def _new_id(self) -> str:
        return f"{self._dice.getrandbits(32):08x}-000f-5000-8000-{next(self._numbers):012x}"

    def _new_refund(self, payment: Object, amount: dict[str, str], metadata: dict[str, str]) -> Object:
        refund = {
            "id": self._new_id(),
            "payment_id": payment["id"],
            "status": self.refund_status,
            "amount": amount,
            "created_at": _now(),
            "metadata": metadata,
        }
        self.refunds[refund["id"]] = refund
        if self.refund_status == "succeeded":
            self._gave_back(refund)
        return refund

    def _refunding(self, payment_id: str) -> int:
        alive = (each for each in self.refunds.values() if each["status"] != "canceled")
        return sum(_minor(each["amount"]) for each in alive if each["payment_id"] == payment_id)

    def _gave_back(self, refund: Object) -> None:
        payment, amount = self.payments[refund["payment_id"]], refund["amount"]
        self.journal.gave_back(payment["id"], _order_of(payment), _minor(amount), amount["currency"])


def _order_of(payment: Object) -> str:
    return str(payment["metadata"].get("order_id", ""))


def _minor(amount: Mapping[str, str]) -> int:
    return from_text(amount["value"], amount["currency"])


def _now() -> str:
    return datetime.now(UTC).isoformat()


def in_text(amount_minor: int, currency: str) -> str:
    """An amount as YooKassa writes it."""
    return to_text(amount_minor, currency)
