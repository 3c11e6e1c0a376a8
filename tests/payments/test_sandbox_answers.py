"""The client against a server that answers nonsense: only a 4xx with a code is a no, all else is doubt."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from services.checkout.errors import ProviderNotConfigured, ProviderRefused, ProviderUnavailable
from services.checkout.payments.sandbox import SandboxProvider, SandboxSettings
from tests.payments.sandbox_process import session_request

Answering = Callable[[int, bytes], Awaitable[SandboxProvider]]


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    """A client whose server gives one answer to everything."""
    runners: list[web.ServerRunner] = []
    clients: list[SandboxProvider] = []

    async def start(status: int, body: bytes) -> SandboxProvider:
        async def answer(_request: web.BaseRequest) -> web.Response:
            return web.Response(status=status, body=body, headers={"Location": "/", "Content-Encoding": "gzip"})

        runner = web.ServerRunner(web.Server(answer))
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        clients.append(SandboxProvider(SandboxSettings(url=url, api_key="key", webhook_secret="secret")))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"null"),
        (200, b"[]"),
        (200, b"<html>"),
        (200, b"\xff"),
        (200, b'{"session_id": "ses_1"}'),
        (200, b"[" * 10_000),
        (200, b" " * (1024 * 1024 + 1)),
        (204, b""),
        (302, b""),
        (400, b""),
        (400, b'{"error": {"code": "Not one of ours"}}'),
        (404, b"<html>not found</html>"),
        (408, b'{"error": {"code": "late"}}'),
        (429, b'{"error": {"code": "too_many_requests"}}'),
        (500, b'{"error": {"code": "internal_error"}}'),
        (503, b""),
        (599, b""),
    ],
)
async def test_answers_that_cannot_be_believed_are_in_doubt(answering: Answering, status: int, body: bytes) -> None:
    client = await answering(status, body)
    for call in (
        client.create_session(session_request()),
        client.find_session(session_request().order_id, datetime.now(UTC)),
        client.read_session("ses_1"),
        client.close_session("ses_1"),
    ):
        with pytest.raises(ProviderUnavailable):
            await call


@pytest.mark.parametrize("body", [b"", b'{"error": {"code": "not_configured"}}', b'{"error": {"code": "key_unknown"}}'])
async def test_answer_unauthorized_is_not_configured(answering: Answering, body: bytes) -> None:
    client = await answering(401, body)
    with pytest.raises(ProviderNotConfigured):
        await client.create_session(session_request())


async def test_answer_with_a_code_refuses_a_new_session_but_leaves_a_known_one_in_doubt(answering: Answering) -> None:
    client = await answering(402, b'{"error": {"code": "merchant_blocked"}}')
    with pytest.raises(ProviderRefused) as refusal:
        await client.create_session(session_request())
    assert refusal.value.provider_code == "merchant_blocked"
    with pytest.raises(ProviderUnavailable):
        await client.read_session("ses_1")
    with pytest.raises(ProviderUnavailable):
        await client.close_session("ses_1")


async def test_nobody_listening_is_in_doubt() -> None:
    client = SandboxProvider(SandboxSettings(url="http://127.0.0.1:9", api_key="key", webhook_secret="secret"))
    with pytest.raises(ProviderUnavailable):
        await client.create_session(session_request())
    await client.close()
