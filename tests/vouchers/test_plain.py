"""The quick reading of what is redeemed: whatever it answers, the general way answers too."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quittance.vouchers.v1 import vouchers_pb2
from services.runtime.errors import InvalidRequest
from services.vouchers.domain.commands import RedeemVouchers
from services.vouchers.servicer.decode import redeem_in_general
from services.vouchers.servicer.plain import read_plain
from tests.vouchers.requests import Order, by_code, by_id, lines

ID = "0190a5e4-0000-7000-8000-000000000001"
IDS = [ID, ID.upper(), ID.replace("-", ""), ID[:-1], f"{ID}0", "", f"{{{ID[1:-1]}}}", ID[::-1], f"{ID[:-1]}g"]
LABELS = [["a"], ["a", "a"], [""], ["a" * 65]]
CODES = ["ABC", "a-b c", "I0L O", "ß" * 64, "AB", "", "A" * 65, "\n\n\n"]
# What of a request is set to something else, and to what: values within the rules, at their limits, beyond them.
SPOILT: dict[str, list[Any]] = {
    "order_id": IDS,
    "customer_id": IDS,
    "currency": ["OMR", "usd", "", "OMRX", "OMR\n"],
    "lines.line_number": [1, 2, 3, 1000, 0, -1, 1001],
    "lines.product_id": IDS,
    "lines.quantity": [1, 10**6, 0, -1, 10**6 + 1],
    "lines.amount_minor": [0, 10**15, -1, 10**15 + 1],
    "lines.categories": LABELS,
    "redemptions.redemption_id": IDS,
    "redemptions.voucher.code": CODES,
    "redemptions.voucher.voucher_id": IDS,
    "facts.orders_placed": [0, 7, 2**63 - 1, -1],
    "facts.tags": LABELS,
    "expire_time.seconds": [0, 2**35, 2**40, -(2**40)],
    "expire_time.nanos": [999_999_999, 10**9, -1],
}
spoilings = st.lists(
    st.sampled_from(sorted(SPOILT)).flatmap(lambda path: st.tuples(st.just(path), st.sampled_from(SPOILT[path]))),
    max_size=2,
)


def plain() -> vouchers_pb2.RedeemVouchersRequest:
    return Order(["WALK-10", "RUN"], lines=lines(30_000, 15_500, 4_999)).redeem()


def spoil(message: Any, path: str, value: Any) -> None:
    """Sets a field of the message, or of the last of those in a list."""
    name, _, rest = path.partition(".")
    if rest:
        inner = getattr(message, name)
        spoil(inner[-1] if hasattr(inner, "add") else inner, rest, value)
    elif isinstance(value, list):
        getattr(message, name).extend(value)
    else:
        setattr(message, name, value)


def answer(read: Callable[[], RedeemVouchers | None]) -> object:
    try:
        return read()
    except InvalidRequest as refusal:
        return refusal.message, refusal.metadata


@given(spoilings)
def test_plain_reading_answers_what_the_general_way_answers(spoilt: list[tuple[str, Any]]) -> None:
    request = plain()
    for path, value in spoilt:
        spoil(request, path, value)
    read = answer(lambda: read_plain(request))
    assert read is None or read == answer(lambda: redeem_in_general(request))


def test_plain_reading_takes_what_is_plain() -> None:
    request = plain()
    request.redemptions[1].voucher.CopyFrom(by_id(ID))
    request.facts.orders_placed = 3
    assert isinstance(read_plain(request), RedeemVouchers)


def test_plain_reading_leaves_out_what_is_too_much_or_missing() -> None:
    crowded, stacked, unnamed, endless = plain(), plain(), plain(), plain()
    crowded.lines.extend(lines(*[1] * 998))
    stacked.redemptions.extend([vouchers_pb2.RedemptionRequest(redemption_id=ID, voucher=by_code("RUN"))] * 29)
    unnamed.redemptions[0].ClearField("voucher")
    endless.ClearField("expire_time")
    nothing = vouchers_pb2.RedeemVouchersRequest()
    assert [read_plain(request) for request in (crowded, stacked, unnamed, endless, nothing)] == [None] * 5
