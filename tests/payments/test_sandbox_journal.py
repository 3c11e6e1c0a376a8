"""What the sandbox provider knows survives its death."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from services.checkout.payments.provider import ProviderPaymentState
from tests.payments.sandbox_process import Receiver, SandboxProcess, click, session_request, until


@pytest.fixture
async def own_process(
    receiver_at: tuple[Receiver, str], receiver: Receiver, tmp_path: Path
) -> AsyncIterator[SandboxProcess]:
    process = SandboxProcess(tmp_path, receiver_at[1])
    await process.start()
    yield process
    await process.stop()


async def test_restart_after_a_kill_keeps_sessions_and_delivers_what_is_pending(
    own_process: SandboxProcess, receiver: Receiver
) -> None:
    receiver.status = 503
    client = own_process.client()
    request = session_request()
    lasting = await client.create_session(request)
    expiring = await client.create_session(session_request(expire_time=datetime.now(UTC) + timedelta(seconds=0.5)))
    await click(lasting.url, "pay")
    await until(lambda: receiver.kinds_of(lasting.session_id).count("payment.paid") >= 2)
    await own_process.kill()
    await asyncio.sleep(0.5)
    receiver.status = 200
    receiver.received.clear()

    await own_process.start()

    await until(lambda: receiver.kinds_of(lasting.session_id) == ["payment.paid"])
    await until(lambda: receiver.kinds_of(expiring.session_id) == ["session.expired"])
    assert (await client.read_session(lasting.session_id)).state is ProviderPaymentState.PAID
    assert await client.create_session(request) == lasting
    journal = await own_process.journal()
    assert all(event["delivered_time"] for event in journal["events"])
    statuses = [delivery["status"] for delivery in journal["deliveries"]]
    assert statuses.count(200) == 2
    assert set(statuses) == {200, 503}
    await client.close()


async def test_delivery_to_nobody_is_tried_again_until_somebody_answers(tmp_path: Path) -> None:
    process = SandboxProcess(tmp_path, "http://127.0.0.1:9/webhooks/sandbox")
    await process.start()
    client = process.client()
    session = await client.create_session(session_request())
    await click(session.url, "decline")
    async with asyncio.timeout(60):
        while len((await process.journal())["deliveries"]) < 2:
            await asyncio.sleep(0.05)
    journal = await process.journal()
    assert {delivery["status"] for delivery in journal["deliveries"]} == {None}
    assert [event["delivered_time"] for event in journal["events"]] == [None]
    await client.close()
    await process.stop()


@pytest.mark.parametrize(
    ("amount_minor", "currency", "shown"),
    [
        (10_000, "OMR", "10.000 OMR"),
        (1, "KWD", "0.001 KWD"),
        (1_234_567, "BHD", "1,234.567 BHD"),
        (1_234_567, "JPY", "1,234,567 JPY"),
        (999, "EUR", "9.99 EUR"),
    ],
)
async def test_pay_page_shows_the_amount_with_the_currency_s_decimals(
    process: SandboxProcess, amount_minor: int, currency: str, shown: str
) -> None:
    client = process.client()
    session = await client.create_session(session_request(amount_minor=amount_minor, currency=currency))
    await client.close()
    async with aiohttp.ClientSession() as http, http.get(session.url) as answer:
        page = await answer.text()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert f"<h1>{shown}</h1>" in page
    for button in ("Pay", "Card refused: try again", "Decline for good", "Walk away"):
        assert f">{button}</button>" in page


async def test_pay_page_of_an_unknown_session_is_not_found(process: SandboxProcess) -> None:
    assert (await click(f"{process.url}/pay/ses_unknown", "pay"))[0] == 404


async def test_pay_page_with_an_unknown_button_is_refused(process: SandboxProcess) -> None:
    client = process.client()
    session = await client.create_session(session_request())
    await client.close()
    assert (await click(session.url, "steal"))[0] == 400


async def test_control_from_a_foreign_web_page_is_refused(process: SandboxProcess) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{process.url}/control", data='{"mode": "failing"}') as answer:
            assert answer.status == 415
        async with http.post(f"{process.url}/control", json={"mode": "broken"}) as answer:
            assert answer.status == 400
    assert (await process.journal())["mode"] == "ok"
