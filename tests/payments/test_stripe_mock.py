"""Our requests against Stripe's own description of its API: stripe-mock refuses what Stripe would not understand (P1).

It answers with examples and keeps nothing, so answers are not looked at here. `.ci/run` installs it; where it is
missing these tests are left out.
"""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from deploy.local.ports import free_port
from deploy.local.temporal_cli import cache_folder
from services.checkout.errors import ProviderUnavailable
from services.checkout.payments.provider import EventKind, RefundRequest, Webhook
from services.checkout.payments.stripe import StripeProvider, StripeSettings
from services.runtime.ids import new_id
from tests.payments.fakes.stripe_api import SECRET, sign
from tests.payments.sandbox_process import session_request

PROGRAM = shutil.which("stripe-mock") or str(cache_folder() / "stripe-mock")

pytestmark = pytest.mark.skipif(
    not os.access(PROGRAM, os.X_OK), reason="stripe-mock is neither on PATH nor in the cache folder"
)


@pytest.fixture(scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    port = free_port()
    log = Path(tmp_path_factory.mktemp("stripe")) / "stripe-mock.log"
    with log.open("w") as output:
        mock = await asyncio.create_subprocess_exec(PROGRAM, "-http-port", str(port), stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        await _until_it_answers(address)
        yield address
    finally:
        mock.kill()
        await mock.wait()


async def _until_it_answers(address: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(address):
                    return
            await asyncio.sleep(0.05)


@pytest.fixture
async def provider(address: str) -> AsyncIterator[StripeProvider]:
    settings = StripeSettings(api_key="sk_test_123", webhook_secret=SECRET, api_base=address)
    provider = StripeProvider(settings, "shop-of-the-tests")
    yield provider
    await provider.close()


async def test_requests_are_what_stripe_describes(provider: StripeProvider) -> None:
    """A refusal of the shape would be PAYMENT_PROVIDER_REFUSED; its examples are no answers that we would believe."""
    request, refund_id = session_request(), new_id()
    with pytest.raises(ProviderUnavailable):
        await provider.create_session(request)
    with pytest.raises(ProviderUnavailable):
        await provider.find_session(request.order_id, request.create_time)
    with pytest.raises(ProviderUnavailable):
        await provider.read_session("cs_test_1")
    await provider.close_session("cs_test_1")
    refund = RefundRequest(refund_id, request.order_id, "pi_1", 10, "USD", str(refund_id))
    assert (await provider.refund(refund)).provider_payment_id == "pi_1"
    refunded = {"id": "re_1", "amount": 10, "currency": "usd", "status": "succeeded", "created": 1}
    event = {"id": "evt_1", "object": "event", "type": "refund.created", "livemode": False}
    body = json.dumps(event | {"data": {"object": refunded | {"payment_intent": "pi_1"}}}).encode()
    told = await provider.receive_webhook(Webhook(sign(body), body, "127.0.0.1", datetime.now(UTC)))
    assert (told.kind, told.order_id) == (EventKind.REFUND, None)
    now = datetime.now(UTC)
    assert [each async for each in provider.refunds_between(now - timedelta(days=1), now)] == []


async def test_a_request_that_stripe_does_not_describe_is_refused(address: str) -> None:
    """The mock does look at our requests: it would be no proof otherwise."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer sk_test_123"}) as http,
        http.post(f"{address}/v1/checkout/sessions", data={"modus": "payment"}) as answer,
    ):
        assert answer.status == 400
