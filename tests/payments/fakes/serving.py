"""What both doubles share of HTTP: a port, one answer per idempotency key, and the faults."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.payments.fakes.faults import Fault, Faults
from tests.payments.fakes.journal import Journal

Object = dict[str, Any]
# Status and body.
Answer = tuple[int, Object]
Handler = Callable[[web.Request, Object], Answer]


class ApiDouble:
    """An HTTP API whose handlers answer with status and body.

    key_header: under one key the first answer is given again, whatever it was.
    replays_errors: whether that is so for a 500 too.
    """

    def __init__(self, *, key_header: str, replays_errors: bool) -> None:
        self.journal = Journal()
        self.faults = Faults()
        self.address = ""
        self.keys: dict[str, tuple[str, Answer]] = {}
        self._key_header = key_header
        self._replays_errors = replays_errors
        # Names of calls that are answered 400, a definite no.
        self.refused_calls: set[str] = set()
        # Whether every caller's key is refused, as after a new one was made.
        self.keys_are_rolled = False
        self._application = web.Application()
        self._runner: web.AppRunner | None = None

    def route(self, method: str, path: str, call: str, handler: Handler) -> None:
        """`call` is its name in faults and in the journal."""
        self._application.router.add_route(method, path, self._answering(call, handler))

    async def start(self) -> None:
        self._runner = web.AppRunner(self._application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def read(self, request: web.Request) -> Object:
        """The request's parameters."""
        raise NotImplementedError

    def refusal(self, status: int, code: str) -> Answer:
        """The provider's own form of an error."""
        raise NotImplementedError

    def is_known(self, request: web.Request) -> bool:
        """Whether the caller has brought the right credentials."""
        raise NotImplementedError

    def _answering(self, call: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.journal.count(call)
            if self.keys_are_rolled or not self.is_known(request):
                return _response(self.refusal(401, "invalid_credentials"))
            parameters = await self.read(request)
            if call in self.refused_calls:
                return _response(self.refusal(400, "parameter_invalid"))
            fault = self.faults.next(call)
            if fault is Fault.RATE_LIMITED:
                return _response(self.refusal(429, "too_many_requests"))
            if fault is Fault.ERROR_BEFORE:
                return _response(self.refusal(500, "internal_server_error"))
            done = self._once(request, parameters, handler, fault)
            if fault is Fault.GARBAGE:
                return web.Response(status=200, text="<html>moved</html>")
            if fault is Fault.CUT_OFF and request.transport is not None:
                request.transport.abort()
            return _response(done)

        return answer

    def _once(self, request: web.Request, parameters: Object, handler: Handler, fault: Fault | None) -> Answer:
        key = request.headers.get(self._key_header)
        content = json.dumps([request.path, parameters], sort_keys=True)
        if key is not None and key in self.keys:
            first_content, first = self.keys[key]
            return first if first_content == content else self.refusal(400, "idempotency_error")
        answer = handler(request, parameters)
        if fault is Fault.ERROR_AFTER:
            error = self.refusal(500, "internal_server_error")
            self._remember(key, content, error if self._replays_errors else answer)
            return error
        self._remember(key, content, answer)
        return answer

    def _remember(self, key: str | None, content: str, answer: Answer) -> None:
        if key is not None:
            self.keys[key] = (content, answer)


def _response(answer: Answer) -> web.Response:
    status, body = answer
    return web.json_response(body, status=status)
