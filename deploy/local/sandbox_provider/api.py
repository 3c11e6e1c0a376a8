"""The API for the merchant: sessions are opened, found, read and closed, and what they brought is given back."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from deploy.local.sandbox_provider.faults import Faults, Mode
from deploy.local.sandbox_provider.journal import Journal, Row, as_text, now_text
from deploy.local.sandbox_provider.refunds import NewRefund, Refunds
from deploy.local.sandbox_provider.refunds import described as described_refund
from deploy.local.sandbox_provider.sessions import NewSession, Sessions, described

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PREFIX = "/v1/"
_BODY_TIMEOUT_S = 10.0


class Refused(Exception):
    """The request is answered with `status` and {"error": {"code": ...}}."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class _EffectLost(Exception):
    """Undoes the transaction of an answer that is given all the same."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = answer


class MerchantApi:
    """The handlers under /v1/; `faults` may be changed at any time."""

    def __init__(
        self, journal: Journal, sessions: Sessions, refunds: Refunds, api_key: str, opened: Callable[[], None]
    ) -> None:
        self.faults = Faults()
        # Where pay pages lie, known once the listener is bound.
        self.public_url = ""
        self._journal = journal
        self._sessions = sessions
        self._refunds = refunds
        self._api_key = api_key
        self._opened = opened

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application, together with `middleware`."""
        return [
            web.post("/v1/sessions", self._create),
            web.get("/v1/sessions", self._find),
            web.get("/v1/sessions/{session_id}", self._read),
            web.post("/v1/sessions/{session_id}/expire", self._expire),
            web.get("/v1/payments", self._list_payments),
            web.post("/v1/refunds", self._refund),
            web.get("/v1/refunds", self._list_refunds),
            web.get("/v1/refunds/{provider_refund_id}", self._read_refund),
        ]

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Writes down each request of the merchant, lets him in or not, and makes the faults."""
        if not request.path.startswith(_PREFIX):
            return await handler(request)
        request_id = self._journal.write(
            "INSERT INTO requests (time, method, path, idempotency_key, mode) VALUES (?, ?, ?, ?, ?)",
            *(now_text(), request.method, request.path_qs, request.headers.get("Idempotency-Key")),
            self.faults.mode.value,
        )
        try:
            answer = await self._guarded(request, handler)
        except Refused as refusal:
            answer = web.json_response({"error": {"code": refusal.code}}, status=refusal.status)
        self._journal.write("UPDATE requests SET status = ? WHERE request_id = ?", answer.status, request_id)
        return answer

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        faults = self.faults
        # Now, because it cannot be read any more when the merchant has gone.
        await asyncio.wait_for(request.read(), _BODY_TIMEOUT_S)
        await asyncio.sleep(faults.pause_s)
        if faults.mode is Mode.UNCONFIGURED:
            raise Refused(401, "not_configured")
        self._check_key(request)
        if faults.mode is Mode.FAILING:
            raise Refused(500, "internal_error")
        answer = await handler(request)
        if faults.mode is Mode.LOSE_ANSWER:
            raise Refused(500, "internal_error")
        return answer

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        expected = f"Bearer {self._api_key}".encode()
        if not self._api_key or not hmac.compare_digest(given, expected):
            raise Refused(401, "key_unknown")

    async def _create(self, request: web.Request) -> web.Response:
        if self.faults.mode is Mode.REFUSING:
            raise Refused(402, self.faults.code)
        new = await _read(NewSession, request)

        def create() -> Row:
            if new.expire_time <= datetime.now(UTC):
                raise Refused(400, "expire_time_passed")
            return self._shown(self._sessions.create(new))

        answer = self._once(request, new, create)
        self._opened()
        return answer

    async def _refund(self, request: web.Request) -> web.Response:
        new = await _read(NewRefund, request)
        events: list[str] = []

        def make() -> Row:
            made = self._refunds.make(new)
            if made is None:
                raise Refused(409, "amount_not_left")
            events.append(made[1])
            return described_refund(made[0])

        answer = self._once(request, new, make)
        if self.faults.mode is not Mode.LOSE_EFFECT:
            for event_id in events:
                self._refunds.tell(event_id)
        return answer

    def _once(self, request: web.Request, asked: BaseModel, make: Callable[[], Row]) -> web.Response:
        """The answer of the first request under this key; its effect and its answer are one transaction."""
        key = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(key) <= 255:
            raise Refused(400, "idempotency_key_invalid")
        try:
            text = self._answered(key, f"{request.path} {asked.model_dump_json()}", make)
        except _EffectLost as lost:
            text = lost.answer
        return web.Response(text=text, content_type="application/json", status=201)

    def _answered(self, key: str, asked: str, make: Callable[[], Row]) -> str:
        digest = hashlib.sha256(asked.encode()).hexdigest()
        with self._journal.transaction():
            known = self._journal.row("SELECT digest, answer FROM answers WHERE idempotency_key = ?", key)
            if known is not None:
                if known["digest"] != digest:
                    raise Refused(409, "idempotency_key_reused")
                return str(known["answer"])
            answer = json.dumps(make())
            self._journal.write("INSERT INTO answers VALUES (?, ?, ?)", key, digest, answer)
            if self.faults.mode is Mode.LOSE_EFFECT:
                raise _EffectLost(answer)
        return answer

    async def _read_refund(self, request: web.Request) -> web.Response:
        refund = self._refunds.find(request.match_info["provider_refund_id"])
        if refund is None:
            raise Refused(404, "refund_not_found")
        return web.json_response(described_refund(refund))

    async def _list_refunds(self, request: web.Request) -> web.Response:
        refunds = self._refunds.between(*_window(request))
        return web.json_response({"refunds": [described_refund(refund) for refund in refunds]})

    async def _list_payments(self, request: web.Request) -> web.Response:
        return web.json_response({"payments": self._sessions.payments_between(*_window(request))})

    async def _find(self, request: web.Request) -> web.Response:
        sessions = self._sessions.of_order(request.query.get("order_id", ""))
        return web.json_response({"sessions": [self._shown(session) for session in sessions]})

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(self._session(request)))

    async def _expire(self, request: web.Request) -> web.Response:
        session = self._session(request)
        if self.faults.mode is not Mode.LOSE_EFFECT:
            session = self._sessions.expire(session["session_id"])
        elif session["state"] == "open":
            session["state"] = "expired"
        return web.json_response(self._shown(session))

    def _session(self, request: web.Request) -> Row:
        session = self._sessions.find(request.match_info["session_id"])
        if session is None:
            raise Refused(404, "session_not_found")
        return session

    def _shown(self, session: Row) -> Row:
        return described(session) | {"url": f"{self.public_url}/pay/{session['session_id']}"}


_Asked = TypeVar("_Asked", bound=BaseModel)


async def _read(model: type[_Asked], request: web.Request) -> _Asked:
    try:
        return model.model_validate_json(await request.read())
    except ValidationError:
        raise Refused(400, "request_invalid") from None


def _window(request: web.Request) -> tuple[str, str]:
    try:
        since, until = (datetime.fromisoformat(request.query[name]) for name in ("since", "until"))
    except (KeyError, ValueError):
        raise Refused(400, "request_invalid") from None
    return as_text(since), as_text(until)
