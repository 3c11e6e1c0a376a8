"""The API for the merchant: sessions are opened, found, read and closed."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web
from pydantic import ValidationError

from deploy.local.sandbox_provider.faults import Faults, Mode
from deploy.local.sandbox_provider.journal import Journal, Row, now_text
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

    def __init__(self, journal: Journal, sessions: Sessions, api_key: str, opened: Callable[[], None]) -> None:
        self.faults = Faults()
        # Where pay pages lie, known once the listener is bound.
        self.public_url = ""
        self._journal = journal
        self._sessions = sessions
        self._api_key = api_key
        self._opened = opened

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application, together with `middleware`."""
        return [
            web.post("/v1/sessions", self._create),
            web.get("/v1/sessions", self._find),
            web.get("/v1/sessions/{session_id}", self._read),
            web.post("/v1/sessions/{session_id}/expire", self._expire),
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
        key = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(key) <= 255:
            raise Refused(400, "idempotency_key_invalid")
        try:
            new = NewSession.model_validate_json(await request.read())
        except ValidationError:
            raise Refused(400, "request_invalid") from None
        try:
            answer = self._create_once(key, new)
        except _EffectLost as lost:
            answer = lost.answer
        self._opened()
        return web.Response(text=answer, content_type="application/json", status=201)

    def _create_once(self, key: str, new: NewSession) -> str:
        digest = hashlib.sha256(new.model_dump_json().encode()).hexdigest()
        with self._journal.transaction():
            known = self._journal.row("SELECT digest, answer FROM answers WHERE idempotency_key = ?", key)
            if known is not None:
                if known["digest"] != digest:
                    raise Refused(409, "idempotency_key_reused")
                return str(known["answer"])
            if new.expire_time <= datetime.now(UTC):
                raise Refused(400, "expire_time_passed")
            answer = web.json_response(self._shown(self._sessions.create(new))).text or ""
            self._journal.write("INSERT INTO answers VALUES (?, ?, ?)", key, digest, answer)
            if self.faults.mode is Mode.LOSE_EFFECT:
                raise _EffectLost(answer)
        return answer

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
