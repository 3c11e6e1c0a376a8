"""What nobody should send, as bytes to a real checkout: refused, nothing stored, the process as before (P2, P3).

The bodies are of a payment that was really made, so that whatever is believed by mistake places an order. Signatures
are told apart to the second and the byte in test_webhook_signature.py.
"""

import json
import time
import zlib
from collections.abc import AsyncIterator, Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.checkout.webhooks import BODY_BYTES_MAX
from tests.payments.fakes.stripe_api import SECRET, sign
from tests.payments.raw_http import head, in_chunks, post, status_of
from tests.payments.till import ROLLED_SECRETS, Outcome, Till, opened_till

PATH = "/webhooks/stripe"
MIB = 1024 * 1024
REFUSED, TOO_LARGE = Outcome(400, {}), Outcome(413, {})
STORED = Outcome(200, {"webhook_events": 1})


@pytest.fixture(scope="module")
async def paid(till: Till) -> AsyncIterator[bytes]:
    """A good event; it counts when it is sent as it should be, after all that was refused."""
    order, body = await till.paid_at_stripe()
    yield body
    assert await till.shop.payment_state(order.order_id) == "PENDING"
    assert await till.outcome(post(PATH, body, *signed(body))) == Outcome(200, {"webhook_events": 1, "receipts": 1})
    assert await till.shop.payment_state(order.order_id) == "PAID"


def signature(body: bytes, secret: str = SECRET, after_s: float = 0) -> str:
    return sign(body, secret, time.time() + after_s)["Stripe-Signature"]


def signed(body: bytes, **how: Any) -> list[str]:
    """The headers of a webhook."""
    return [f"Stripe-Signature: {signature(body, **how)}", "Content-Type: application/json"]


def of_time(body: bytes, text: str) -> str:
    """A right signature, but of another time than it says."""
    return ",".join([text, signature(body).split(",")[1]])


WRONG = "v1=" + "0" * 64
SIGNATURES: dict[str, Callable[[bytes], str]] = {
    "empty": lambda _: "",
    "wrong": lambda body: f"{signature(body).split(',')[0]},{WRONG}",
    "of a secret that was dropped": lambda body: signature(body, "whsec_of_the_year_before"),
    "of another endpoint's secret": lambda body: signature(body, "whsec_of_another_endpoint"),
    "two and both wrong": lambda body: f"{signature(body).split(',')[0]},{WRONG},{WRONG}",
    "of the old scheme only": lambda body: signature(body).replace("v1=", "v0="),
    "not hexadecimal": lambda body: f"{signature(body).split(',')[0]},v1={'z' * 64}",
    "of 1 MB": lambda body: signature(body) + f",{WRONG}" * 15_000,
    "of another body": lambda body: signature(body + b" "),
    "301 s old": lambda body: signature(body, after_s=-301),
    # The clock runs on while it is on its way: 301 s would be 300 s by then.
    "more than 301 s ahead": lambda body: signature(body, after_s=360),
    "without a time": lambda body: signature(body).split(",")[1],
    "of a time that is no number": lambda body: of_time(body, "t=now"),
}


@pytest.mark.parametrize("name", SIGNATURES)
async def test_good_event_with_a_bad_signature_is_refused(till: Till, paid: bytes, name: str) -> None:
    headers = [f"Stripe-Signature: {SIGNATURES[name](paid)}", "Content-Type: application/json"]
    assert await till.outcome(post(PATH, paid, *headers)) == REFUSED


async def test_good_event_without_a_signature_is_refused(till: Till, paid: bytes) -> None:
    assert await till.outcome(post(PATH, paid)) == REFUSED


async def test_good_event_whose_amount_was_changed_on_its_way_is_refused(till: Till, paid: bytes) -> None:
    changed = paid.replace(b'"amount_total": 50000', b'"amount_total": 10')
    assert changed != paid
    assert await till.outcome(post(PATH, changed, *signed(paid))) == REFUSED


def event(**fields: Any) -> bytes:
    """An event that nobody knows: believed, stored, and left alone."""
    unknown = {"id": f"evt_{time.time_ns()}", "object": "event", "type": "coffee.brewed", "livemode": False}
    return json.dumps({**unknown, **fields}).encode()


async def test_event_of_an_unknown_type_is_stored_and_left_alone(till: Till) -> None:
    body = event()
    assert await till.outcome(post(PATH, body, *signed(body))) == STORED


async def test_event_with_a_right_signature_beside_a_wrong_one_is_stored(till: Till) -> None:
    body = event()
    assert await till.outcome(post(PATH, body, f"Stripe-Signature: {signature(body)},{WRONG}")) == STORED


@pytest.mark.parametrize("secret", ROLLED_SECRETS)
async def test_event_signed_with_either_secret_is_stored_while_one_replaces_the_other(till: Till, secret: str) -> None:
    body = event()
    assert await till.outcome(post(PATH, body, *signed(body, secret=secret))) == STORED


def zipped(size: int) -> bytes:
    """So many zero bytes, as gzip."""
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


# Each made of a good event.
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "no UTF-8": lambda good: good.replace(b"completed", b"complete\xff"),
    "with a byte order mark": lambda good: b"\xef\xbb\xbf" + good,
    "with a key twice": lambda good: b'{"livemode": true, ' + good[1:],
    "10,000 lists deep": lambda good: b'{"more": ' + b"[" * 10_000 + b"]" * 10_000 + b", " + good[1:],
    "10,000 objects deep": lambda good: b'{"more": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b", " + good[1:],
    "of an amount of 1e400": lambda good: good.replace(b'"amount_total": 50000', b'"amount_total": 1e400'),
    "of no number as its amount": lambda good: good.replace(b'"amount_total": 50000', b'"amount_total": NaN'),
    "cut off": lambda good: good[:-1],
}


@pytest.mark.parametrize("name", BODIES)
async def test_signed_nonsense_is_refused(till: Till, paid: bytes, name: str) -> None:
    body = BODIES[name](paid)
    assert body != paid
    assert await till.outcome(post(PATH, body, *signed(body))) == REFUSED


async def test_signed_word_that_no_database_holds_is_refused(till: Till) -> None:
    refund = {"id": "re_1", "amount": 1, "currency": "omr", "status": "failed", "created": 1, "payment_intent": "pi_1"}
    body = event(type="refund.failed", data={"object": {**refund, "failure_reason": "lost\0card"}})
    assert await till.outcome(post(PATH, body, *signed(body))) == REFUSED


async def test_zip_bomb_stays_zipped(till: Till) -> None:
    """Its 64 MiB would be answered as too large, if anybody saw them."""
    bomb = zipped(64 * MIB)
    assert len(bomb) < BODY_BYTES_MAX
    assert await till.outcome(post(PATH, bomb, "Content-Encoding: gzip", *signed(bomb))) == REFUSED


async def test_good_event_that_was_zipped_on_its_way_is_refused(till: Till, paid: bytes) -> None:
    body = zlib.compress(paid, wbits=31)
    assert await till.outcome(post(PATH, body, "Content-Encoding: gzip", *signed(paid))) == REFUSED


async def test_body_of_10_mb_is_too_large(till: Till) -> None:
    body = b" " * 10_000_000
    assert await till.outcome(post(PATH, body, *signed(body))) == TOO_LARGE


async def test_body_of_10_mb_whose_size_is_not_said_is_too_large(till: Till) -> None:
    body = b" " * 10_000_000
    request = head(PATH, "Transfer-Encoding: chunked", *signed(body)) + in_chunks(body)
    assert await till.outcome(request) == TOO_LARGE


async def test_event_with_another_amount_than_its_page_is_never_applied(till: Till) -> None:
    """P-3: rightly signed, so the money is there: written down, and on its way back."""
    order = await till.awaiting("stripe")
    session = till.stripe.session_of(order.order_id)
    till.stripe.pay(session, amount=10)
    body = till.stripe.tell("checkout.session.completed", session)
    outcome = await till.outcome(post(PATH, body, *signed(body)))
    assert outcome == Outcome(200, {"webhook_events": 1, "receipts": 1, "payment_findings": 1})
    assert await till.shop.payment_state(order.order_id) == "PENDING"
    assert [found["kind"] for found in await till.findings(order)] == ["UNWANTED_PAYMENT"]


# Framing --------------------------------------------------------------------------------------------------------------


def length(value: object) -> str:
    return f"Content-Length: {value}"


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "too short a length": lambda body: head(PATH, length(len(body) - 1), *signed(body)) + body,
    "a negative length": lambda body: head(PATH, length(-len(body)), *signed(body)) + body,
    "a length that is no number": lambda body: head(PATH, length("many"), *signed(body)) + body,
    "two lengths": lambda body: head(PATH, length(len(body)), length(1), *signed(body)) + body,
    "a length and chunks": lambda body: (
        head(PATH, length(len(body)), "Transfer-Encoding: chunked", *signed(body)) + in_chunks(body)
    ),
    "chunks of no size": lambda body: head(PATH, "Transfer-Encoding: chunked", *signed(body)) + b"zz\r\n" + body,
    "a coding that nobody knows": lambda body: head(PATH, "Transfer-Encoding: rot13", *signed(body)) + body,
    "a line break within a header": lambda body: head(PATH, length(len(body)), "X: a\n b\0c", *signed(body)) + body,
    "a method that nobody knows": lambda body: head(PATH, length(len(body)), *signed(body), method="BREW") + body,
    "no HTTP": lambda body: body,
}


@pytest.mark.parametrize("name", FRAMINGS)
async def test_good_event_in_a_bad_frame_is_refused(till: Till, paid: bytes, name: str) -> None:
    assert await till.outcome(FRAMINGS[name](paid)) == REFUSED


async def test_good_event_whose_sender_hangs_up_before_its_end_is_dropped(till: Till, paid: bytes) -> None:
    request = head(PATH, length(len(paid) + 1), *signed(paid)) + paid
    assert await till.outcome(request, hangs_up=True) == Outcome(None, {})


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD"])
async def test_good_event_by_another_method_is_refused(till: Till, paid: bytes, method: str) -> None:
    request = head(PATH, length(len(paid)), *signed(paid), method=method) + paid
    assert await till.outcome(request) == Outcome(405, {})


async def test_good_event_to_another_providers_path_is_refused(till: Till, paid: bytes) -> None:
    assert await till.outcome(post("/webhooks/nobody", paid, *signed(paid))) == Outcome(404, {})
    assert await till.outcome(post("/webhooks/yookassa", paid, *signed(paid))) == REFUSED


async def test_webhook_of_a_provider_that_is_not_configured_is_unavailable(till: Till, paid: bytes) -> None:
    assert await till.outcome(post("/webhooks/sandbox", paid, *signed(paid))) == Outcome(503, {})


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/json;;;", ""])
async def test_content_type_changes_nothing(till: Till, paid: bytes, content_type: str) -> None:
    """The bytes are what is signed, and all that is read: a header that nobody signed decides nothing."""
    header = f"Content-Type: {content_type}"
    assert await till.outcome(post(PATH, paid, header)) == REFUSED
    body = event()
    assert await till.outcome(post(PATH, body, header, f"Stripe-Signature: {signature(body)}")) == STORED


async def test_sender_that_takes_its_time_is_cut_off(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """However steadily it goes on, in the headers and in the body."""
    hasty = {"CHECKOUT_HTTP_BODY_TIMEOUT_S": "0.3", "CHECKOUT_HTTP_IDLE_TIMEOUT_S": "0.3"}
    async with opened_till(postgres, tmp_path, **hasty) as till:
        begun = head(PATH, length(1_000_000))
        assert await till.outcome(begun, drip=repeat(b" ")) == Outcome(408, {})
        assert await till.outcome(begun[:-2], drip=repeat(b"X-More: x\r\n")) == Outcome(None, {})
        assert await status_of(till.checkout.http_address, head("/healthz", method="GET")) == 200
