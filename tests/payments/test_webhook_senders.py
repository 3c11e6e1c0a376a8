"""Webhooks that nobody signs: who sent them is looked at, and then only what YooKassa's API says is believed (P2)."""

import ipaddress
import json
import sys
from typing import Any

import pytest

from services.checkout.senders import Senders, parse_aliases
from services.runtime.ids import new_id
from tests.payments.fakes.faults import Fault
from tests.payments.raw_http import post
from tests.payments.till import OLD_PATH, STRANGER, Outcome, Till

PATH = "/webhooks/yookassa"
REFUSED, UNAVAILABLE = Outcome(400, {}), Outcome(503, {})
STORED, PAID = Outcome(200, {"webhook_events": 1}), Outcome(200, {"webhook_events": 1, "receipts": 1})
# In the ranges that YooKassa publishes, and in none of them.
OURS, OURS_6 = "185.71.76.9", "2a02:5180:0:1::7"
OTHER, OTHER_6 = "203.0.113.9", "2001:db8::7"


def sent_by(addresses: str, body: bytes) -> bytes:
    """As our proxy passes it on: it has added the last of the addresses."""
    return post(PATH, body, f"X-Forwarded-For: {addresses}", "Content-Type: application/json")


def told(event: str, about: object) -> bytes:
    return json.dumps({"type": "notification", "event": event, "object": about}).encode()


# The sender's address -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses", [OURS, OURS_6, f"::ffff:{OURS}", f"{OTHER}, {OURS}", f" {OTHER_6} ,{OURS_6} ", f"nonsense, {OURS}"]
)
async def test_notification_from_yookassa_through_our_proxy_is_applied(till: Till, addresses: str) -> None:
    order, body = await till.paid_at_yookassa()
    assert await till.outcome(sent_by(addresses, body)) == PAID
    assert await till.shop.payment_state(order.order_id) == "PAID"


@pytest.mark.parametrize(
    "addresses",
    [
        OTHER,
        OTHER_6,
        f"::ffff:{OTHER}",
        # What stands to the left the sender has written.
        f"{OURS}, {OTHER}",
        f"{OURS_6},{OTHER_6}",
        f"{OURS},",
        "",
        "nonsense",
        f"{OURS}:443",
        f"[{OURS_6}]",
        "185.71.76.009",
    ],
)
async def test_notification_from_somebody_else_through_our_proxy_is_refused(till: Till, addresses: str) -> None:
    order, body = await till.paid_at_yookassa()
    assert await till.outcome(sent_by(addresses, body)) == REFUSED
    assert await till.shop.payment_state(order.order_id) == "PENDING"


async def test_notification_to_an_old_path_is_looked_at_in_the_same_way(till: Till) -> None:
    """P7"""
    _, body = await till.paid_at_yookassa()
    assert await till.outcome(post(OLD_PATH, body, f"X-Forwarded-For: {OTHER}")) == REFUSED
    assert await till.outcome(post(OLD_PATH, body, f"X-Forwarded-For: {OURS}")) == PAID


async def test_notification_with_an_address_per_header_is_refused_by_the_last(till: Till) -> None:
    _, body = await till.paid_at_yookassa()
    request = post(PATH, body, f"X-Forwarded-For: {OURS}", f"X-Forwarded-For: {OTHER}")
    assert await till.outcome(request) == REFUSED


async def test_notification_that_does_not_say_for_whom_our_proxy_sends_it_is_refused(till: Till) -> None:
    _, body = await till.paid_at_yookassa()
    assert await till.outcome(post(PATH, body)) == REFUSED
    assert await till.outcome(post(PATH, body, f"Forwarded: for={OURS}", f"X-Real-IP: {OURS}")) == REFUSED


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loopback has one address, and it is our proxy's")
async def test_notification_with_a_forged_address_and_no_proxy_of_ours_is_refused(till: Till) -> None:
    _, body = await till.paid_at_yookassa()
    assert await till.outcome(sent_by(OURS, body), source=STRANGER) == REFUSED


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "sender"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [OURS], OURS),
        ("::ffff:10.0.0.1", [OURS], OURS),
        ("fd00::1", [OURS_6], OURS_6),
        ("10.0.0.1", [f"{OURS}, {OTHER}"], OTHER),
        ("10.0.0.1", [f"{OTHER}, {OURS}, 10.0.0.2"], OURS),
        ("10.0.0.1", [OTHER, f"{OURS}, fd00::2"], OURS),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        (OTHER, [OURS], OTHER),
        (OTHER_6, [OURS_6], OTHER_6),
        ("", [OURS], ""),
        ("10.0.0.1", ["unknown"], "unknown"),
    ],
)
def test_sender_is_the_last_address_that_none_of_our_proxies_has(
    peer: str, forwarded_for: list[str], sender: str
) -> None:
    networks = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    assert Senders(networks, {}).address_of(peer, forwarded_for) == sender
    assert Senders([], {}).address_of(peer, forwarded_for) == peer


def test_aliases_are_paths_with_their_provider() -> None:
    """P7"""
    assert parse_aliases("") == {}
    assert parse_aliases("/old/stripe=stripe, /hook=yookassa,") == {"/old/stripe": "stripe", "/hook": "yookassa"}


@pytest.mark.parametrize("text", ["/a", "/a=", "a=stripe", "/a=stripe,/a=yookassa", "/{x}=stripe"])
def test_aliases_that_are_none_are_refused(text: str) -> None:
    """P7"""
    with pytest.raises(ValueError, match="="):
        parse_aliases(text)


# What it says ---------------------------------------------------------------------------------------------------------


async def test_notification_of_a_success_that_the_api_does_not_know_of_pays_nothing(till: Till) -> None:
    order = await till.awaiting("yookassa")
    payment = till.yookassa.payment_of(order.order_id)
    body = told("payment.succeeded", {**payment, "status": "succeeded", "paid": True})
    assert await till.outcome(sent_by(OURS, body)) == STORED
    assert await till.shop.payment_state(order.order_id) == "PENDING"
    till.yookassa.pay(payment)
    assert await till.outcome(sent_by(OURS, body)) == PAID
    assert await till.shop.payment_state(order.order_id) == "PAID"


async def test_notification_of_a_cancellation_counts_as_the_success_that_the_api_knows_of(till: Till) -> None:
    order, _ = await till.paid_at_yookassa()
    payment = till.yookassa.payment_of(order.order_id)
    body = told("payment.canceled", {**payment, "status": "canceled"})
    assert await till.outcome(sent_by(OURS, body)) == PAID
    assert await till.shop.payment_state(order.order_id) == "PAID"


async def test_notification_of_another_amount_counts_as_what_the_api_says(till: Till) -> None:
    order, body = await till.paid_at_yookassa()
    changed = body.replace(b'"50.000"', b'"0.010"')
    assert changed != body
    assert await till.outcome(sent_by(OURS, changed)) == PAID
    assert await till.shop.payment_state(order.order_id) == "PAID"


async def test_notification_of_an_amount_that_was_not_asked_for_is_never_applied(till: Till) -> None:
    """P-3: the API says so, so the money is there: written down, and on its way back."""
    order = await till.awaiting("yookassa")
    payment = till.yookassa.payment_of(order.order_id)
    till.yookassa.pay(payment, value="0.010")
    outcome = await till.outcome(sent_by(OURS, till.yookassa.tell("payment.succeeded", payment)))
    assert outcome == Outcome(200, {"webhook_events": 1, "receipts": 1, "payment_findings": 1})
    assert await till.shop.payment_state(order.order_id) == "PENDING"


@pytest.mark.parametrize("kind", ["payment.succeeded", "refund.succeeded"])
async def test_notification_of_something_unknown_is_refused(till: Till, kind: str) -> None:
    assert await till.outcome(sent_by(OURS, told(kind, {"id": str(new_id())}))) == REFUSED


async def test_notification_of_another_shops_payment_is_refused(till: Till) -> None:
    order, body = await till.paid_at_yookassa()
    payment = till.yookassa.payment_of(order.order_id)
    payment["recipient"] = {"account_id": "700700", "gateway_id": "1"}
    assert await till.outcome(sent_by(OURS, body)) == REFUSED
    assert await till.shop.payment_state(order.order_id) == "PENDING"


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.RATE_LIMITED, Fault.GARBAGE, Fault.CUT_OFF])
async def test_notification_while_the_api_cannot_be_asked_has_to_come_again(till: Till, fault: Fault) -> None:
    _, body = await till.paid_at_yookassa()
    till.yookassa.faults.queue("read_session", fault)
    assert await till.outcome(sent_by(OURS, body)) == UNAVAILABLE
    assert await till.outcome(sent_by(OURS, body)) == PAID


async def test_notification_while_our_key_is_refused_has_to_come_again(till: Till) -> None:
    """Somebody has rolled the key and not told us."""
    _, body = await till.paid_at_yookassa()
    till.yookassa.keys_are_rolled = True
    try:
        assert await till.outcome(sent_by(OURS, body)) == UNAVAILABLE
    finally:
        till.yookassa.keys_are_rolled = False
    assert await till.outcome(sent_by(OURS, body)) == PAID


async def test_notification_of_an_unknown_kind_is_stored_and_left_alone(till: Till) -> None:
    assert await till.outcome(sent_by(OURS, told("payout.succeeded", {"id": str(new_id())}))) == STORED


def nonsense() -> list[Any]:
    good = told("payment.succeeded", {"id": str(new_id())})
    return [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(good.replace(b"payment", b"\xff"), id="no UTF-8"),
        pytest.param(b"\xef\xbb\xbf" + good, id="with a byte order mark"),
        pytest.param(b'{"event": "payment.canceled", ' + good[1:], id="with a key twice"),
        pytest.param(b'{"more": ' + b"[" * 10_000 + b"]" * 10_000 + b", " + good[1:], id="10,000 lists deep"),
        pytest.param(b'{"more": 1e400, ' + good[1:], id="with a number out of range"),
        pytest.param(b'{"more": NaN, ' + good[1:], id="with no number"),
        pytest.param(told("payment.succeeded", {}), id="about nothing"),
        pytest.param(told("payment.succeeded", {"id": ""}), id="of an empty id"),
        pytest.param(told("payment.succeeded", {"id": "../refunds"}), id="of an id that is a path"),
        pytest.param(told("payment.succeeded", {"id": "x" * 65}), id="of a long id"),
        pytest.param(told("payment.succeeded", {"id": 7}), id="of an id that is a number"),
        pytest.param(told("payout\0", {"id": "x"}), id="of a kind that no database holds"),
        pytest.param(told("x" * 101, {"id": "x"}), id="of a long kind"),
        pytest.param(good.replace(b"notification", b"news"), id="no notification"),
    ]


@pytest.mark.parametrize("body", nonsense())
async def test_nonsense_is_refused_and_the_api_not_asked(till: Till, body: bytes) -> None:
    asked = dict(till.yookassa.journal.calls)
    assert await till.outcome(sent_by(OURS, body)) == REFUSED
    assert till.yookassa.journal.calls == asked
