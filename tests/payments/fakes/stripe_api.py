"""A double of the part of Stripe's API that checkout uses: Checkout Sessions, payment intents, refunds, events."""

import hashlib
import hmac
import itertools
import json
import random
import re
import time
from typing import Any

from aiohttp import web

from services.checkout.payments.amounts import from_stripe
from tests.payments.fakes.deliveries import Deliveries, Weather
from tests.payments.fakes.serving import Answer, ApiDouble, Object

API_KEY = "sk_test_of_the_tests"
SECRET = "whsec_of_the_tests"


def sign(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Headers as Stripe sends them."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={moment},v1={digest}", "Content-Type": "application/json"}


class StripeDouble(ApiDouble):
    """Also the customer and the shop's dashboard: pay, refuse, complete, refund, dispute."""

    def __init__(self, webhook_url: str = "", *, seed: int = 0, weather: Weather | None = None) -> None:
        super().__init__(key_header="Idempotency-Key", replays_errors=True)
        self.sessions: dict[str, Object] = {}
        self.intents: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.refund_status = "succeeded"
        self._webhook_url = webhook_url
        self._dice = random.Random(seed)
        self._weather = weather
        self._numbers = itertools.count(1)
        self.route("POST", "/v1/checkout/sessions", "create_session", self._create_session)
        self.route("GET", "/v1/checkout/sessions", "list_sessions", self._list_of(self.sessions))
        self.route("GET", "/v1/checkout/sessions/{id}", "read_session", self._read_session)
        self.route("POST", "/v1/checkout/sessions/{id}/expire", "expire_session", self._expire_session)
        self.route("GET", "/v1/payment_intents", "list_payments", self._list_of(self.intents))
        self.route("GET", "/v1/payment_intents/{id}", "read_payment", self._read_of(self.intents))
        self.route("POST", "/v1/refunds", "refund", self._refund)
        self.route("GET", "/v1/refunds", "list_refunds", self._list_of(self.refunds))
        self.route("GET", "/v1/refunds/{id}", "read_refund", self._read_of(self.refunds))

    async def start(self) -> None:
        await super().start()
        self.deliveries = Deliveries(self._webhook_url, sign, self._dice, self._weather)

    async def stop(self) -> None:
        await self.deliveries.close()
        await super().stop()

    # What happens on the pay page and at the dashboard ------------------------------------------------------------

    def session_of(self, order_id: str) -> Object:
        """The order's newest session."""
        return next(each for each in reversed(self.sessions.values()) if each["client_reference_id"] == order_id)

    def pay(self, session: Object, *, amount: int | None = None, currency: str | None = None) -> Object:
        """The customer's card is charged; another amount or currency than the session's is Stripe's own mistake."""
        intent = self._complete(session, "succeeded", amount, currency)
        session["payment_status"] = "paid"
        session["amount_total"], session["currency"] = intent["amount_received"], intent["currency"]
        self._took(intent)
        self.tell("checkout.session.completed", session)
        return intent

    def pay_slowly(self, session: Object) -> Object:
        """The page is completed by a bank transfer, which takes days."""
        intent = self._complete(session, "processing")
        self.tell("checkout.session.completed", session)
        return intent

    def transfer_arrives(self, session: Object) -> None:
        intent = self.intents[session["payment_intent"]]
        intent.update(status="succeeded", amount_received=session["amount_total"])
        session["payment_status"] = "paid"
        self._took(intent)
        self.tell("checkout.session.async_payment_succeeded", session)

    def transfer_fails(self, session: Object) -> None:
        self.intents[session["payment_intent"]]["status"] = "requires_payment_method"
        self.tell("checkout.session.async_payment_failed", session)

    def refuse_card(self, session: Object) -> None:
        """A declined card, or 3-D Secure that was not passed: the page stays open."""
        intent = self._new_intent(session, "requires_payment_method")
        self.tell("payment_intent.payment_failed", intent)

    def expire(self, session: Object) -> None:
        session.update(status="expired", url=None)
        self.tell("checkout.session.expired", session)

    def refund_at_dashboard(self, intent: Object, amount: int) -> Object:
        refund = self._new_refund(intent, amount, {})
        self.tell("refund.created", refund)
        return refund

    def settle_refund(self, refund: Object, status: str) -> None:
        """A pending refund comes through, or fails."""
        refund["status"] = status
        if status == "succeeded":
            self._gave_back(refund)
        else:
            refund["failure_reason"] = "expired_or_canceled_card"
        self.tell("refund.updated" if status == "succeeded" else "refund.failed", refund)

    def dispute(self, intent: Object, status: str = "needs_response") -> None:
        dispute = {
            "id": f"dp_{intent['id']}",
            "object": "dispute",
            "amount": intent["amount_received"],
            "currency": intent["currency"],
            "payment_intent": intent["id"],
            "status": status,
        }
        self.tell("charge.dispute.created" if status == "needs_response" else "charge.dispute.closed", dispute)

    def tell(self, kind: str, about: Object) -> bytes:
        """Sends an event, and answers its body."""
        event = {
            "id": self._new_id("evt"),
            "object": "event",
            "type": kind,
            "livemode": False,
            "created": int(time.time()),
            "data": {"object": about},
        }
        body = json.dumps(event).encode()
        self.deliveries.send(body)
        return body

    # The API ------------------------------------------------------------------------------------------------------

    def is_known(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {API_KEY}"

    async def read(self, request: web.Request) -> Object:
        return _nested({**request.query, **await request.post()})

    def refusal(self, status: int, code: str) -> Answer:
        return status, {"error": {"type": "api_error" if status >= 500 else "invalid_request_error", "code": code}}

    def _create_session(self, _request: web.Request, parameters: Object) -> Answer:
        price = parameters["line_items"]["0"]["price_data"]
        now = int(time.time())
        expires_at = int(parameters["expires_at"])
        if not now + 30 * 60 <= expires_at <= now + 24 * 3600:
            return self.refusal(400, "expires_at_out_of_range")
        session = {
            "id": self._new_id("cs_test"),
            "object": "checkout.session",
            "status": "open",
            "payment_status": "unpaid",
            "amount_total": int(price["unit_amount"]),
            "currency": price["currency"],
            "client_reference_id": parameters["client_reference_id"],
            "metadata": parameters["metadata"],
            "payment_intent": None,
            "created": now,
            "expires_at": expires_at,
            "livemode": False,
        }
        session["url"] = f"{self.address}/pay/{session['id']}"
        self.sessions[session["id"]] = session
        return 200, dict(session)

    def _read_session(self, request: web.Request, parameters: Object) -> Answer:
        session = self.sessions.get(request.match_info["id"])
        if session is None:
            return self.refusal(404, "resource_missing")
        intent = self.intents.get(session["payment_intent"] or "")
        return 200, {**session, "payment_intent": intent} if "expand" in parameters else dict(session)

    def _expire_session(self, request: web.Request, _parameters: Object) -> Answer:
        session = self.sessions.get(request.match_info["id"])
        if session is None:
            return self.refusal(404, "resource_missing")
        if session["status"] != "open":
            return self.refusal(400, "session_not_open")
        self.expire(session)
        return 200, dict(session)

    def _refund(self, _request: web.Request, parameters: Object) -> Answer:
        intent = self.intents.get(parameters["payment_intent"])
        if intent is None:
            return self.refusal(404, "resource_missing")
        amount = int(parameters["amount"])
        if amount > intent["amount_received"] - self._refunding(intent["id"]):
            return self.refusal(400, "charge_already_refunded")
        refund = self._new_refund(intent, amount, parameters["metadata"])
        self.tell("refund.created", refund)
        return 200, dict(refund)

    def _read_of(self, objects: dict[str, Object]) -> Any:
        def answer(request: web.Request, _parameters: Object) -> Answer:
            found = objects.get(request.match_info["id"])
            return self.refusal(404, "resource_missing") if found is None else (200, dict(found))

        return answer

    def _list_of(self, objects: dict[str, Object]) -> Any:
        def answer(_request: web.Request, parameters: Object) -> Answer:
            created = parameters.get("created", {})
            newest_first = [each for each in reversed(objects.values()) if _is_within(each["created"], created)]
            if after := parameters.get("starting_after"):
                position = next(n for n, each in enumerate(newest_first) if each["id"] == after)
                newest_first = newest_first[position + 1 :]
            limit = int(parameters.get("limit", 10))
            return 200, {"object": "list", "data": newest_first[:limit], "has_more": len(newest_first) > limit}

        return answer

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers)}x{self._dice.getrandbits(64):016x}"

    def _complete(self, session: Object, status: str, amount: int | None = None, currency: str | None = None) -> Object:
        assert session["status"] == "open", "the page has ended"
        intent = self._new_intent(session, status, amount, currency)
        session.update(status="complete", url=None, payment_intent=intent["id"])
        return intent

    def _new_intent(
        self, session: Object, status: str, amount: int | None = None, currency: str | None = None
    ) -> Object:
        asked = session["amount_total"] if amount is None else amount
        intent = {
            "id": self._new_id("pi"),
            "object": "payment_intent",
            "status": status,
            "amount_received": asked if status == "succeeded" else 0,
            "currency": currency or session["currency"],
            "created": int(time.time()),
            "metadata": session["metadata"],
            "latest_charge": {"id": self._new_id("ch"), "created": int(time.time())},
            "livemode": False,
        }
        self.intents[intent["id"]] = intent
        return intent

    def _new_refund(self, intent: Object, amount: int, metadata: dict[str, str]) -> Object:
        refund = {
            "id": self._new_id("re"),
            "object": "refund",
            "amount": amount,
            "currency": intent["currency"],
            "status": self.refund_status,
            "created": int(time.time()),
            "payment_intent": intent["id"],
            "metadata": metadata,
            "failure_reason": None,
        }
        self.refunds[refund["id"]] = refund
        if self.refund_status == "succeeded":
            self._gave_back(refund)
        return refund

    def _refunding(self, intent_id: str) -> int:
        alive = (each for each in self.refunds.values() if each["status"] not in ("failed", "canceled"))
        return sum(each["amount"] for each in alive if each["payment_intent"] == intent_id)

    def _took(self, intent: Object) -> None:
        currency = intent["currency"].upper()
        amount = from_stripe(intent["amount_received"], currency)
        self.journal.took(intent["id"], intent["metadata"].get("order_id", ""), amount, currency)

    def _gave_back(self, refund: Object) -> None:
        currency = refund["currency"].upper()
        order_id = self.intents[refund["payment_intent"]]["metadata"].get("order_id", "")
        self.journal.gave_back(refund["payment_intent"], order_id, from_stripe(refund["amount"], currency), currency)


def _is_within(created: int, window: Object) -> bool:
    return int(window.get("gte", 0)) <= created < int(window.get("lt", 2**62))


def _nested(flat: dict[str, Any]) -> Object:
    """`a[b][0]=c` as {"a": {"b": {"0": "c"}}}."""
    nested: Object = {}
    for name, value in flat.items():
        *path, last = re.findall(r"[^\[\]]+", name)
        level = nested
        for part in path:
            level = level.setdefault(part, {})
        level[last] = value
    return nested
